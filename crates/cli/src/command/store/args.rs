//! What can be said after `tastemaker store`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::command::serve::StoreArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tastemaker store export --out today
  tastemaker store import --store other.db --events today/events.jsonl --items today/items.jsonl --users today/users.jsonl
  tastemaker store backup --out backups/tastemaker.db
  tastemaker store restore --from backups/tastemaker.db --store tastemaker.db --force

All but restore work while a server has the store open.")]
pub(crate) struct StoreCommand {
    #[command(subcommand)]
    pub(crate) action: StoreAction,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreAction {
    /// Write events, items and users of a tenant into files
    Export {
        /// Whose
        #[arg(long, default_value = "default", value_name = "NAME")]
        tenant: String,
        /// Folder for the files; those of an earlier export are replaced
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Format of the files
        #[arg(long = "file-format", value_enum, default_value = "jsonl")]
        kind: FileKindName,
    },
    /// Read files into the store: JSONL, Parquet or CSV with the names of the API, or Gorse's JSONL; .gz and .zst as they are
    #[command(after_help = "\
A line is what the API is told, one a line:
  events  {\"user_id\": \"u1\", \"item_id\": \"i1\", \"event_type\": \"click\", \"value\": 1.0, \"timestamp\": 1764410400, \"event_id\": \"e1\"}
  items   {\"item_id\": \"i1\", \"fields\": {\"title\": \"Heat\"}, \"categories\": [\"crime\"], \"hidden\": false}
  users   {\"user_id\": \"u1\", \"fields\": {\"age\": 30}}

Every file is checked to its end before the first row is written. Events with a known event_id are left as they are; one without an id gets
it from user, item, kind and time, so that importing again adds nothing. What was erased since is not brought back.")]
    Import(Import),
    /// Copy the whole store into one file, with keys and tenants, while a server writes to it (SQLite)
    Backup {
        /// The file; an earlier copy is replaced
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put a copy in the place of a store that no server has open (SQLite)
    Restore {
        /// The copy, as `backup` made it
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Replace a store that holds something
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("files").required(true).multiple(true).args(["events", "items", "users"]))]
pub(crate) struct Import {
    /// Whose
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub(crate) tenant: String,
    /// What users did
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Items
    #[arg(long, value_name = "FILE")]
    pub(crate) items: Option<PathBuf>,
    /// Users
    #[arg(long, value_name = "FILE")]
    pub(crate) users: Option<PathBuf>,
}

/// Names of the formats that files are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileKindName {
    /// Lines of JSON, as the API is told
    Jsonl,
    /// Apache Parquet
    Parquet,
}
