//! Everything that vectors of a folder's encoder depend on, as it is saved with a model.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tastemaker_core::{Fault, Progress};
use tastemaker_text::{
    BertSettings, Encoder, Narrowed, Precision, Prefixed, Prompts, Summary, WordEncoder, is_url,
};

use super::words::{holds_words, word_vectors};
use crate::config::TextSettings;
use crate::texts::weights;
use crate::{Error, Places};

/// As the folder says.
const AUTO: &str = "auto";
/// Longest prefix, in bytes.
const MAX_PREFIX: usize = 4096;
/// Most windows of a text.
const MAX_WINDOWS: usize = 64;

/// How a language model reads a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// What stands before every text.
    pub prefix: String,
    /// Windows of a text.
    pub windows: usize,
    /// Tokens that windows have in common.
    pub overlap: usize,
    /// How longer texts are shortened.
    pub summary: Summary,
    /// Numbers of a vector that are kept; 0 = all.
    pub dim: usize,
}

impl Default for Reading {
    fn default() -> Self {
        Self { prefix: String::new(), windows: 1, overlap: 0, summary: Summary::Off, dim: 0 }
    }
}

impl Reading {
    /// Takes what the settings say, and the prefix of items from the folder where they leave it to that.
    pub(crate) fn of(settings: &TextSettings, folder: &Path) -> Result<Self, Error> {
        let TextSettings { windows, overlap, summary, dim, .. } = *settings;
        let prefix = match settings.prefix.as_str() {
            AUTO => prompts(folder)?.item,
            given => given.to_owned(),
        };
        Ok(Self { prefix, windows, overlap, summary, dim })
    }

    /// Opens a folder's encoder to read like this; `max_tokens` 0 = as the folder says.
    pub(crate) fn open(
        &self,
        folder: &Path,
        (max_tokens, precision): (usize, Precision),
    ) -> Result<Box<dyn Encoder>, Error> {
        let settings = BertSettings {
            max_tokens: (max_tokens > 0).then_some(max_tokens),
            precision,
            windows: self.windows,
            overlap: self.overlap,
            summary: self.summary,
            ..BertSettings::default()
        };
        let encoder: Box<dyn Encoder> = if holds_words(folder) {
            Box::new(WordEncoder::new(word_vectors(folder)?))
        } else {
            tastemaker_text::open(folder, &settings)?
        };
        self.around(encoder)
    }

    /// Takes what concerns a service: a prefix that was given, and the width.
    pub(crate) fn of_service(settings: &TextSettings) -> Self {
        let given = Some(&settings.prefix).filter(|prefix| *prefix != AUTO);
        let prefix = given.cloned().unwrap_or_default();
        Self { prefix, dim: settings.dim, ..Self::default() }
    }

    /// Lets an encoder read texts with the prefix, and keep as many numbers as wanted.
    pub(crate) fn around(&self, mut encoder: Box<dyn Encoder>) -> Result<Box<dyn Encoder>, Error> {
        if !self.prefix.is_empty() {
            encoder = Box::new(Prefixed::new(encoder, &self.prefix));
        }
        if self.dim > 0 && self.dim != encoder.dim() {
            encoder = Box::new(Narrowed::new(encoder, self.dim)?);
        }
        Ok(encoder)
    }
}

impl TextSettings {
    /// Lists impossible values.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let Self { windows, .. } = *self;
        let prefix = |field, prefix: &str| {
            Fault::unless(prefix.len() <= MAX_PREFIX, field, || {
                format!("must be at most {MAX_PREFIX} bytes long, has {}", prefix.len())
            })
        };
        let faults = [
            Fault::unless((1..=MAX_WINDOWS).contains(&windows), "windows", || {
                format!("must be between 1 and {MAX_WINDOWS}, is {windows}")
            }),
            prefix("prefix", &self.prefix),
            prefix("query_prefix", &self.query_prefix),
        ];
        faults.into_iter().flatten().collect()
    }
}

/// Returns what stands before a question: as the settings say, or as the folder of their encoder does.
pub(crate) fn query_prefix(
    settings: &TextSettings,
    places: &Places,
    progress: &dyn Progress,
) -> Result<String, Error> {
    if settings.query_prefix != AUTO {
        return Ok(settings.query_prefix.clone());
    }
    if is_url(&settings.encoder) {
        return Ok(String::new());
    }
    let folder = weights(&settings.encoder, places, progress)?;
    Ok(folder.map_or(Ok(Prompts::default()), |folder| prompts(&folder))?.query)
}

/// Returns the prefixes of a folder's model; word vectors have none.
fn prompts(folder: &Path) -> Result<Prompts, Error> {
    Ok(if holds_words(folder) { Prompts::default() } else { Prompts::of(folder)? })
}
