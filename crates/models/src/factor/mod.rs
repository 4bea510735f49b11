//! Models with a vector for each user and item.

mod blocks;
mod bpr;
mod ials;
mod item2vec;
mod mf;
mod table;

pub use bpr::{Bpr, BprSettings, Negatives};
pub use ials::{Ials, IalsSettings, Solver};
pub use item2vec::{Item2vec, Item2vecSettings};
pub use mf::{Mf, MfSettings};
