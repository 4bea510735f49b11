//! What can go wrong when parts are wired together.

use std::path::PathBuf;

use tastemaker_core::{Fault, FitError, PersistError};
use thiserror::Error;

use crate::config::Problem;
use crate::registry::{FUSED, Kind};

/// Says what went wrong and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Settings that cannot be, all of them.
    #[error("{} in the settings ({place}):{}", count(problems.len()), lines(problems))]
    Config {
        /// Where the settings came from.
        place: String,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// A settings file that is not there, cannot be read or is no TOML.
    #[error("cannot read the settings in {place}: {why}")]
    ConfigSyntax {
        /// The file.
        place: String,
        /// The reader's words.
        why: String,
    },
    /// A model's settings cannot be.
    #[error("settings of {model}: {}", problems.join("; "))]
    Settings {
        /// The model.
        model: String,
        /// All that is wrong.
        problems: Vec<String>,
    },
    /// A model nobody knows.
    #[error("there is no model `{name}`: choose among {known}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A task nobody knows.
    #[error("there is no task `{name}`: choose among click, like, rating")]
    UnknownTask {
        /// What was asked for.
        name: String,
    },
    /// A task that needs ratings, on data whose ratings are all alike.
    #[error(
        "`--task {task}` needs ratings, and in this data all are the same or there are none: import it with a column of ratings \
         (--rating-column), or predict clicks with --task click"
    )]
    NoRatings {
        /// The task.
        task: &'static str,
    },
    /// A model could not be fitted.
    #[error("cannot fit {model}: {source}")]
    Fit {
        /// The model.
        model: &'static str,
        /// Why.
        source: FitError,
    },
    /// A saved model does not fit together.
    #[error("cannot load {model}: {source}")]
    Persist {
        /// The model.
        model: &'static str,
        /// Why.
        source: PersistError,
    },
    /// A template names a column that is not there.
    #[error(
        "`text.template` names the field `{field}`, which the items do not have: they have {known}"
    )]
    UnknownField {
        /// The field.
        field: String,
        /// What there is.
        known: String,
    },
    /// None of the fused model's parts can be fitted on this data.
    #[error(
        "the fused model has no part that can be fitted on this data: name others in `fusion.parts`"
    )]
    NoParts,
    /// The split leaves nobody to test on.
    #[error("the split `{split}` leaves no user to evaluate: {hint}")]
    NoCases {
        /// The split.
        split: String,
        /// What to do.
        hint: String,
    },
    /// A user the data does not know.
    #[error("unknown user `{id}`{}: list items they took with --history to ask for a newcomer", nearest(near.as_deref()))]
    UnknownUser {
        /// What was asked for.
        id: String,
        /// The nearest known id.
        near: Option<String>,
    },
    /// An item the data does not know.
    #[error("unknown item `{id}`{}", nearest(near.as_deref()))]
    UnknownItem {
        /// What was asked for.
        id: String,
        /// The nearest known id.
        near: Option<String>,
    },
    /// A question the model cannot answer.
    #[error("the model `{model}` cannot {what}: {instead}")]
    Unable {
        /// The model.
        model: String,
        /// What was asked.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A folder that is no saved model.
    #[error("{} is not a saved model ({why}): make one with `tastemaker train --data DIR --out {}`", path.display(), path.display())]
    NotAModel {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A file of a saved model is not the one that was written.
    #[error("{} was changed or damaged after it was written: put it back, or train the model again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// An output folder that holds something else.
    #[error("{} exists and is not a saved model: choose another --out, or remove it first", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// The folder for the state of a fit holds something else.
    #[error("{} holds {}, which is no state of a fit: move it away, or choose another --out", path.display(), stranger.display())]
    NotState {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        stranger: PathBuf,
    },
    /// A folder for a search that holds another search, or something else.
    #[error("{} holds {what}: choose another --out, or remove it first", path.display())]
    NotSearch {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        what: String,
    },
    /// A folder that another search writes to.
    #[error("{}: another search is writing here: wait for it, or choose another --out", path.display())]
    SearchBusy {
        /// The folder.
        path: PathBuf,
    },
    /// A search that was ended before it was done.
    #[error("the search was stopped after {done} trials: the same command goes on from {}", path.display())]
    SearchStopped {
        /// Trials that came to an end.
        done: usize,
        /// The journal.
        path: PathBuf,
    },
    /// A model whose settings are not searched.
    #[error("there is nothing to search for {model}: {instead}")]
    NothingToSearch {
        /// The model.
        model: String,
        /// What to do instead.
        instead: String,
    },
    /// No settings could be tried.
    #[error("none of the {n} settings could be tried; the first: {why}")]
    AllFailed {
        /// How many.
        n: usize,
        /// Why the first failed.
        why: String,
    },
    /// A file of texts cannot be read as one.
    #[error("{}: {why}", path.display())]
    Lines {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// There is nothing to encode.
    #[error(
        "there are no texts to encode: name fields with `text.template`, and an encoder with `text.encoder`"
    )]
    NoTexts,
    /// Items without a word.
    #[error(
        "the items have no text to describe: name columns of words with `text.template`, as in --set text.template='{{title}}. {{text}}'"
    )]
    NothingToDescribe,
    /// A file of descriptions that is there already.
    #[error("{} exists: --continue keeps its lines and does the rest; else choose another --out, or remove it first", path.display())]
    DescribedBefore {
        /// The file.
        path: PathBuf,
    },
    /// Describing was ended before it was done.
    #[error("stopped: {done} items are described in {}, and the same command with --continue goes on from there", path.display())]
    DescribeStopped {
        /// Items in the file.
        done: usize,
        /// The file.
        path: PathBuf,
    },
    /// A column of labels that is not there.
    #[error(
        "`rerank.labels` names `{name}`, but the items have no such column of words; they have: {known}"
    )]
    NoLabels {
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// A column of labels to tune on that is not there.
    #[error(
        "`tune.labels` names `{name}`, but the items have no such column of words; they have: {known}"
    )]
    NoTuneLabels {
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// Calibration without labels.
    #[error(
        "`rerank.calibration` mixes the labels of items, but they have no column of categories: leave it out, or name a column with `rerank.labels`"
    )]
    NoCalibration,
    /// Variety where items cannot be compared.
    #[error(
        "`rerank.variety` compares the texts of items, but there are none: leave it off, or name a template and an encoder"
    )]
    NoVariety,
    /// A pipeline that does not go with the model or the data.
    #[error("the pipeline does not fit: {}{}", count(problems.len()), lines(problems))]
    Pipeline {
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// A column of ids has the name of the column of vectors.
    #[error(
        "--id-column {name} would stand beside the vectors, which are called `{name}`: rename the column"
    )]
    IdName {
        /// The name.
        name: &'static str,
    },
    /// A file for vectors whose name does not tell its format.
    #[error(
        "cannot tell the format of {}: its name must end in .parquet, .npy or .safetensors", path.display()
    )]
    VectorFormat {
        /// The file.
        path: PathBuf,
    },
    /// A file for vectors whose format does not hold smaller numbers.
    #[error(
        "{}: Parquet holds f32 alone: name a file that ends in .npy or .safetensors, or leave --storage away", path.display()
    )]
    VectorStorage {
        /// The file.
        path: PathBuf,
    },
    /// An encoder that cannot be tuned.
    #[error(
        "the encoder `{encoder}` cannot be tuned: {why}; name a language model of `weights list` or a Hugging Face folder with --encoder, \
         and items with a text"
    )]
    NotTunable {
        /// Its name.
        encoder: String,
        /// What is missing.
        why: &'static str,
    },
    /// A name behind which there is no model that writes.
    #[error(
        "`{name}` holds no single GGUF file, so it does not write: name qwen-0.5b, a .gguf file or the address of a service"
    )]
    NotGguf {
        /// The name.
        name: String,
    },
    /// Vectors that a format cannot hold.
    #[error("cannot write {} ({why}): write .parquet instead", path.display())]
    Vectors {
        /// The file.
        path: PathBuf,
        /// The writer's words.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{}: {}", path.display(), io_words(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Data.
    #[error(transparent)]
    Data(#[from] tastemaker_data::Error),
    /// Texts.
    #[error(transparent)]
    Text(#[from] tastemaker_text::Error),
    /// Evaluation.
    #[error(transparent)]
    Eval(#[from] tastemaker_eval::Error),
    /// Nearest neighbours.
    #[error(transparent)]
    Index(#[from] tastemaker_index::Error),
    /// Downloads.
    #[error(transparent)]
    Fetch(#[from] tastemaker_fetch::Error),
}

impl Error {
    pub(crate) fn settings(model: &str, faults: &[Fault]) -> Self {
        let problems =
            faults.iter().map(|fault| format!("`{}` {}", fault.field, fault.problem)).collect();
        Self::Settings { model: model.into(), problems }
    }

    pub(crate) fn unknown_model(name: &str) -> Self {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).chain([FUSED]).collect();
        Self::UnknownModel { name: name.into(), known: known.join(", ") }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

fn count(n: usize) -> String {
    if n == 1 { "1 problem".into() } else { format!("{n} problems") }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

fn nearest(near: Option<&str>) -> String {
    near.map(|id| format!(" (did you mean `{id}`?)")).unwrap_or_default()
}

fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::StorageFull => {
            "the disk is full: nothing was left half-written; make room and try again".into()
        }
        _ => error.to_string(),
    }
}
