//! What is done to texts before an encoder reads them, and to vectors after it.

mod narrow;
mod prompt;
mod summary;

pub use narrow::Narrowed;
pub use prompt::{Prefixed, Prompts};
pub use summary::extract;
pub(crate) use summary::summarise;
