//! The sequence models: settings of each, and the network they lay out.

mod attention;
mod bert4rec;
mod caser;
mod next_mlp;
mod recurrent;

pub use attention::{
    AttentionSettings, Blocks, Esasrec, EsasrecSettings, Gated, Plain, Positions, Sasrec,
    SasrecSettings,
};
pub use bert4rec::{Bert4rec, Bert4recSettings};
pub use caser::{Caser, CaserSettings};
pub use next_mlp::{NextMlp, NextMlpSettings};
pub use recurrent::{
    Cells, Gru4rec, Gru4recSettings, GruCells, LstmCells, LstmRec, LstmSettings, RecurrentSettings,
};
