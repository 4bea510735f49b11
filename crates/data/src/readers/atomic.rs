//! `RecBole` atomic files: tab-separated, with a header of `name:type`.

use super::delimited::{Delimited, Dialect};
use crate::{
    Error,
    reader::{Field, Hint, Text},
};

const TYPES: [&str; 4] = ["token", "token_seq", "float", "float_seq"];

/// Opens an atomic file.
pub(super) fn open(text: Text) -> Result<Delimited, Error> {
    let mut reader = Delimited::with_dialect(text, Dialect { separator: b'\t', quoting: false })?;
    for column in reader.columns_mut() {
        if let Some((name, kind)) = column.name.rsplit_once(':') {
            let hint = if kind == "token_seq" { Hint::Words } else { Hint::Any };
            *column = Field { name: name.into(), hint };
        }
    }
    Ok(reader)
}

/// Tells whether a line is the header of an atomic file.
pub(crate) fn is_atomic(line: &[u8]) -> bool {
    let Ok(line) = str::from_utf8(line) else { return false };
    line.split('\t').all(|f| f.rsplit_once(':').is_some_and(|(_, kind)| TYPES.contains(&kind)))
}
