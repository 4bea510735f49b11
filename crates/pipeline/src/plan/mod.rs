//! The way from candidates to a list, as settings say: sources → one score → filters → adjustments → variety → rules, each step timed
//! and traced.

mod adjust;
mod catalogue;
mod compile;
mod llm;
mod piped;
mod rules;
mod run;
mod settings;
mod sources;
mod trace;

pub use catalogue::{Catalogue, Lookup, Question};
pub use compile::Plan;
pub use llm::{Arbiter, LlmSettings, LlmWay};
pub use piped::Piped;
pub use rules::{Deed, RuleSettings};
pub use run::Asked;
pub use settings::{
    Combine, MAX_CANDIDATES, PipelineSettings, Plain, Preset, Segment, SourceSettings, WhenSettings,
};
pub use trace::{Found, Passage, Stage, Step, Trace};
