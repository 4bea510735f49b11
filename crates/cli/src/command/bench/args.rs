//! What can be said after `tastemaker bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Ask a server for lists on many connections, and time the answers
    Serve(ServeBench),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker bench serve --model demo/model                        starts a server of its own, with an empty store
  tastemaker bench serve --model demo/model --rate 500 --events .1
  tastemaker bench serve --model demo/model --addr 127.0.0.1:8080  asks one that runs with this model

Without --rate each connection asks as soon as it has its answer (closed loop). With it requests are due at set times and timed from
then on, answered or not (open loop): what users feel when more come than can be served.")]
pub(crate) struct ServeBench {
    /// The model that is asked; its users are drawn at random
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// A server that runs already, instead of one of its own
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) addr: Option<String>,
    /// A key, where that server wants one
    #[arg(long, env = "TASTEMAKER_KEY", hide_env_values = true, requires = "addr")]
    pub(crate) key: Option<String>,
    /// Connections
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) connections: u16,
    /// Seconds to measure for, after a fifth of it to get warm
    #[arg(long, default_value_t = 10, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Requests a second, due at set times [default: as many as are answered]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// Items of a list
    #[arg(short, default_value_t = 10, value_name = "N")]
    pub(crate) n: usize,
    /// Share of requests that are events, each of a random user with a random item
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    pub(crate) events: f64,
    /// More of the question, as in `&explain=true`
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) question: String,
    /// Memory of its own server for lists that need not be made again, in MB; 0 times the making of every list
    #[arg(long, default_value_t = 64, value_name = "MB", conflicts_with = "addr")]
    pub(crate) cache_mb: u32,
    /// Root of what is drawn
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "give a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("give a number from 0 to 1".into()) }
}
