//! What can go wrong with texts, weights and vectors, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::remote::{Done, RemoteFault};

/// Says why a text could not become a vector.
#[derive(Debug, Error)]
pub enum Error {
    /// A file is missing or cannot be read.
    #[error("{}: cannot be read ({source}): check that the folder holds a complete model", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file or folder cannot be written.
    #[error("{}: cannot be written ({source}): check the disk's space and rights", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A file is larger than anything this program is made for.
    #[error("{}: has {size} bytes, more than the limit of {limit}: is it the right file?", path.display())]
    TooLarge { path: PathBuf, size: u64, limit: u64 },
    /// A JSON file does not say what it must.
    #[error("{}: {why}", path.display())]
    Config { path: PathBuf, why: String },
    /// The model is of a kind this program does not compute.
    #[error("{}: `{field}` is {found}, but only {supported} can be computed: choose another model", path.display())]
    Unsupported { path: PathBuf, field: &'static str, found: String, supported: &'static str },
    /// A weights file is damaged.
    #[error("{}: is damaged or not in safetensors format ({why}): fetch it again", path.display())]
    Weights { path: PathBuf, why: String },
    /// A tensor is not there.
    #[error("{}: has no tensor `{name}`: it belongs to another model than config.json", path.display())]
    MissingTensor { path: PathBuf, name: String },
    /// An encoder of single texts where one of pairs is wanted.
    #[error(
        "{}: has no tensor `{name}`, so it gives no score to pairs of texts: tune one that does with `tune.task = \"classify\"`",
        path.display()
    )]
    NoHead { path: PathBuf, name: String },
    /// A tensor has another shape than the configuration says.
    #[error(
        "{}: tensor `{name}` has shape {found:?}, config.json asks for {wanted:?}: the files belong to different models",
        path.display()
    )]
    Shape { path: PathBuf, name: String, found: Vec<usize>, wanted: Vec<usize> },
    /// A tensor holds numbers of a kind that is not read.
    #[error("{}: tensor `{name}` is of type {found}, only F32, F16 and BF16 are read", path.display())]
    Numbers { path: PathBuf, name: String, found: String },
    /// The tokenizer cannot be read.
    #[error("{}: is not a tokenizer this program understands ({why}): fetch it again", path.display())]
    Tokenizer { path: PathBuf, why: String },
    /// The tokenizer refused a text.
    #[error("text {index} cannot be tokenised: {why}")]
    Tokenise { index: usize, why: String },
    /// A GGUF file is damaged, or holds what cannot be.
    #[error("{}: {at}: {why}", path.display())]
    Gguf { path: PathBuf, at: String, why: String },
    /// A talk is longer than a model reads.
    #[error(
        "the talk has {tokens} tokens and {limit} are read, the reply included: shorten it, or raise `chat.context` where the model allows more"
    )]
    TooLong { tokens: usize, limit: usize },
    /// A reply ended before it had its form.
    #[error(
        "the reply is of no legal form after {tokens} tokens: raise `max_tokens`, or ask for less"
    )]
    Unfinished { tokens: usize },
    /// A setting has an impossible value.
    #[error("`{field}` {problem}")]
    Setting { field: &'static str, problem: String },
    /// A template cannot be understood.
    #[error("template, column {column}: {problem}")]
    Template { column: usize, problem: &'static str },
    /// A reply cannot be held to what was asked.
    #[error("the form of the reply ({at}): {problem}")]
    Form { at: String, problem: String },
    /// A service behind an address does not do what it should.
    #[error("{endpoint} {fault}{}", done.map(|done| done.to_string()).unwrap_or_default())]
    Remote { endpoint: String, fault: RemoteFault, done: Option<Done> },
    /// There is not a single word to learn from.
    #[error(
        "the {texts} texts hold no words to count: check which columns the item text is made of"
    )]
    NoWords { texts: usize },
    /// Latent dimensions could not be found.
    #[error("the vectors of the texts could not be reduced to {dim} dimensions: lower `dim`")]
    Reduction { dim: usize },
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn setting(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Setting { field, problem: problem.into() }
    }
}
