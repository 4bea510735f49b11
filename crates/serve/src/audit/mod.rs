//! Who changed what: acts of administrators and erasures are noted as they pass the door, and can be read there.

mod list;
mod note;

pub(crate) use list::{ActsPage, list};
pub(crate) use note::{Note, Subject};
