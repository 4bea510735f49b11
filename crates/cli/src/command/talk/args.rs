//! What `tastemaker chat-rec` and `tastemaker profile` can be told.

use std::path::PathBuf;

use clap::Args;

use crate::args::{ConfigArgs, id};
use crate::command::writing::Writing;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker chat-rec --model model --user 42                          one line a turn; Ctrl-D ends the talk
  tastemaker chat-rec --model model --chat-model qwen-0.5b             a language model helps with words
  printf 'something like Alien but not scary, after 1990\\nwhy the first?\\n' | tastemaker chat-rec --model model --format json
  tastemaker chat-rec --model model --lang zh

Say what you would like and what not, in English or Chinese; then: why, compare the first and the second, more, newer, not that one, I'll take
it, start over. With --format json every turn is one line of JSON.")]
pub(crate) struct ChatRec {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// User id, as in the imported files; without it, a newcomer
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) user: Option<String>,
    /// Items of a list, 1 to 20; a turn may ask for other numbers
    #[arg(short, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) n: u32,
    #[command(flatten)]
    pub(crate) writing: Writing,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker profile --model model --user 42
  tastemaker profile --model model --user 42 --out 42.txt              edit it, then:
  tastemaker recommend --model model --user 42 --profile 42.txt

Called again, --out writes the file anew when the user did something since, unless somebody has edited it.")]
pub(crate) struct ProfileArgs {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// User id
    #[arg(long, value_name = "ID", value_parser = id, required_unless_present = "history")]
    pub(crate) user: Option<String>,
    /// Item ids taken, oldest first, instead of the user's own history
    #[arg(long, value_delimiter = ',', value_name = "IDS", value_parser = id)]
    pub(crate) history: Vec<String>,
    /// File for the profile
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write the file even where somebody has edited it
    #[arg(long, requires = "out")]
    pub(crate) over: bool,
    #[command(flatten)]
    pub(crate) writing: Writing,
}
