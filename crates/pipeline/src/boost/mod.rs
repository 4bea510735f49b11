//! Gradient-boosted trees that learn to order lists: `LambdaMART` (Burges 2010).

mod bins;
mod forest;
mod grow;
mod lambda;
mod train;

pub use forest::Forest;
pub use train::BoostSettings;
pub(crate) use train::{Lists, train};
