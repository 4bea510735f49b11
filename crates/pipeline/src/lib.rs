//! From several models' scores to one list: normalise, weigh by how much history there is, add.
//! Trees may order its head anew. Knows models only as `Recommender`.

mod boost;
mod cold;
mod fused;
mod gate;
mod learn;
mod normalise;
mod reorder;
mod rerank;
mod settings;

pub use boost::{BoostSettings, Forest};
pub use cold::Cold;
pub use fused::{Fused, Part};
pub use gate::{Bucket, Gate};
pub use learn::{Cases, Grown, Learned, learn};
pub use normalise::Normalise;
pub use reorder::{ItemFacts, Reorder, features, reorder};
pub use rerank::{RerankSettings, Reranked, Variety};
pub use settings::{FusionSettings, Method};
