//! The server and what starts beside it.

mod mcp;
mod retrain;
mod serve;
