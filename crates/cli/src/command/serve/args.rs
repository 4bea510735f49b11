//! What can be said after `tastemaker serve` and `tastemaker keys`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
  tastemaker serve --model demo/model
  curl 'http://127.0.0.1:8080/v1/recommend?user_id=42&n=5&explain=true'
  tastemaker keys create --scope write && tastemaker serve --model model --addr 0.0.0.0:8080

Without keys everybody on this machine may do everything, and nobody else is let in. /openapi.json says what there is.")]
pub(crate) struct Serve {
    /// The model that answers; without one, what is popular and new
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
    /// Memory for lists that need not be made again as long as nothing they rest on changes, in MB; 0 = none
    #[arg(long, default_value_t = 64, value_name = "MB", value_parser = clap::value_parser!(u32).range(..=65_536))]
    pub(crate) cache_mb: u32,
    /// Longest time for which such a list is good, in seconds
    #[arg(long, default_value_t = 60, value_name = "S")]
    pub(crate) cache_s: u32,
    /// Days for which lists can be explained; 0 = for ever
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    pub(crate) keep_days: u32,
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
