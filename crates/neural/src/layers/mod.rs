//! Parameters with the kernels that use them; each layer has a forward and a backward pass.

mod block;
mod linear;
mod recurrent;

pub(crate) use block::{Block, BlockShape, BlockState, Dropout, FeedForward, Work};
pub(crate) use linear::{Linear, NormLayer};
pub use recurrent::Cell;
pub(crate) use recurrent::{RecurrentLayer, RecurrentState};
