//! What can be said after `tastemaker serve`, `tastemaker mcp` and `tastemaker keys`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::command::retrain::{PromoteName, share};

/// Where events, items, users and keys are kept.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// A file of SQLite, made where there is none, or the `postgres://` URL of a database
    #[arg(
        long,
        global = true,
        default_value = "tastemaker.db",
        env = "TASTEMAKER_STORE",
        hide_env_values = true,
        value_name = "PATH|URL"
    )]
    pub(crate) store: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker demo && tastemaker serve
  curl 'http://127.0.0.1:8080/v1/recommend?user_id=42&n=5&explain=true'
  tastemaker keys create --scope write && tastemaker serve --model model --addr 0.0.0.0:8080

Without keys everybody on this machine may do everything, and nobody else is let in. /openapi.json says what there is.")]
pub(crate) struct Serve {
    /// The model that answers; without one that of `tastemaker demo`, or else what is popular and new
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Folder with models by name, in a folder for each tenant: DIR/default/2026-11; they can be promoted while it runs
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "IP:PORT")]
    pub(crate) addr: SocketAddr,
    /// Certificate in PEM, with those it rests on: serves HTTPS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key in PEM; renewed files are taken over while it runs
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Let everybody in who reaches the address, as long as there are no keys
    #[arg(long)]
    pub(crate) open: bool,
    /// Answers computed at the same time [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,
    /// Answers that wait for their turn; more are turned away with 503
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub(crate) queue: usize,
    /// Requests of a key within a second; 0 = any number
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) rate: u32,
    /// Longest body, in MB
    #[arg(long, default_value_t = 8, value_name = "MB", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) body_mb: u16,
    /// Longest time for a request, in seconds
    #[arg(long, default_value_t = 30, value_name = "S", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) timeout_s: u16,
    /// Memory for what the users of a tenant did, in MB; who finds no room is read from the store each time
    #[arg(long, default_value_t = 64, value_name = "MB", value_parser = clap::value_parser!(u32).range(..=65_536))]
    pub(crate) histories_mb: u32,
    /// Memory for lists that need not be made again as long as nothing they rest on changes, in MB; 0 = none
    #[arg(long, default_value_t = 64, value_name = "MB", value_parser = clap::value_parser!(u32).range(..=65_536))]
    pub(crate) cache_mb: u32,
    /// Longest time for which such a list is good, in seconds
    #[arg(long, default_value_t = 60, value_name = "S")]
    pub(crate) cache_s: u32,
    /// Train the model anew after so many new events; 0 = never by itself
    #[arg(long, default_value_t = 0, value_name = "N", requires = "models")]
    pub(crate) retrain_events: u64,
    /// Train it anew after so many hours, if there was an event; 0 = never by itself
    #[arg(long, default_value_t = 0.0, value_name = "H", requires = "models", value_parser = hours)]
    pub(crate) retrain_hours: f64,
    /// When a model that was trained anew takes the place of the old one
    #[arg(long, value_enum, default_value = "not-worse", value_name = "WHEN")]
    pub(crate) retrain_promote: PromoteName,
    /// Share of the old model's NDCG@10 that the new one may lack
    #[arg(long, default_value_t = 0.01, value_name = "SHARE", value_parser = share)]
    pub(crate) retrain_tolerance: f64,
    /// Share of all events, the newest, that both are judged on; at most half of those that the old one has not seen
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", value_parser = share)]
    pub(crate) retrain_holdout: f64,
    /// Days for which lists can be explained; 0 = for ever
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    pub(crate) keep_days: u32,
    /// Tell a collector of OpenTelemetry how requests went, by OTLP over HTTP, as at `http://127.0.0.1:4318`
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// Share of requests it is told of, where a caller does not say by its `traceparent`
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", value_parser = whole_share, requires = "otlp")]
    pub(crate) otlp_sample: f64,
    /// Headers for the collector, such as a key: name=value, separated by commas
    #[arg(
        long,
        value_name = "HEADERS",
        env = "OTEL_EXPORTER_OTLP_HEADERS",
        hide_env_values = true
    )]
    pub(crate) otlp_headers: Option<String>,
    /// Days for which it is known who changed what; 0 = for ever
    #[arg(long, default_value_t = 0, value_name = "DAYS")]
    pub(crate) audit_days: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example, in the settings of an assistant:
  {\"mcpServers\": {\"tastemaker\": {\"command\": \"tastemaker\", \"args\": [\"mcp\", \"--model\", \"/home/me/model\", \"--store\", \"/home/me/tastemaker.db\"]}}}

It speaks the Model Context Protocol on stdin and stdout and ends when stdin does. A running server has the same tools at /mcp.")]
pub(crate) struct Mcp {
    /// The model that answers; without one, what is popular and new
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Folder with models by name, as `serve` has it
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Whose data the assistant sees
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub(crate) tenant: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker keys create --scope write --label shop
  tastemaker keys revoke 0011223344556677

A running server knows a new key at once and a revoked one within a second.")]
pub(crate) struct Keys {
    #[command(subcommand)]
    pub(crate) action: KeysAction,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysAction {
    /// Make a key; its secret is printed this once and kept nowhere
    Create {
        /// Whose data it opens
        #[arg(long, default_value = "default", value_name = "NAME")]
        tenant: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "read")]
        scope: ScopeName,
        /// What you call it
        #[arg(long, default_value = "", value_name = "TEXT")]
        label: String,
    },
    /// List all keys, without secrets
    List,
    /// Let a key open nothing any more
    Revoke {
        /// Its id, as `keys list` shows it
        id: String,
    },
}

/// Reads a share, which may be the whole.
fn whole_share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("must lie from 0 to 1".into()) }
}

/// Reads a number of hours.
fn hours(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("must be 0 or more".into()) }
}

/// What a key may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeName {
    /// Ask
    Read,
    /// Ask, and tell what happened
    Write,
    /// Everything: promote models too
    Admin,
}
