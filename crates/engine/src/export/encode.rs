//! Texts to a file of vectors.

use std::io::Read as _;
use std::path::Path;

use serde::Serialize;
use tastemaker_core::{Clock, Progress};
use tastemaker_data::{Dataset, TextRows, read_texts};

use super::files;
use super::run::{Written, written};
use super::storage::{Kept, VectorStorage};
use crate::config::Config;
use crate::reading::query_prefix;
use crate::texts::{Reader, texts};
use crate::{Error, Places};

/// Largest file of texts that is read.
const LIMIT: u64 = 4 << 30;
/// What the column of the vectors is called.
const VECTOR: &str = "vector";

/// Where texts come from.
#[derive(Clone, Copy, Debug)]
pub enum TextSource<'a> {
    /// The items of a data set, by `text.template`.
    Items(&'a Dataset),
    /// A file of UTF-8, one text a line; ids are the numbers of lines, from 1.
    Lines(&'a Path),
    /// A column of a file, in any format that can be imported.
    Column {
        /// The file.
        path: &'a Path,
        /// The column of the texts.
        text: &'a str,
        /// The column of their ids; else ids are the numbers of rows, from 1.
        id: Option<&'a str>,
    },
}

/// What to encode, and how to write it.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    /// The texts.
    pub source: TextSource<'a>,
    /// File for the vectors; the end of its name says the format.
    pub out: &'a Path,
    /// What a number is written as.
    pub storage: VectorStorage,
    /// The texts are questions, not items: `text.query_prefix` stands before them.
    pub is_query: bool,
}

/// Texts of a file, and what their ids are.
pub(crate) struct FileTexts<'a> {
    id_name: &'a str,
    ids: Vec<String>,
    pub(crate) texts: Vec<String>,
}

/// What was encoded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EncodedFile {
    /// The encoder.
    pub encoder: String,
    /// Number of texts.
    pub texts: usize,
    /// Texts without content: their vectors are zero.
    pub empty: usize,
    /// Texts of which the end was cut off.
    pub truncated: usize,
    /// Texts whose vectors were on disk.
    pub from_cache: usize,
    /// Numbers of a vector.
    pub dims: usize,
    /// Seconds to encode them, without opening the encoder.
    pub seconds: f64,
    /// Texts a second, those from the cache aside.
    pub texts_per_second: f64,
    /// What a number is written as.
    pub storage: VectorStorage,
    /// What smaller numbers keep of the nearest texts; `None` for `f32`.
    pub kept: Option<Kept>,
    /// The files.
    pub files: Vec<Written>,
}

/// Encodes texts and writes their vectors.
///
/// # Errors
/// When the source cannot be read or holds no texts, the encoder cannot be opened, or the file cannot be written.
pub fn encode(
    encoding: Encoding<'_>,
    config: &Config,
    places: &Places,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<EncodedFile, Error> {
    let Encoding { source, out, storage, is_query } = encoding;
    storage.check(out)?;
    let (seed, none) = (config.run.seed, || Error::NoTexts);
    let mut settings = config.text.clone();
    if is_query && settings.encoder != "none" {
        settings.prefix = query_prefix(&settings, places, progress)?;
    }
    let of_file = |FileTexts { id_name, ids, texts }| {
        if settings.encoder == "none" || texts.is_empty() {
            return Err(none());
        }
        let reader = Reader::of_texts((&texts, "{text}"), &settings, seed, places, progress)?;
        Ok((reader, id_name, ids, texts))
    };
    let (reader, id_name, ids, texts) = match source {
        TextSource::Items(data) => {
            let reader = Reader::open(&data.items, &settings, seed, places, progress)?;
            let reader = reader.ok_or_else(none)?;
            let texts = texts(&data.items, &reader.template);
            let ids: Vec<String> = data.items.ids().iter().map(str::to_owned).collect();
            (reader, "item_id", ids, texts)
        }
        TextSource::Lines(path) => of_file(FileTexts::lines(path)?)?,
        TextSource::Column { path, text, id } => {
            of_file(FileTexts::column(path, text, id, progress)?)?
        }
    };
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let start = clock.seconds();
    let encoded = reader.encoder.encode(&borrowed, progress)?;
    let seconds = clock.seconds() - start;
    let new = texts.len() - encoded.from_cache;
    let paths = files::write(out, id_name, &ids, (&encoded.vectors, storage))?;
    let kept = Kept::measure(&encoded.vectors, storage, progress);
    Ok(EncodedFile {
        encoder: reader.choice.name(),
        texts: texts.len(),
        empty: texts.iter().filter(|text| text.trim().is_empty()).count(),
        truncated: encoded.truncated,
        from_cache: encoded.from_cache,
        dims: reader.encoder.dim(),
        seconds,
        texts_per_second: new as f64 / seconds.max(1e-9),
        storage,
        kept,
        files: paths.into_iter().map(written).collect::<Result<_, _>>()?,
    })
}

impl<'a> FileTexts<'a> {
    /// Reads a file of lines.
    pub(crate) fn lines(path: &Path) -> Result<Self, Error> {
        let texts = lines(path)?;
        let ids = (1..=texts.len()).map(|line| line.to_string()).collect();
        Ok(Self { id_name: "line", ids, texts })
    }

    /// Reads a column of a file.
    pub(crate) fn column(
        path: &Path,
        text: &str,
        id: Option<&'a str>,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        // The column of the vectors has a name of its own.
        if id == Some(VECTOR) {
            return Err(Error::IdName { name: VECTOR });
        }
        let TextRows { ids, texts } = read_texts(path, text, id, progress)?;
        Ok(Self { id_name: id.unwrap_or("row"), ids, texts })
    }
}

/// Reads a file of lines.
fn lines(path: &Path) -> Result<Vec<String>, Error> {
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    let fault = |why: String| Error::Lines { path: path.to_owned(), why };
    if bytes.len() as u64 > LIMIT {
        return Err(fault(format!("has more than {LIMIT} bytes: split it")));
    }
    let text = String::from_utf8(bytes).map_err(|found| {
        let good = found.utf8_error().valid_up_to();
        let line = 1 + found.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count();
        fault(format!("line {line} is not UTF-8: save the file as UTF-8"))
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}
