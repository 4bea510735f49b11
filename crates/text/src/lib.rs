//! Texts to vectors: BERT-family encoders in process, TF-IDF with latent semantic analysis where there are no weights,
//! a cache on disk for both, templates that turn an item's fields into one text, and words cleaned for counting.
//! Knows nothing of items or users.

mod bert;
mod cache;
mod encode;
mod error;
mod inspect;
mod lookup;
mod reduce;
mod template;
mod tfidf;
mod words;

pub use bert::{BertEncoder, BertSettings, Pooling, Precision};
pub use cache::Cached;
pub use encode::{Encoded, Encoder, open};
pub use error::Error;
pub use inspect::{ModelFacts, TensorFacts, TokenizerFacts, inspect};
pub use lookup::{DistillSettings, Distilled, StaticEncoder, distill};
pub use template::Template;
pub use tfidf::{TfIdf, TfIdfSettings};
pub use words::{Language, words};
