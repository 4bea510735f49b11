//! Sequence models: a history in order to the vector of what comes next, scored against item vectors.

mod architectures;
mod learner;
mod model;
mod network;
mod newcomers;
mod settings;
mod step;
mod times;
mod tower;
mod windows;

pub use architectures::{
    AttentionSettings, Bert4rec, Bert4recSettings, Blocks, Caser, CaserSettings, Cells, Esasrec,
    EsasrecSettings, Gated, Gru4rec, Gru4recSettings, GruCells, LstmCells, LstmRec, LstmSettings,
    NextMlp, NextMlpSettings, Plain, Positions, RecurrentSettings, Sasrec, SasrecSettings,
};
pub use model::Sequence;
pub use network::Network;
pub use settings::{Architecture, Loss, Settled, TextUse, Trained, Training};
pub use step::{Task, Views};
pub use times::Times;
pub(crate) use tower::features as text_features;
