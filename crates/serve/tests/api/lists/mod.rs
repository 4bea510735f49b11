//! Lists, and talks about them.

mod answers;
mod chat;
