//! Models of what comes next.

mod markov;

pub use markov::{Markov, MarkovSettings};
