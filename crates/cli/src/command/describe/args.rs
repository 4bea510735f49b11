//! What `tastemaker describe` can be told.

use std::path::PathBuf;

use clap::Args;

use crate::args::{ConfigArgs, id, seconds};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker describe --data data --out described.jsonl
  tastemaker describe --data data --out described.jsonl --chat-model qwen-0.5b --limit 20
  tastemaker describe --data data --out described.jsonl --chat-model qwen-0.5b --continue --items-out items.jsonl
  tastemaker import --interactions events.csv --items items.jsonl --out data2      summary and tags are columns now

Without a model the summary is the sentences of the item's text that say most of it (TextRank), and tags are its terms by TF-IDF. A model
may write the summary, in words of the item's text alone, and choose among the best 20 terms. Ctrl-C keeps what is done.")]
pub(crate) struct Describe {
    /// Data-set folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// File for the descriptions: JSON lines of `item_id`, summary, tags, author, note
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// File for all items with their columns, and summary and tags as two more, for `import --items`
    #[arg(long, value_name = "FILE")]
    pub(crate) items_out: Option<PathBuf>,
    /// Keep the lines of the file that is there, and do the rest
    #[arg(long = "continue")]
    pub(crate) is_continued: bool,
    /// Item ids [default: all]
    #[arg(long, value_delimiter = ',', value_name = "IDS", value_parser = id)]
    pub(crate) items: Vec<String>,
    /// Describe so many items, in the order of the catalogue; with --continue, so many more
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Tags of an item, at most; 0 to 50
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(..=50))]
    pub(crate) tags: u32,
    /// Words of a summary, at most; 1 to 500
    #[arg(long, default_value_t = 25, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) words: u32,
    /// A language model that writes summaries and chooses tags: a name of `weights list`, a GGUF file, or the address of a service
    #[arg(long, value_name = "NAME_OR_FILE_OR_URL")]
    pub(crate) chat_model: Option<String>,
    /// Seconds the model may take for an item; after that the item is described without it
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) ceiling_s: f64,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}
