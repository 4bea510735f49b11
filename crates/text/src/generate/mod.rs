//! Generating text: what a reply may look like.

pub(crate) mod form;
