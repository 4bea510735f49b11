//! From several models' scores to one list: normalise, weigh by how much history there is, add.
//! Trees may order its head anew. Knows models only as `Recommender`.

mod blend;
mod boost;
mod cold;
mod fused;
mod gate;
mod learn;
mod normalise;
mod plan;
mod reorder;
mod rerank;
mod settings;
mod stack;

pub use blend::{Alone, Blend};
pub use boost::{BoostSettings, Forest};
pub use cold::Cold;
pub use fused::{Fused, Part};
pub use gate::{Bucket, Gate};
pub use learn::{Cases, Grown, Learned, learn};
pub use normalise::Normalise;
pub use plan::{
    Arbiter, Asked, Catalogue, Combine, Deed, Found, LlmSettings, LlmWay, Lookup, MAX_CANDIDATES,
    Passage, Piped, PipelineSettings, Plain, Plan, Preset, Question, RuleSettings, Segment,
    SourceSettings, Stage, Step, Trace, WhenSettings,
};
pub use reorder::{ItemFacts, Reorder, features, reorder};
pub use rerank::{Mixer, RerankSettings, Reranked, Variety, by_likeness};
pub use settings::{FusionSettings, Method};
