//! Two towers: the texts of what a user took should lead to the text of what they took next.

mod batch;
mod contrast;
mod objective;

pub(in crate::tuning) use batch::{Batch, Sequences};
pub(in crate::tuning) use contrast::{normalise, normalise_back};
pub(in crate::tuning) use objective::TwoTower;
