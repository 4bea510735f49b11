//! Item vectors: what they are made of, features of texts, their projection, and its alignment with items' own vectors.

mod adapter;
mod align;
mod features;
mod items;

pub(super) use adapter::Adapter;
pub(super) use align::{Align, LONGEST};
pub(super) use features::FEATURES;
pub(crate) use features::features;
pub(super) use items::{Parts, Tower, first_own};
