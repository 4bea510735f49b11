//! What `tastemaker chat` can be told.

use std::path::PathBuf;

use clap::Args;

use crate::args::ConfigArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker chat                                                      a talk, one line a turn; Ctrl-C ends a reply, Ctrl-D the talk
  tastemaker chat --prompt 'Recommend a film like Alien, in one sentence.' --max-tokens 60
  tastemaker chat --prompt 'Which is about space?' --choice Alien --choice Heat --choice Amélie
  tastemaker chat --prompt 'Describe Alien.' --schema film.json --format json
  tastemaker chat --model model.gguf --system 'You answer in Chinese.'
  tastemaker chat --model http://localhost:8080/v1 --set remote_chat.model=NAME

Models of this machine are GGUF files of the Qwen2, Qwen3 and Llama 3 families.")]
pub(crate) struct Chat {
    /// A name of `weights list`, a GGUF file, or the address of a service [default: chat.model of the settings]
    #[arg(long, value_name = "NAME_OR_FILE_OR_URL")]
    pub(crate) model: Option<String>,
    /// Say this and end; without it, every line of standard input is a turn
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// What the model is told before the talk
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Tokens of a reply, at most
    #[arg(long, default_value_t = 512, value_name = "N")]
    pub(crate) max_tokens: usize,
    /// 0 = always the most likely token; up to 2
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    pub(crate) temperature: f32,
    /// Draw from the smallest set of tokens that holds this much probability
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    pub(crate) top_p: f32,
    /// End a reply before this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// The reply is one of these; may be repeated
    #[arg(long, value_name = "TEXT", conflicts_with = "schema")]
    pub(crate) choice: Vec<String>,
    /// The reply is JSON of this JSON Schema
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}
