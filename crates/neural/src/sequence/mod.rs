//! Sequence models: a history in order to the vector of what comes next, scored against item vectors.

mod attention;
mod draws;
mod learner;
mod model;
mod network;
mod recurrent;
mod settings;
mod tower;
mod windows;

pub use attention::{
    AttentionSettings, Blocks, Esasrec, EsasrecSettings, Gated, Plain, Positions, Sasrec,
    SasrecSettings,
};
pub use model::Sequence;
pub use network::Network;
pub use recurrent::{
    Cells, Gru4rec, Gru4recSettings, GruCells, LstmCells, LstmRec, LstmSettings, RecurrentSettings,
};
pub use settings::{Architecture, Loss, Settled, TextUse, Trained, Training};
pub(crate) use tower::features as text_features;
