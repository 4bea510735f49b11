//! What can be said after `tastemaker retrain`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tastemaker_engine::retrain::{Promote, Rule};

use crate::args::ConfigArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tastemaker retrain --serving models/default/2026-11 --changes heard --out models/default/2026-12

The folder --changes has files of JSON lines, each of which may be missing:
  events.jsonl   {\"user_id\": \"u1\", \"item_id\": \"i1\", \"value\": 1.0, \"timestamp\": 1764410400}
  items.jsonl    {\"item_id\": \"i1\", \"fields\": {\"title\": \"Heat\"}}
  users.jsonl    {\"user_id\": \"u1\", \"fields\": {\"age\": 30}}
  erased.jsonl   {\"user\": \"u2\"} or {\"item\": \"i2\"}: left out of the serving model's data

The new model has the settings and the seed of the serving one and learns from all events. Both are judged on the newest events: the serving model as it
is, and one with its settings that learnt from everything before those. OUT.report.json says what came out.")]
pub(crate) struct Retrain {
    /// The model that serves now
    #[arg(long, value_name = "DIR")]
    pub(crate) serving: PathBuf,
    /// Folder with what was heard since it was trained
    #[arg(long, value_name = "DIR")]
    pub(crate) changes: PathBuf,
    /// Folder for the new model
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) rule: RuleArgs,
    /// End when stdin does, so that nothing is left when whoever started it is gone
    #[arg(long)]
    pub(crate) end_with_stdin: bool,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

/// When a new model takes the place of the old one.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct RuleArgs {
    /// When the new model should take the place of the old one
    #[arg(long, value_enum, default_value = "not-worse", value_name = "WHEN")]
    pub(crate) promote: PromoteName,
    /// Share of the serving model's NDCG@10 that the new one may lack
    #[arg(long, default_value_t = 0.01, value_name = "SHARE", value_parser = share)]
    pub(crate) tolerance: f64,
    /// Share of all events, the newest, to judge on; at most half of those that the serving model has not seen
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", value_parser = share)]
    pub(crate) holdout: f64,
    /// Judge nothing on fewer users than this
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) min_users: usize,
}

/// Names of [`Promote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PromoteName {
    /// When it was judged, and found not worse
    NotWorse,
    /// Whatever comes out
    Always,
    /// Never by itself
    Never,
}

impl RuleArgs {
    pub(crate) const fn rule(self) -> Rule {
        let promote = match self.promote {
            PromoteName::NotWorse => Promote::NotWorse,
            PromoteName::Always => Promote::Always,
            PromoteName::Never => Promote::Never,
        };
        let Self { tolerance, holdout, min_users, .. } = self;
        Rule { promote, tolerance, holdout, min_users }
    }
}

/// Reads a share of a whole.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if (0.0..1.0).contains(&number) { Ok(number) } else { Err("must lie from 0 to below 1".into()) }
}
