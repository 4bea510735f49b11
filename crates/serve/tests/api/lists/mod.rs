//! Lists, and talks about them.

mod answers;
mod chat;

pub(crate) use answers::Set;
