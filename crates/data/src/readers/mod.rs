//! The file formats, one file each.

mod atomic;
mod delimited;
mod door;
mod jsonl;
mod movielens;
mod parquet;
mod sequences;

pub(crate) use atomic::is_atomic;
pub(crate) use door::open;
pub(crate) use movielens::is_movielens;
pub(crate) use parquet::Parquet;
