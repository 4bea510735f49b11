//! Recurrent layers over ragged sequences, forward and backward. They leave initial states other than zero, several
//! layers and dropout to their callers.

mod gate;
mod gru;
mod lstm;
mod steps;
mod unrolled;
mod weights;

#[cfg(test)]
pub(crate) mod check;

pub use gru::Gru;
pub use lstm::Lstm;
pub use weights::{RecurrentGradients, RecurrentShape, RecurrentWeights};
