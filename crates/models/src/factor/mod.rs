//! Models with a vector for each user and item.

mod blocks;
mod bpr;
mod ials;
mod mf;
mod table;

pub use bpr::{Bpr, BprSettings, Negatives};
pub use ials::{Ials, IalsSettings, Solver};
pub use mf::{Mf, MfSettings};
