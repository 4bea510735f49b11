//! Models composed of kernels, trained by the loop of `train`: sequence models that read a user's history in order, models of the
//! graph of users and items, ranking models that read what is known of a user and an item, and two towers that compare a vector of each;
//! and the tuning of text encoders. No tape: each layer knows its backward pass. Knows nothing of files or configuration; `tuning` alone
//! knows encoders, other models take text vectors ready-made.

mod draws;
mod graph;
mod layers;
mod params;
mod rankers;
mod sequence;
mod towers;
mod tuning;

pub use graph::{GraphLoss, LightGcn, LightGcnSettings};
pub use layers::Cell;
pub use params::Layout;
pub use rankers::{
    CrossParts, DcnRanker, DcnSettings, DeepFmParts, DeepFmRanker, DeepFmSettings, DeepParts,
    DnnRanker, DnnSettings, FmParts, FmRanker, FmSettings, Interaction, LinearParts, LinearRanker,
    LinearSettings, Objective, Ranker, RankerSettings, TextCnnParts, TextCnnRanker,
    TextCnnSettings,
};
pub use sequence::{
    Architecture, AttentionSettings, Bert4rec, Bert4recSettings, Blocks, Caser, CaserSettings,
    Cells, Esasrec, EsasrecSettings, Gated, Gru4rec, Gru4recSettings, GruCells, Loss, LstmCells,
    LstmRec, LstmSettings, Network, NextMlp, NextMlpSettings, Plain, Positions, RecurrentSettings,
    Sasrec, SasrecSettings, Sequence, Settled, Task, TextUse, Times, Trained, Training, Views,
};
pub use tastemaker_train::{Decay as OptimizerDecay, Method as OptimizerMethod, OptimizerSettings};
pub use towers::{TwoTower, TwoTowerSettings};
pub use tuning::{
    AugmentSettings, Encoder, HeadStart, LoraTarget, TaskData, TextProfile, TuneSettings, TuneTask,
    Tuned, What, prepare, tune,
};
