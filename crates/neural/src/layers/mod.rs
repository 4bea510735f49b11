//! Parameters with the kernels that use them; each layer has a forward and a backward pass.

mod block;
mod caser;
mod linear;
mod mlp;
mod recurrent;
mod text_cnn;

pub(crate) use block::{Block, BlockShape, BlockState, Dropout, FeedForward, Work};
pub(crate) use caser::{CaserLayer, CaserShape, CaserState};
pub(crate) use linear::{Linear, NormLayer};
pub(crate) use mlp::{Mlp, MlpShape, MlpState};
pub use recurrent::Cell;
pub(crate) use recurrent::{RecurrentLayer, RecurrentState};
pub(crate) use text_cnn::{TextCnn, TextCnnShape, TextCnnState};
