//! The server from outside, without a socket: what it answers, whom it lets in, what it refuses. Everything runs offline on a
//! small made-up world.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod catalogue;
mod dashboard;
mod experiments;
mod gorse;
mod guard;
pub(crate) mod home;
mod jobs;
mod limits;
mod lists;
mod mcp;
mod models;
mod sockets;
mod tenants;
mod upkeep;
