//! Everything that can go wrong in an evaluation.

use std::{io, path::PathBuf};

use tastemaker_core::Fault;
use thiserror::Error;

/// Says why an evaluation could not be run or written.
#[derive(Debug, Error)]
pub enum Error {
    /// No metric has this name.
    #[error("unknown metric `{given}`: did you mean `{nearest}`?")]
    UnknownMetric {
        /// What was asked for.
        given: String,
        /// The closest valid name.
        nearest: String,
    },
    /// The metric exists, but this run did not compute it.
    #[error(
        "metric `{metric}` was not computed for `{model}`: add its cutoff to `cutoffs`; there are {has}"
    )]
    MissingMetric {
        /// Its canonical name.
        metric: String,
        /// The model of the run.
        model: String,
        /// The names that were computed.
        has: String,
    },
    /// No compared model has this name.
    #[error("no model `{given}` among those compared: did you mean `{nearest}`?")]
    UnknownModel {
        /// What was asked for.
        given: String,
        /// The closest name among the models.
        nearest: String,
    },
    /// Settings hold impossible values.
    #[error("evaluation settings: {}", sentence(.0))]
    Settings(Vec<Fault>),
    /// There is nobody to evaluate.
    #[error("no users to evaluate: the split left none with both a history and a target")]
    NoCases,
    /// Users, histories and targets do not belong together.
    #[error(
        "{users} users, {histories} histories and {targets} targets do not match: take all three from one split"
    )]
    UnevenCases {
        /// Rows of users.
        users: usize,
        /// Rows of histories.
        histories: usize,
        /// Rows of targets.
        targets: usize,
    },
    /// A user has nothing to find.
    #[error(
        "user number {user} has no target: leave users without held-out events out of the evaluation"
    )]
    NoTarget {
        /// Their number.
        user: u32,
    },
    /// An item number lies outside the catalogue.
    #[error(
        "{what} names item number {item}, but the catalogue has {n_items} items: use data and model of one data set"
    )]
    WrongItem {
        /// Which part of the data.
        what: &'static str,
        /// The number.
        item: u32,
        /// Size of the catalogue.
        n_items: usize,
    },
    /// A table with one row per item has another number of rows.
    #[error(
        "{what} cover {rows} items, but the catalogue has {n_items}: use data and model of one data set"
    )]
    WrongCatalogue {
        /// Which table.
        what: &'static str,
        /// Its rows.
        rows: usize,
        /// Size of the catalogue.
        n_items: usize,
    },
    /// A model broke its promise of finite scores.
    #[error(
        "the model scores item number {item} with {score} for user number {user}: its fit went wrong, check its settings"
    )]
    NotFinite {
        /// The user.
        user: u32,
        /// The item.
        item: usize,
        /// The score.
        score: f32,
    },
    /// Two runs cannot be paired user by user.
    #[error(
        "`{model}` and `{against}` were measured on other users or candidates: evaluate both on the same split"
    )]
    Unpaired {
        /// One model.
        model: String,
        /// The other.
        against: String,
    },
    /// A plot could not be drawn.
    #[error("plot could not be drawn: {0}")]
    Plot(String),
    /// A file could not be written.
    #[error("cannot write {}: {source}; check the folder and the space left", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The report could not be turned into JSON.
    #[error("report cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

fn sentence(faults: &[Fault]) -> String {
    let parts: Vec<String> =
        faults.iter().map(|f| format!("`{}` {}", f.field, f.problem)).collect();
    parts.join("; ")
}
