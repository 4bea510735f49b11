//! Texts to a file of vectors.

use std::io::Read as _;
use std::path::Path;

use serde::Serialize;
use tastemaker_core::{Clock, Progress};
use tastemaker_data::Dataset;

use super::run::{Written, written};
use super::{VectorFormat, files};
use crate::config::Config;
use crate::texts::{Reader, texts};
use crate::{Error, Places};

/// Largest file of texts that is read.
const LIMIT: u64 = 4 << 30;

/// Where texts come from.
#[derive(Clone, Copy, Debug)]
pub enum TextSource<'a> {
    /// The items of a data set, by `text.template`.
    Items(&'a Dataset),
    /// A file of UTF-8, one text a line; ids are the numbers of lines, from 1.
    Lines(&'a Path),
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
    /// The files.
    pub files: Vec<Written>,
}

/// Encodes texts and writes their vectors to `out`, in the format that its name ends in.
///
/// # Errors
/// When the source cannot be read or holds no texts, the encoder cannot be opened, or the file cannot be written.
pub fn encode(
    (source, out): (TextSource<'_>, &Path),
    config: &Config,
    places: &Places,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<EncodedFile, Error> {
    VectorFormat::of(out)?;
    let (seed, none) = (config.run.seed, || Error::NoTexts);
    let (reader, id_name, ids, texts) = match source {
        TextSource::Items(data) => {
            let reader = Reader::open(&data.items, &config.text, seed, places, progress)?;
            let reader = reader.ok_or_else(none)?;
            let texts = texts(&data.items, &reader.template);
            let ids: Vec<String> = data.items.ids().iter().map(str::to_owned).collect();
            (reader, "item_id", ids, texts)
        }
        TextSource::Lines(path) => {
            let texts = lines(path)?;
            if config.text.encoder == "none" || texts.is_empty() {
                return Err(none());
            }
            let template = "{text}";
            let reader =
                Reader::of_texts((&texts, template), &config.text, seed, places, progress)?;
            let ids: Vec<String> = (1..=texts.len()).map(|line| line.to_string()).collect();
            (reader, "line", ids, texts)
        }
    };
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let start = clock.seconds();
    let encoded = reader.encoder.encode(&borrowed, progress)?;
    let seconds = clock.seconds() - start;
    let paths = files::write(out, id_name, &ids, &encoded.vectors)?;
    Ok(EncodedFile {
        encoder: reader.choice.name(),
        texts: texts.len(),
        empty: texts.iter().filter(|text| text.trim().is_empty()).count(),
        truncated: encoded.truncated,
        from_cache: encoded.from_cache,
        dims: reader.encoder.dim(),
        seconds,
        files: paths.into_iter().map(written).collect::<Result<_, _>>()?,
    })
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
