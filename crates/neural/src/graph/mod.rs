//! Models of the graph of who took what: vectors are passed on between users and items.

mod adjacency;
#[cfg(test)]
mod check;
mod fit;
mod learner;
mod model;
mod objective;
mod settings;

pub use model::LightGcn;
pub use settings::{GraphLoss, LightGcnSettings};
