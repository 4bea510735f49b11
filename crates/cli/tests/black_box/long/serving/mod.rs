//! The server and what starts beside it.

mod crash;
mod faults;
mod mcp;
mod retrain;
mod serve;
mod server;
mod store;
