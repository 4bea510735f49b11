//! Word vectors that others trained: files of GloVe and Word2Vec, and an encoder that averages them.

mod encoder;
mod npy;
mod read;

pub use encoder::WordEncoder;
pub use read::WordVectors;
