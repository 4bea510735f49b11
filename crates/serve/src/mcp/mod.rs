//! The Model Context Protocol: the API as tools that an assistant calls, over stdin and stdout or over HTTP.

pub(crate) mod http;
mod server;
mod stdio;
mod tools;

pub use stdio::talk;
