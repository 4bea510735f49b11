//! Models composed of kernels, trained by the loop of `train`: sequence models that read a user's history in order.
//! No tape: each layer knows its backward pass. Knows nothing of files, configuration or encoders (text vectors come ready-made).

mod layers;
mod params;
mod sequence;

pub use layers::Cell;
pub use params::Layout;
pub use sequence::{
    Architecture, AttentionSettings, Blocks, Cells, Esasrec, EsasrecSettings, Gated, Gru4rec,
    Gru4recSettings, GruCells, Loss, LstmCells, LstmRec, LstmSettings, Network, Plain, Positions,
    RecurrentSettings, Sasrec, SasrecSettings, Sequence, Settled, TextUse, Trained, Training,
};
pub use tastemaker_train::{Decay as OptimizerDecay, Method as OptimizerMethod, OptimizerSettings};
