//! Data in, a fitted model out: settings are checked first, and only checked settings can be fitted.

use std::ops::Deref;

use thiserror::Error;

use crate::{
    BadFeature, Features, Histories, Progress, Recommender, Saved, Silent, Tokens, Vectors,
};

/// What a model learns from.
#[derive(Clone, Copy)]
pub struct TrainData<'a> {
    /// Events by user, oldest first; row = user number.
    pub histories: &'a Histories,
    /// Size of the catalogue; items without an event count too.
    pub n_items: usize,
    /// Text vectors `[n_items, dim]`, L2-normalised, a zero row where an item has no text.
    pub vectors: Option<&'a Vectors>,
    /// Item texts as tokens; row = item number.
    pub tokens: Option<&'a Tokens>,
    /// Columns of users and items.
    pub features: Option<&'a Features>,
    /// Root of every random stream of this fit.
    pub seed: u64,
    /// Is told how far the fit has come.
    pub progress: &'a dyn Progress,
    /// Judges a model on validation events; models that learn by epochs stop when it is no longer better.
    pub judge: Option<&'a dyn Judge>,
    /// Keeps what a long fit needs to go on after it was interrupted.
    pub checkpoints: Option<&'a dyn Checkpoints>,
}

/// Says how good a model is on events that it has not seen.
pub trait Judge: Send + Sync {
    /// Returns a number that is higher for a better model.
    fn judge(&self, model: &dyn Recommender) -> f64;

    /// Returns slope and shift that turn the model's scores into log-odds of `outcome` on these events (Platt 2000), where it came and
    /// failed to come.
    fn calibrate(&self, _model: &dyn Recommender, _outcome: Outcome) -> Option<[f32; 2]> {
        None
    }

    /// Returns another number for other events to judge on, so that a fit under way goes on under the same judge alone.
    fn identity(&self) -> u64 {
        0
    }
}

/// A yes or a no that a model tells the probability of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The item was taken, rather than drawn uniformly among those the user never took.
    Taken {
        /// Items drawn for each that was taken.
        negatives: usize,
    },
    /// The rating reached a bound.
    Rated {
        /// The bound.
        at_least: f32,
    },
}

/// Keeps the state of a fit under way. What it holds must survive the end of the process.
pub trait Checkpoints: Send + Sync {
    /// Returns what was kept for the fit called `name`, if anything that can be read was.
    fn load(&self, name: &str) -> Option<Saved>;

    /// Keeps `state`, all or nothing, in place of what was kept before; a failure is the keeper's to report.
    fn save(&self, name: &str, state: &Saved);
}

/// Kept by the settings of every model: checks them and fits them.
pub trait Fit: Sized {
    /// What comes out.
    type Model: Recommender;

    /// Lists every impossible value; empty when all is well.
    fn faults(&self) -> Vec<Fault>;

    /// Tells whether a model with these settings reads texts, and so has an opinion of items nobody has touched.
    fn reads_text(&self) -> bool {
        false
    }

    /// Tells whether a model with these settings reads the tokens of item texts.
    fn reads_tokens(&self) -> bool {
        false
    }

    /// Says that the model reads columns of users and items.
    const READS_COLUMNS: bool = false;

    /// Lists the settings worth trying on validation for data of this shape, this one first.
    ///
    /// The door that fits overrides every candidate with what its user set by hand. One entry: nothing to search.
    fn grid(&self, _shape: &Shape) -> Vec<Self>
    where
        Self: Clone,
    {
        vec![self.clone()]
    }

    /// Says that the fit itself settles some settings, such as the number of epochs; see [`settled`](Self::settled).
    const SETTLES: bool = false;

    /// What a search for settings tries of each key unless it is told otherwise, in the words of the search: `32,64`,
    /// `uniform(0, 0.5)`, `log(1e-4, 1e-2)`, `int(1, 4)`. Without an entry: the values that the grid goes through.
    const SPACE: &'static [(&'static str, &'static str)] = &[];

    /// Returns these settings with what the fit of `model` settled, so that a fit without a judge ends alike.
    #[must_use]
    fn settled(&self, _model: &Self::Model) -> Self
    where
        Self: Clone,
    {
        self.clone()
    }

    /// Fits the model. Deterministic in `data` and its seed, for any number of threads.
    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Self::Model, FitError>;
}

/// Size and shape of a data set, for rules that choose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Users with at least one event.
    pub n_users: usize,
    /// Items of the catalogue.
    pub n_items: usize,
    /// Events of all users.
    pub n_events: usize,
}

/// Settings without faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checked<S>(S);

impl<S: Fit> Checked<S> {
    /// Admits settings, or returns all their faults.
    pub fn new(settings: S) -> Result<Self, Vec<Fault>> {
        let faults = settings.faults();
        if faults.is_empty() { Ok(Self(settings)) } else { Err(faults) }
    }

    /// Fits a model; see [`Fit::fit`].
    pub fn fit(&self, data: &TrainData<'_>) -> Result<S::Model, FitError> {
        S::fit(self, data)
    }
}

impl<S> Deref for Checked<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

/// One impossible value in a model's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Name of the field.
    pub field: &'static str,
    /// What it must be, as the end of "`field` …": "must be above 0, is -1".
    pub problem: String,
}

impl Fault {
    /// Returns a fault unless `holds`; collect with `flatten`.
    pub fn unless(
        holds: bool,
        field: &'static str,
        problem: impl FnOnce() -> String,
    ) -> Option<Self> {
        (!holds).then(|| Self { field, problem: problem() })
    }
}

/// Says why a model could not be fitted.
#[derive(Debug, Error)]
pub enum FitError {
    /// There is nothing to learn from.
    #[error("no events to learn from: the training part of the data is empty")]
    NoEvents,
    /// The model reads texts, and the data has none.
    #[error(
        "the texts of the items are missing: give the items a text column and set `text.encoder`, or leave this model out"
    )]
    NoVectors,
    /// The model is told to read dates, and the data has none.
    #[error(
        "{model} has `times = \"on\"`, and the times of the events are positions or all at one distance: import dates, or set `times` to \"auto\" or \"off\""
    )]
    NoTimes {
        /// Name of the model.
        model: &'static str,
    },
    /// The vectors belong to another catalogue.
    #[error("item vectors have {rows} rows for {n_items} items: encode the catalogue again")]
    WrongVectors {
        /// Rows given.
        rows: usize,
        /// Rows needed.
        n_items: usize,
    },
    /// A value of a column cannot be learnt from.
    #[error("{} is {}: correct it, or leave the column out", .0.place, .0.value)]
    BadFeature(BadFeature),
    /// The data lacks what the settings ask of it.
    #[error("{model} has nothing to learn: {why}")]
    Unsuited {
        /// Name of the model.
        model: &'static str,
        /// What is missing and what to do.
        why: String,
    },
    /// The model would need more memory than allowed.
    #[error(
        "{model} needs {needed_mb} MB for {n_items} items, more than its limit of {limit_mb} MB: raise `max_memory_mb` or choose another model"
    )]
    TooLarge {
        /// Name of the model.
        model: &'static str,
        /// Megabytes needed.
        needed_mb: usize,
        /// Megabytes allowed.
        limit_mb: usize,
        /// Size of the catalogue.
        n_items: usize,
    },
    /// The user ended the work.
    #[error("the fit of {model} was stopped after {epochs} whole epochs")]
    Cancelled {
        /// Name of the model.
        model: &'static str,
        /// Epochs that were done.
        epochs: usize,
    },
    /// The numbers ran away or a system could not be solved.
    #[error("{model} could not be fitted: {why}")]
    Diverged {
        /// Name of the model.
        model: &'static str,
        /// What happened and what to change.
        why: String,
    },
}

impl<'a> TrainData<'a> {
    /// Lends histories and nothing else: no texts, seed 0, nobody to judge or to tell.
    pub fn new(histories: &'a Histories, n_items: usize) -> Self {
        Self {
            histories,
            n_items,
            vectors: None,
            tokens: None,
            features: None,
            seed: 0,
            progress: &Silent,
            judge: None,
            checkpoints: None,
        }
    }

    /// Returns an error when there is no event at all.
    pub fn require_events(&self) -> Result<(), FitError> {
        if self.histories.n_events() == 0 { Err(FitError::NoEvents) } else { Ok(()) }
    }

    /// Returns the text vectors, or an error when they are missing or of another catalogue.
    pub fn require_vectors(&self) -> Result<&'a Vectors, FitError> {
        let vectors = self.vectors.ok_or(FitError::NoVectors)?;
        if vectors.rows() == self.n_items {
            Ok(vectors)
        } else {
            Err(FitError::WrongVectors { rows: vectors.rows(), n_items: self.n_items })
        }
    }

    /// Returns the tokens of the item texts, or an error when they are missing or of another catalogue.
    pub fn require_tokens(&self) -> Result<&'a Tokens, FitError> {
        let tokens = self.tokens.ok_or(FitError::NoVectors)?;
        let rows = tokens.rows().len();
        let error = FitError::WrongVectors { rows, n_items: self.n_items };
        if rows == self.n_items { Ok(tokens) } else { Err(error) }
    }
}
