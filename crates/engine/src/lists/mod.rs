//! How a model's scores become the lists people see: variety, and pipelines over the data set's ids and columns.

mod answer;
mod arbiter;
mod live;
mod lookup;
mod measured;
mod near;
mod newcomers;
mod pipeline;
mod recommend;
mod shown;

pub(crate) use arbiter::Titles;
pub(crate) use live::Live;
pub use live::ReadyPipeline;
pub use near::GraphSettings;
pub(crate) use near::Near;
pub use newcomers::{FoldIn, Newcomer};
pub use pipeline::{ItemTrace, ListTrace, PipelineFile, StageTime};
pub(crate) use pipeline::{catalogue, plan};
pub(crate) use shown::{check_shown, shown};
