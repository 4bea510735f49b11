//! A text in short, by a language model that may use no other words than the text does.

mod ask;
mod claims;
mod words;

pub use ask::{Condensed, Source, condense};
pub use claims::unbacked;
