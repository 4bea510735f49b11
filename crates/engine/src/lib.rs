//! The face of the library: settings in, trained models, evaluations and answers out.
//! Wires all parts; no formula lives here.
#![doc = include_str!("../../../README.md")]
#![warn(missing_docs)]

pub mod artifact;
pub mod chat;
mod compare;
pub mod config;
pub mod describe;
mod engine;
mod error;
mod evaluate;
pub mod export;
mod lists;
mod memory;
mod places;
mod predictions;
mod reading;
mod reasons;
pub mod registry;
pub mod remote;
pub mod retrain;
pub mod search;
pub mod talk;
pub mod texts;
mod train;
mod tune;
pub mod weights;
mod workbench;

pub use compare::{Compared, compared};
pub use engine::{Ask, Engine, Explained, FusedModel, Listed, MAX_N, PartShare, Taken};
pub use error::Error;
pub use evaluate::{Evaluated, Evaluation, check_models};
pub use lists::{
    FoldIn, GraphSettings, ItemTrace, ListTrace, Newcomer, PipelineFile, ReadyPipeline, StageTime,
};
pub use places::Places;
pub use predictions::{Predicted, PredictedRow, Task, features, predictions};
pub use reading::Reading;
pub use reasons::{Faithfulness, FaithfulnessSettings, Reason};
pub use tastemaker_core as core;
pub use tastemaker_data as data;
pub use tastemaker_dialog as dialog;
pub use tastemaker_eval as eval;
pub use tastemaker_fetch as fetch;
pub use tastemaker_index as index;
pub use tastemaker_pipeline as pipeline;
pub use train::{Trained, train};
pub use tune::{TUNED_FORMAT, TuneReport, Tuning};
pub use workbench::{Chosen, FusedReady, Job, Ready, Workbench};

/// Sets the number of threads of all computing; 0 = all cores. The first call of a process wins.
pub fn use_threads(threads: usize) {
    // A second call finds the pool built; results do not depend on its size.
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().ok();
}
