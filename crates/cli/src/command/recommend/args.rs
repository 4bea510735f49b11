//! Arguments of `recommend`, `similar` and `explain`.

use std::path::PathBuf;

use clap::Args;

use crate::args::id;
use crate::command::writing::Writing;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker recommend --model model --user 42 --explain
  tastemaker recommend --model model --history 50,181,172 -n 5        a newcomer who took these, oldest first")]
pub(crate) struct Recommend {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// User id, as in the imported files
    #[arg(long, value_name = "ID", value_parser = id, required_unless_present_any = ["history", "words", "profile"])]
    pub(crate) user: Option<String>,
    /// Item ids taken, oldest first, instead of the user's own history
    #[arg(long, value_delimiter = ',', value_name = "IDS", value_parser = id)]
    pub(crate) history: Vec<String>,
    /// Somebody described in words; lines `Avoid: horror` and `Only: after 1990` are filters
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["profile", "only", "trace", "explain"])]
    pub(crate) words: Option<String>,
    /// A file that `tastemaker profile` wrote, or any other text that describes somebody
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "trace", "explain"])]
    pub(crate) profile: Option<PathBuf>,
    /// Item ids that must not be listed
    #[arg(long, value_delimiter = ',', value_name = "IDS", value_parser = id)]
    pub(crate) exclude: Vec<String>,
    /// How many items
    #[arg(short, default_value_t = 10, value_name = "N")]
    pub(crate) n: usize,
    /// Let items differ in their texts: off, mmr or dpp [default: as trained, `rerank.variety`]
    #[arg(long, value_name = "HOW")]
    pub(crate) variety: Option<String>,
    /// How much variety counts beside the score, 0 to 1 [default: as trained, `rerank.strength`]
    #[arg(long, value_name = "SHARE")]
    pub(crate) strength: Option<f32>,
    /// How much it counts that labels are mixed as in what the user took, 0 to 1 [default: as trained, `rerank.calibration`]
    #[arg(long, value_name = "SHARE")]
    pub(crate) calibration: Option<f32>,
    /// Add a reason to every item
    #[arg(long)]
    pub(crate) explain: bool,
    /// Another pipeline than the model was trained with: a TOML file with `[pipeline]` and, if wanted, `[rerank]`
    #[arg(long, value_name = "FILE")]
    pub(crate) pipeline: Option<PathBuf>,
    /// List only items of which this is true, as in 'price < 50 && "scifi" in categories'
    #[arg(long = "where", value_name = "EXPRESSION")]
    pub(crate) only: Option<String>,
    /// What variants of the pipeline look at, as in device=phone or arm=b
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) context: Vec<(String, String)>,
    /// Tell where each item came from, what moved it, and how long each stage took
    #[arg(long)]
    pub(crate) trace: bool,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// Reads `key=value`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write key=value, as in device=phone")?;
    match key.trim() {
        "" => Err("the key before `=` is empty".into()),
        key => Ok((key.to_owned(), value.trim().to_owned())),
    }
}

#[derive(Debug, Args)]
pub(crate) struct Similar {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Item id, as in the imported files
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) item: String,
    /// How many items
    #[arg(short, default_value_t = 10, value_name = "N")]
    pub(crate) n: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// User id
    #[arg(long, value_name = "ID", value_parser = id, required_unless_present = "history")]
    pub(crate) user: Option<String>,
    /// Item ids taken, oldest first, instead of the user's own history
    #[arg(long, value_delimiter = ',', value_name = "IDS", value_parser = id)]
    pub(crate) history: Vec<String>,
    /// Item id
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) item: String,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Takes the events that reasons cite out of the history, and as many others: the score must fall more without the first.
Example:
  tastemaker faithfulness --model model --users 500")]
pub(crate) struct Faithful {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Users, drawn among those with at least five events
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) users: u32,
    /// Items at the head of each one's list
    #[arg(short, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) n: u32,
    /// Seed of what is drawn
    #[arg(long, default_value_t = 42, value_name = "SEED")]
    pub(crate) seed: u64,
}
