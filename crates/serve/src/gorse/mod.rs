//! The REST interface of Gorse, so that its clients work unchanged.

pub(crate) mod feedback;
pub(crate) mod items;
pub(crate) mod lists;
mod types;
pub(crate) mod users;

pub(crate) use types::{Feedback, GorseItem, GorseUser, ItemPatch, RowAffected, UserPatch, score};
