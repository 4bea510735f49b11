//! Ranking models: user, item and what is known of both to the probability of an event, or to a rating.

mod active;
mod batch;
mod head;
mod inputs;
mod learner;
mod model;
mod network;
mod settings;
mod tokens;
mod vocabulary;

pub(crate) use inputs::{check_vectors, texts as text_components};
pub(crate) use learner::{chance, gather};
pub use model::Ranker;
pub(crate) use model::fingerprint;
pub use settings::{
    CrossParts, DcnRanker, DcnSettings, DeepFmParts, DeepFmRanker, DeepFmSettings, DeepParts,
    DnnRanker, DnnSettings, FmParts, FmRanker, FmSettings, Interaction, LinearParts, LinearRanker,
    LinearSettings, Objective, RankerSettings, TextCnnParts, TextCnnRanker, TextCnnSettings,
};
pub(crate) use vocabulary::{Column, Entries, Vocabulary};
