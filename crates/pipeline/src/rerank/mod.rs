//! Lists with variety, and with labels mixed as the user likes them: of the items at the head, those come first that differ from the ones
//! before, or that the mixture lacks.

mod calibrate;
mod dpp;
mod likeness;
mod mmr;
mod reranked;
mod settings;

pub use likeness::by_likeness;
pub use reranked::{Mixer, Reranked};
pub use settings::{RerankSettings, Variety};
