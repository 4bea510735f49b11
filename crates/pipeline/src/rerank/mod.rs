//! Lists with variety: of the items at the head, those come first that differ from the ones before.

mod dpp;
mod mmr;
mod reranked;
mod settings;

pub use reranked::Reranked;
pub use settings::{RerankSettings, Variety};
