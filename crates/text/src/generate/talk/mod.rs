//! A talk with a model of this machine: prompts are read once, replies drawn token by token and held to their form.

mod likelihood;
mod model;
mod sampler;
mod settings;
mod telling;

pub use model::{GgufChat, GgufFacts};
pub use settings::GgufSettings;
