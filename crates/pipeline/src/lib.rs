//! From several models' scores to one list: normalise, weigh by how much history there is, add.
//! Knows models only as `Recommender`.

mod cold;
mod fused;
mod gate;
mod learn;
mod normalise;
mod settings;

pub use cold::Cold;
pub use fused::{Fused, Part};
pub use gate::{Bucket, Gate};
pub use learn::{Cases, Learned, learn};
pub use normalise::Normalise;
pub use settings::{FusionSettings, Method};
