//! Chooses the reader of a text format.

use super::{
    atomic, delimited::Delimited, jsonl::JsonLines, movielens::MovieLens, sequences::Sequences,
};
use crate::{
    Error, Format,
    reader::{Reader, Text},
};

/// Opens a text file as `format`.
pub(crate) fn open(format: Format, text: Text) -> Result<Box<dyn Reader>, Error> {
    Ok(match format {
        Format::Csv => Box::new(Delimited::open(text)?),
        Format::Jsonl => Box::new(JsonLines::open(text)?),
        Format::Movielens => Box::new(MovieLens::open(text)),
        Format::Atomic => Box::new(atomic::open(text)?),
        Format::Sequences => Box::new(Sequences::open(text)),
        Format::Parquet => {
            let why = "it is compressed from outside or empty: give the plain file".into();
            return Err(Error::Parquet { path: text.path, why });
        }
    })
}
