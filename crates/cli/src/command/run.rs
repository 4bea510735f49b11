//! From the parsed command line to the command.

use std::fmt;

use clap::CommandFactory as _;

use super::{
    assets, bench, chat, compare, config, demo, describe, evaluate, export, import, inspect,
    recommend, retrain, search, serve, store, talk, train, tune, weights,
};
use crate::args::{Cli, Command};
use crate::context::Context;

/// A call that cannot be meant; ends with exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Runs a command.
pub(crate) fn run(command: &Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => demo::run(args, context),
        Command::Import(args) => import::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Train(args) => train::run(args, context),
        Command::Retrain(args) => retrain::run(args, context),
        Command::Evaluate(args) => evaluate::run(args, context),
        Command::Compare(args) => compare::run(args, context),
        Command::Search(args) => search::run(args, context),
        Command::Tune(args) => tune::run(args, context),
        Command::Recommend(args) => recommend::run(args, context),
        Command::Similar(args) => recommend::similar(args, context),
        Command::Explain(args) => recommend::explain(args, context),
        Command::Faithfulness(args) => recommend::faithful(args, context),
        Command::Export(args) => export::run(args, context),
        Command::Encode(args) => export::encode(args, context),
        Command::Serve(args) => serve::run(args, context),
        Command::Bench(args) => bench::run(args, context),
        Command::Mcp(args) => serve::mcp(args, context),
        Command::Keys(args) => serve::keys(args, context),
        Command::Store(args) => store::run(args, context),
        Command::Chat(args) => chat::run(args, context),
        Command::ChatRec(args) => talk::run(args, context),
        Command::Profile(args) => talk::profile(args, context),
        Command::Describe(args) => describe::run(args, context),
        Command::Weights(args) => weights::run(args, context),
        Command::Data(args) => assets::data(args, context),
        Command::Config(args) => config::run(args, context),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tastemaker", &mut script);
            crate::output::line(String::from_utf8_lossy(&script).trim_end())
        }
    }
}
