//! The words every other crate shares, and the contracts between floors.
//! Knows nothing of files, texts or particular models.
#![warn(missing_docs)]

mod clock;
mod fit;
mod history;
mod id;
mod persist;
mod progress;
mod recommend;
mod request;
mod scored;
pub mod seed;
mod vectors;

pub use clock::{Clock, SystemClock};
pub use fit::{Checked, Checkpoints, Fault, Fit, FitError, Judge, Outcome, Shape, TrainData};
pub use history::{EARLIEST_CLOCK, Histories, HistoriesBuilder, History};
pub use id::{ItemId, UserId};
pub use persist::{Persist, PersistError, Saved, Tensor, TensorData};
pub use progress::{Epoch, Progress, Silent};
pub use recommend::{
    Contribution, Embed, Evidence, Predict, Prediction, Rate, Recommender, Similar,
};
pub use request::Request;
pub use scored::{Scored, top_k};
pub use vectors::{
    BadFeature, Feature, FeatureValues, Features, Labels, MIXED_IN, Tokens, Vectors, divergence,
};
