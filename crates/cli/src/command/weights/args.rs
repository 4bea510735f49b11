//! What can be said after `tastemaker weights`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::{AssetAction, ConfigArgs};

#[derive(Debug, Args)]
pub(crate) struct Weights {
    #[command(subcommand)]
    pub(crate) action: WeightsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WeightsAction {
    #[command(flatten)]
    Assets(AssetAction),
    /// Make a table of token vectors of an encoder: tens of thousands of texts a second, less exact
    Distill(Distill),
    /// Show what is in a model's folder, and whether it can be used here
    Inspect(Inspect),
    /// Put a LoRA adapter or a prefix, ours or PEFT's, into the encoder it was learnt on
    Merge(Merge),
    /// Take heads or layers that count least from a model, and tell what that gains and costs
    Prune(Prune),
    /// Measure what `text.precision` gains and costs: speed, likeness to f32, and with --data the lists of text-knn
    Quantize(Quantize),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tastemaker weights distill --out words
  tastemaker evaluate --data data --models text-knn --set text.encoder=words")]
pub(crate) struct Distill {
    /// A name of `weights list`, or a Hugging Face folder
    #[arg(long, default_value = "minilm", value_name = "NAME")]
    pub(crate) encoder: String,
    /// Folder to write; opens with Python's model2vec too
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Numbers of a vector
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub(crate) dim: usize,
    /// Share of all tokens from which on a token counts less than half
    #[arg(long, default_value_t = 0.001, value_name = "SHARE")]
    pub(crate) smoothing: f64,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker weights inspect minilm
  tastemaker weights inspect folder --tensors")]
pub(crate) struct Inspect {
    /// A name of `weights list`, or a Hugging Face folder
    #[arg(value_name = "NAME")]
    pub(crate) encoder: String,
    /// List every tensor; JSON always does
    #[arg(long)]
    pub(crate) tensors: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tastemaker weights merge --base minilm --adapter tuned/lora --out merged
  tastemaker train --data data --set text.encoder=merged --out model

LoRA is added to the weights. A prefix cannot be: it stays a folder of its own in the folder that is written.")]
pub(crate) struct Merge {
    /// The encoder: a name of `weights list`, or a Hugging Face folder
    #[arg(long, value_name = "NAME")]
    pub(crate) base: String,
    /// Folder with `adapter_config.json` and `adapter_model.safetensors`
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: PathBuf,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["data", "texts"])))]
#[command(group(clap::ArgGroup::new("cut").required(true).args(["heads", "layers", "share"])))]
#[command(after_help = "\
Examples:
  tastemaker weights prune minilm --layers 2 --data data --out smaller
  tastemaker weights prune minilm --share 0.25 --texts texts.txt --out smaller
  tastemaker evaluate --data data --models text-knn --set text.encoder=smaller

Some of the texts say what goes, likeness is told of the others. With --data the lists are measured on the test part of the
split: a check of a choice, not a way to search for one.")]
pub(crate) struct Prune {
    /// A name of `weights list`, or a Hugging Face folder
    #[arg(value_name = "NAME")]
    pub(crate) encoder: String,
    /// Folder to write: a Hugging Face folder like the one read
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Heads to take; every layer keeps one
    #[arg(long, value_name = "N")]
    pub(crate) heads: Option<usize>,
    /// Share of the heads to take, above 0 and below 1
    #[arg(long, value_name = "X")]
    pub(crate) share: Option<f64>,
    /// Layers to take
    #[arg(long, value_name = "N")]
    pub(crate) layers: Option<usize>,
    /// Data-set folder: the texts of its items, and lists by them
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// File of UTF-8, one text a line
    #[arg(long, value_name = "FILE")]
    pub(crate) texts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["data", "texts"])))]
#[command(after_help = "\
Examples:
  tastemaker weights quantize --encoder minilm --data data
  tastemaker weights quantize --texts texts.txt --precision int8

Weights stay as they were published. What is chosen here is put to use with --set text.precision=int8.
With --data the lists are measured on the test part of the split: a check of a choice, not a way to search for one.")]
pub(crate) struct Quantize {
    /// A name of `weights list`, or a Hugging Face folder
    #[arg(long, default_value = "minilm", value_name = "NAME")]
    pub(crate) encoder: String,
    /// Data-set folder: the texts of its items, and lists by them
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// File of UTF-8, one text a line
    #[arg(long, value_name = "FILE")]
    pub(crate) texts: Option<PathBuf>,
    /// What to compare with f32, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["bf16", "int8"], value_name = "NAMES")]
    pub(crate) precision: Vec<SmallNumbers>,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

/// Numbers smaller than `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SmallNumbers {
    /// 2 bytes.
    Bf16,
    /// 1 byte.
    Int8,
}
