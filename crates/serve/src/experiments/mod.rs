//! Experiments: users drawn into arms, arms that answer with models and pipelines of their own, and what came of it.

pub(crate) mod api;
mod definition;
mod models;
pub(crate) mod off_policy;
mod results;
mod running;

pub(crate) use running::{Experiments, Policy, Treated};
