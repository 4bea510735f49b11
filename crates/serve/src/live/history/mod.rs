//! What users did, as far as answers look at it.

mod known;
mod steps;

pub(crate) use known::{EVENTS, Known, known_for, taken};
pub(super) use known::{Histories, strength};
