//! Heads and layers that an encoder can do without, found on a sample of texts and taken out of its folder.

mod choose;
mod cut;
mod kept;
mod measure;
mod plan;

pub use choose::{Cut, Pruned, PrunedLayer, prune};
pub(super) use kept::kept_heads;
