//! Constrained output: which bytes may come next, so that a reply becomes one of given texts or JSON of a schema.

mod machine;
mod number;
mod schema;
mod step;
mod string;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use machine::Form;
