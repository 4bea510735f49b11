//! Ranking models: user, item and what is known of both to the probability of an event, or to a rating.

mod batch;
mod head;
mod inputs;
mod learner;
mod model;
mod network;
mod settings;
mod vocabulary;

pub use model::Ranker;
pub use settings::{
    CrossParts, DcnRanker, DcnSettings, DeepFmParts, DeepFmRanker, DeepFmSettings, DeepParts,
    DnnRanker, DnnSettings, FmParts, FmRanker, FmSettings, Interaction, LinearParts, LinearRanker,
    LinearSettings, Objective, RankerSettings,
};
