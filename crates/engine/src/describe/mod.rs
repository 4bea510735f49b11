//! Items in short: a summary and tags of each, found in its text or written by a language model that may use no other words.

mod catalogue;
mod lines;
mod run;

pub use lines::Description;
pub use run::{DescribeReport, DescribeSettings, Describing};
