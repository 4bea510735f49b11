//! Says why an item is recommended, each clause resting on a piece of evidence, and holds a talk about recommendations: what a turn asks for,
//! what the talk has settled, how an answer is worded. Texts in short, in words of their own. Evidence, catalogue and answers come in as plain values; this crate fetches nothing and
//! knows no model of recommending.
#![warn(missing_docs)]

mod condense;
mod error;
mod evidence;
mod explain;
pub mod guard;
mod language;
mod rephrase;
pub mod talk;
mod vocabulary;

pub use condense::{Condensed, Source, condense, unbacked};
pub use error::Error;
pub use evidence::{Evidence, took};
pub use explain::{Clause, Reason, Wording, describe, explain};
pub use language::Language;
pub use rephrase::{Author, Rephrased, rephrase};
