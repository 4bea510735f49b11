//! What is told of a text or of a pair of texts: whether a user takes an item, how they rate it, which label an item has.

mod events;
mod head;
mod items;
mod pairs;

pub(in crate::tuning) use items::ItemLabels;
pub(in crate::tuning) use pairs::Pairs;
