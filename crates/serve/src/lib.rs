//! The engine behind HTTP: what the backend engineer runs. [`router`] for tests without a socket, [`run`] for the world.
//! Knows the store and the engine; reads neither the command line nor the environment.
#![warn(missing_docs)]

mod api;
mod audit;
mod auth;
pub mod bulk;
mod call;
mod dashboard;
mod door;
mod error;
mod experiments;
mod gorse;
mod jobs;
mod limit;
mod live;
pub mod load;
pub mod mcp;
mod metrics;
mod openapi;
mod routes;
mod run;
mod settings;
mod tls;
mod traces;

pub use error::Error;
pub use live::App;
pub use routes::router;
pub use run::run;
pub use settings::Settings;
pub use tastemaker_store as store;
pub use tls::Certificate;
pub use traces::TraceSettings;

/// The tenant of whoever needs no key.
pub const DEFAULT_TENANT: &str = "default";
