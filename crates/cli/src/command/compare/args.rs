//! What `tastemaker compare` can be told.

use std::path::PathBuf;

use clap::Args;

use crate::args::ConfigArgs;
use crate::command::writing::ModelArg;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker compare fused ease --data data
  tastemaker compare shop.toml fused --data data                       a pipeline over the fused model, and without it
  tastemaker compare old-model new-model --data data                   as they were trained, each fitted again without the test

A saved model learnt from all events, those of the test included. So its settings are taken, and it is fitted again on what comes before.")]
pub(crate) struct Compare {
    /// A model's name, a TOML file with a `[pipeline]`, or a model folder
    #[arg(value_name = "A")]
    pub(crate) a: String,
    /// The same; differences are A minus B
    #[arg(value_name = "B")]
    pub(crate) b: String,
    /// Data-set folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// leave-one-out, time, ratio, random, cold-items or cold-users
    #[arg(long, value_name = "KIND")]
    pub(crate) split: Option<String>,
    /// Measure so many test users, drawn by the seed, instead of all
    #[arg(long, value_name = "N")]
    pub(crate) users: Option<usize>,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}
