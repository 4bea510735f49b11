//! How a language model in a folder reads texts: prefixes, windows, summaries, the numbers that are kept; and word vectors in its place.

mod model;
mod words;

pub use model::Reading;
pub(crate) use model::query_prefix;
pub(crate) use words::holds_words;
