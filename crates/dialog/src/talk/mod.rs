//! A talk about recommendations as values: what a catalogue can be asked for, what a turn asks, what was settled, how answers are worded.
//! Somebody else finds the items.

mod cues;
mod lexicon;
mod memory;
mod model;
mod numbers;
mod say;
mod thesaurus;
mod tokens;
mod understand;
mod wish;

pub use lexicon::{Field, Lexicon, LexiconParts, NumberField, Role};
pub use memory::Memory;
pub use model::{ask_model, heard, shown_labels};
pub use say::{Answer, Line, Side, marked, say};
pub use understand::{Intent, Understood, understand};
pub use wish::{Bound, Wish};
