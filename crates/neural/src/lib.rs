//! Models composed of kernels, trained by the loop of `train`: sequence models that read a user's history in order.
//! No tape: each layer knows its backward pass. Knows nothing of files, configuration or encoders (text vectors come ready-made).

mod layers;
mod params;
mod sequence;

pub use sequence::{
    Esasrec, EsasrecSettings, Loss, Positions, Sasrec, SasrecSettings, Sequence, SequenceSettings,
    TextUse, Variant,
};
