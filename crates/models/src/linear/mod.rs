//! Linear models of items on items.

mod ease;

pub use ease::{Ease, EaseSettings};
