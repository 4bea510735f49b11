//! What can be wrong with vectors and with files of them.

use std::path::PathBuf;

use tastemaker_core::Fault;
use thiserror::Error;

/// Says what went wrong and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing to search.
    #[error("there are no vectors to search: give at least one")]
    Empty,
    /// More vectors than row numbers.
    #[error("there are {rows} vectors, more than the {most} that can be numbered: split them")]
    TooMany {
        /// Vectors given.
        rows: usize,
        /// Vectors possible.
        most: usize,
    },
    /// Ids and vectors do not belong together.
    #[error("there are {ids} ids for {rows} vectors: give one id for each")]
    Ids {
        /// Ids given.
        ids: usize,
        /// Vectors given.
        rows: usize,
    },
    /// A number that is none.
    #[error("vector {row} holds a number that is not finite: correct it, or leave it out")]
    NotFinite {
        /// Its row.
        row: usize,
    },
    /// A question of another width.
    #[error(
        "the query has {got} numbers, the index was made of vectors of {want}: ask with vectors of the same model"
    )]
    Dim {
        /// Numbers given.
        got: usize,
        /// Numbers needed.
        want: usize,
    },
    /// Settings that cannot be, all of them.
    #[error("settings of the index: {}", words(.0))]
    Settings(Vec<Fault>),
    /// A file that is no index, or no whole one.
    #[error("{} is no index of this program ({why}): make it again with `tastemaker export --index`", path.display())]
    NotAnIndex {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The graph refused.
    #[error("the graph of the index failed ({0}): try again with fewer vectors or more memory")]
    Graph(String),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

fn words(faults: &[Fault]) -> String {
    let all: Vec<String> =
        faults.iter().map(|fault| format!("`{}` {}", fault.field, fault.problem)).collect();
    all.join("; ")
}
