//! Item texts to vectors: which fields make up a text, which encoder reads it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tastemaker_core::{Progress, Tokens, Vectors};
use tastemaker_data::{Column, Dataset, Table, Values};
use tastemaker_fetch as fetch;
use tastemaker_text::{
    BertEncoder, BertSettings, Cached, Distilled, Encoder, Precision, RemoteSettings, Template,
    TfIdf, WordVectors, distill, is_url,
};

pub use tastemaker_text::DistillSettings;

use crate::config::{Config, TextSettings};
use crate::reading::{Reading, holds_words};
use crate::registry::{FUSED, Kind};
use crate::{Error, Places, remote};

/// A column must fill this share of the rows to be taken up by `auto`.
const MIN_COVERAGE: f64 = 0.3;
/// The encoder `auto` asks for first.
const PREFERRED: &str = "minilm";

/// Which encoder read the texts; enough to open it again.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum EncoderChoice {
    /// Terms of the catalogue itself.
    Tfidf,
    /// A Hugging Face folder.
    Bert {
        /// Name in `weights list`, where it came from there.
        name: Option<String>,
        /// The folder.
        folder: PathBuf,
        /// Tokens read of each text; 0 = what the model allows.
        max_tokens: usize,
        /// What the model multiplies.
        #[serde(default)]
        precision: Precision,
        /// How it reads.
        #[serde(default)]
        reading: Reading,
    },
    /// A service behind an address.
    Remote {
        /// The address.
        url: String,
        /// How it is called, with the protocol that was found; keys are not in here.
        settings: Box<RemoteSettings>,
        /// Width of a vector.
        dim: usize,
        /// What stands before texts, and how many numbers are kept.
        #[serde(default)]
        reading: Reading,
    },
}

impl EncoderChoice {
    /// Returns the name people know the encoder by.
    pub fn name(&self) -> String {
        match self {
            Self::Tfidf => "tfidf".into(),
            Self::Bert { name: Some(name), .. } => name.clone(),
            Self::Bert { folder, .. } => folder.display().to_string(),
            Self::Remote { url, settings, .. } if settings.service.model.is_empty() => url.clone(),
            Self::Remote { url, settings, .. } => format!("{} at {url}", settings.service.model),
        }
    }
}

/// Turns the catalogue's texts into vectors, and new texts into the same space.
pub struct Reader {
    /// Which encoder it is.
    pub choice: EncoderChoice,
    /// How a text is made of fields.
    pub template: Template,
    /// The template as it was written.
    pub template_text: String,
    /// The encoder.
    pub encoder: Arc<dyn Encoder>,
    /// The fitted TF-IDF, when it is the encoder; it is saved with a model.
    pub tfidf: Option<Arc<TfIdf>>,
}

/// The vectors of a catalogue and what was done to get them.
pub struct Encoded {
    /// `[n_items, dim]`.
    pub vectors: Arc<Vectors>,
    /// Items with any text.
    pub with_text: usize,
    /// Texts of which the end was cut off.
    pub truncated: usize,
    /// Texts whose vectors were on disk.
    pub from_cache: usize,
}

/// Shares a fitted TF-IDF between the encoder's place and the saved model's.
struct Shared(Arc<TfIdf>);

impl Encoder for Shared {
    fn id(&self) -> String {
        self.0.id()
    }

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn encode(
        &self,
        texts: &[&str],
        progress: &dyn Progress,
    ) -> Result<tastemaker_text::Encoded, tastemaker_text::Error> {
        self.0.encode(texts, progress)
    }
}

impl Reader {
    /// Chooses and opens the encoder; `None` when the items have no text or none is wanted.
    pub fn open(
        items: &Table,
        settings: &TextSettings,
        seed: u64,
        places: &Places,
        progress: &dyn Progress,
    ) -> Result<Option<Self>, Error> {
        let Some((template, text)) = template(items, settings)? else { return Ok(None) };
        let texts = texts(items, &template);
        if settings.encoder == "none" || texts.iter().all(String::is_empty) {
            return Ok(None);
        }
        match Self::of_texts((&texts, &text), settings, seed, places, progress) {
            Ok(reader) => Ok(Some(reader)),
            // Nobody asked for these fields by name; models that read no texts go on without.
            Err(Error::Text(tastemaker_text::Error::NoWords { .. }))
                if settings.template == "auto" =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the encoder for texts that were made by `template`; TF-IDF is fitted on them.
    pub fn of_texts(
        (texts, template): (&[String], &str),
        settings: &TextSettings,
        seed: u64,
        places: &Places,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        if is_url(&settings.encoder) {
            let (choice, encoder) = remote::open(settings, places)?;
            let encoder = Reading::of_service(settings).around(Box::new(encoder))?;
            let cache = settings.cache.then_some(places);
            return Self::with_encoder(choice, template, encoder, cache);
        }
        let Some(folder) = weights(&settings.encoder, places, progress)? else {
            let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
            let tfidf = TfIdf::fit(&borrowed, &settings.tfidf, seed)?;
            return Self::with_tfidf(Arc::new(tfidf), template);
        };
        let name =
            fetch::find(fetch::Kind::Weights, &settings.encoder).map(|asset| asset.name.to_owned());
        let name = if settings.encoder == "auto" { Some(PREFERRED.to_owned()) } else { name.ok() };
        let TextSettings { max_tokens, precision, .. } = *settings;
        let reading = Reading::of(settings, &folder)?;
        let choice = EncoderChoice::Bert { name, folder, max_tokens, precision, reading };
        Self::with_choice(choice, template, (places, settings.cache))
    }

    /// Opens a reader whose choice was saved; whether vectors are kept on disk stands beside the places.
    pub fn with_choice(
        choice: EncoderChoice,
        template: &str,
        (places, cache): (&Places, bool),
    ) -> Result<Self, Error> {
        let encoder: Box<dyn Encoder> = match &choice {
            EncoderChoice::Tfidf => {
                return Err(Error::NotAModel {
                    path: PathBuf::new(),
                    why: "its TF-IDF terms are missing".into(),
                });
            }
            EncoderChoice::Bert { folder, max_tokens, precision, reading, .. } => {
                reading.open(folder, (*max_tokens, *precision))?
            }
            EncoderChoice::Remote { url, settings, dim, reading } => {
                reading.around(Box::new(remote::reopen(url, settings, *dim, places)?))?
            }
        };
        Self::with_encoder(choice, template, encoder, cache.then_some(places))
    }

    fn with_encoder(
        choice: EncoderChoice,
        template: &str,
        encoder: Box<dyn Encoder>,
        cache: Option<&Places>,
    ) -> Result<Self, Error> {
        let encoder: Arc<dyn Encoder> = match cache {
            Some(places) => Arc::new(Cached::new(encoder, &places.vectors())),
            None => encoder.into(),
        };
        Ok(Self {
            choice,
            template: Template::parse(template)?,
            template_text: template.into(),
            encoder,
            tfidf: None,
        })
    }

    /// Makes a reader of a fitted TF-IDF.
    pub fn with_tfidf(tfidf: Arc<TfIdf>, template: &str) -> Result<Self, Error> {
        let encoder = Arc::new(Shared(tfidf.clone()));
        let (choice, template_text) = (EncoderChoice::Tfidf, template.into());
        Ok(Self {
            choice,
            template: Template::parse(template)?,
            template_text,
            encoder,
            tfidf: Some(tfidf),
        })
    }

    /// Encodes the whole catalogue.
    pub fn encode(&self, data: &Dataset, progress: &dyn Progress) -> Result<Encoded, Error> {
        let texts = texts(&data.items, &self.template);
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encoded = self.encoder.encode(&borrowed, progress)?;
        let with_text = texts.iter().filter(|text| !text.is_empty()).count();
        let (truncated, from_cache) = (encoded.truncated, encoded.from_cache);
        Ok(Encoded { vectors: Arc::new(encoded.vectors), with_text, truncated, from_cache })
    }

    /// Cuts the texts of the catalogue into tokens where one of the models named reads them.
    pub fn tokens(
        &self,
        data: &Dataset,
        config: &Config,
        models: &[String],
    ) -> Result<Option<Tokens>, Error> {
        let is_fused = models.iter().any(|name| name == FUSED);
        let parts = if is_fused { &config.fusion.parts[..] } else { &[] };
        let mut kinds = models.iter().chain(parts).filter_map(|name| Kind::named(name));
        if !kinds.any(|kind| config.models.reads_tokens(kind)) {
            return Ok(None);
        }
        let texts = texts(&data.items, &self.template);
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(Some(self.encoder.tokens(&borrowed)?))
    }
}

/// Distills the encoder that `text` names into a table of token vectors.
pub fn distill_encoder(
    text: &TextSettings,
    settings: DistillSettings,
    places: &Places,
    progress: &dyn Progress,
) -> Result<Distilled, Error> {
    let folder = language_model(&text.encoder, places, progress)?;
    let bert = BertSettings { precision: text.precision, ..BertSettings::default() };
    let encoder = BertEncoder::open(&folder, &bert)?;
    Ok(distill((&folder, &encoder), settings, progress)?)
}

/// Finds the folder of the language model `encoder`.
pub(crate) fn language_model(
    encoder: &str,
    places: &Places,
    progress: &dyn Progress,
) -> Result<PathBuf, Error> {
    let folder = weights(encoder, places, progress)?.filter(|folder| !holds_words(folder));
    folder.ok_or_else(|| {
        let problem = format!(
            "`{encoder}` is no language model: name a folder, or one of `weights list` such as minilm"
        );
        tastemaker_text::Error::Setting { field: "text.encoder", problem }.into()
    })
}

/// Returns the text of every item; empty where it has none.
pub fn texts(items: &Table, template: &Template) -> Vec<String> {
    (0..items.ids().len()).map(|row| template.render(|field| items.field(row, field))).collect()
}

/// Parses the template, or makes one of the columns that hold words.
pub(crate) fn template(
    items: &Table,
    settings: &TextSettings,
) -> Result<Option<(Template, String)>, Error> {
    let text =
        if settings.template == "auto" { auto_template(items) } else { settings.template.clone() };
    if text.is_empty() {
        return Ok(None);
    }
    let template = Template::parse(&text)?;
    let known: Vec<&str> = items.columns().iter().map(|c| c.name.as_str()).collect();
    if let Some(field) = template.fields().find(|field| !known.contains(field)) {
        return Err(Error::UnknownField { field: field.into(), known: known.join(", ") });
    }
    Ok(Some((template, text)))
}

/// Takes title-like columns first, then words of categories, then descriptions; passes over codes and links.
fn auto_template(items: &Table) -> String {
    let rows = items.ids().len().max(1);
    let worth = |c: &&Column| match &c.values {
        Values::Text(texts) => {
            is_title(c) || reads_like_words(texts.iter().map(String::as_str), rows, 2.0)
        }
        Values::Categories(lists) => {
            reads_like_words(lists.iter().flatten().map(String::as_str), 0, 1.0)
        }
        Values::Number(_) => false,
    };
    let place = |c: &&Column| match c.values {
        _ if is_title(c) => 0,
        Values::Categories(_) => 1,
        _ => 2,
    };
    let mut columns: Vec<&Column> = items.columns().iter().filter(worth).collect();
    columns.sort_by_key(place);
    columns.iter().map(|c| format!("{{{}}}", c.name)).collect::<Vec<_>>().join(". ")
}

/// Tells by its name whether a column holds titles.
pub(crate) fn is_title(column: &Column) -> bool {
    let name = column.name.to_lowercase();
    name.contains("title") || name == "name"
}

/// Words are separated by spaces (or written without, as in Chinese) and hold few digits; codes and links are not.
fn reads_like_words<'a>(texts: impl Iterator<Item = &'a str>, rows: usize, min_words: f64) -> bool {
    let (mut filled, mut words, mut letters, mut others) = (0usize, 0usize, 0usize, 0usize);
    for text in texts.filter(|text| !text.trim().is_empty()).take(2000) {
        filled += 1;
        words += text.split_whitespace().count();
        words += text.chars().filter(|&c| ('\u{3040}'..='\u{9fff}').contains(&c)).count() / 2;
        let is_link = text.contains("://") || text.starts_with('/');
        letters += text.chars().filter(|c| c.is_alphabetic() && !is_link).count();
        others += text.chars().filter(|c| c.is_numeric() || is_link).count();
    }
    let covers = rows == 0 || filled as f64 >= MIN_COVERAGE * rows.min(2000) as f64;
    filled > 0 && covers && words as f64 >= min_words * filled as f64 && letters > 4 * others
}

/// Finds the folder or file of the wanted weights; `None` means TF-IDF.
pub(crate) fn weights(
    encoder: &str,
    places: &Places,
    progress: &dyn Progress,
) -> Result<Option<PathBuf>, Error> {
    match encoder {
        "tfidf" => Ok(None),
        url if is_url(url) => {
            let problem =
                "is a service, and this needs the weights: name one of `weights list` or a folder";
            let field = "text.encoder";
            Err(tastemaker_text::Error::Setting { field, problem: problem.into() }.into())
        }
        "auto" => {
            let asset = fetch::find(fetch::Kind::Weights, PREFERRED)?;
            match fetch::get(asset, &places.fetch, progress) {
                Ok(folder) => Ok(Some(folder)),
                Err(error @ fetch::Error::Unreachable { .. }) => {
                    tracing::warn!(
                        "{PREFERRED} cannot be had, texts are read with TF-IDF: {error}"
                    );
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            }
        }
        path if Path::new(path).is_dir() => Ok(Some(PathBuf::from(path))),
        path if WordVectors::is_named(Path::new(path)) => Ok(Some(PathBuf::from(path))),
        name => {
            let asset = fetch::find(fetch::Kind::Weights, name)?;
            Ok(Some(fetch::get(asset, &places.fetch, progress)?))
        }
    }
}
