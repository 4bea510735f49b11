//! Encoders that learn, and what is put on them or into them.

mod adapters;
mod heads;
mod tune;

pub(crate) use tune::pooled;
