//! An encoder behind an address: texts go there in batches, several at once, and vectors are handed on as they come.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use serde_json::json;
use tastemaker_core::{Progress, Vectors};

use super::answer::{self, Answer};
use super::budget::{Tokens, guess};
use super::client::{Client, Failed, Patience};
use super::settings::MAX_DIM;
use super::{
    ApiKey, Done, EncodingFormat, PersonalData, Redact, RemoteFault, RemoteKind, RemoteSettings,
    Unredacted,
};
use crate::{Encoded, Encoder, Error};

/// Bytes of the texts of a call, unless a single one has more.
const BATCH_BYTES: usize = 256 << 10;
/// What is encoded to learn how wide vectors are.
const PROBE: &str = "dimensions";

/// A service of vectors.
pub struct RemoteEncoder {
    client: Client,
    settings: RemoteSettings,
    dim: usize,
    redact: Box<dyn Redact>,
}

impl fmt::Debug for RemoteEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEncoder").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl RemoteEncoder {
    /// Opens the service at an address like `http://localhost:8080/v1`; one call tells the protocol and the width of vectors.
    ///
    /// # Errors
    /// When the settings cannot be, a key is missing, or the service does not answer as it should.
    pub fn open(url: &str, settings: &RemoteSettings, key: Option<ApiKey>) -> Result<Self, Error> {
        let mut encoder = Self::new(url, settings, key)?;
        let kinds: &[RemoteKind] = match settings.kind {
            RemoteKind::Auto if settings.service.model.is_empty() => &[RemoteKind::Tei],
            RemoteKind::Auto => &[RemoteKind::Openai, RemoteKind::Tei],
            RemoteKind::Openai => &[RemoteKind::Openai],
            RemoteKind::Tei => &[RemoteKind::Tei],
        };
        let mut first = None;
        for &kind in kinds {
            encoder.settings.kind = kind;
            match encoder.call(&[Cow::Borrowed(PROBE)], &|| false) {
                Ok(vectors) => {
                    encoder.dim = vectors.row(0).len();
                    return Ok(encoder);
                }
                Err(fault @ RemoteFault::Status { status: 404 | 405, .. }) => {
                    first.get_or_insert_with(|| encoder.error(fault, None));
                }
                Err(fault) => return Err(encoder.error(fault, None)),
            }
        }
        Err(first.expect("one protocol is tried at least"))
    }

    /// Opens a service that is known already, by what [`RemoteEncoder::resolved`] and [`Encoder::dim`] said; nothing is called.
    pub fn reopen(
        url: &str,
        settings: &RemoteSettings,
        dim: usize,
        key: Option<ApiKey>,
    ) -> Result<Self, Error> {
        let encoder = Self { dim, ..Self::new(url, settings, key)? };
        if settings.kind == RemoteKind::Auto || !(1..=MAX_DIM).contains(&dim) {
            let problem = "does not say which protocol and dimensions it has: open it anew".into();
            return Err(Error::Setting { field: "text.remote", problem });
        }
        Ok(encoder)
    }

    fn new(url: &str, settings: &RemoteSettings, key: Option<ApiKey>) -> Result<Self, Error> {
        if let Some(fault) = settings.faults().into_iter().next() {
            return Err(Error::setting(fault.field, fault.problem));
        }
        let error = |fault| Error::Remote { endpoint: url.to_owned(), fault, done: None };
        let service = &settings.service;
        if service.model.is_empty() && settings.kind == RemoteKind::Openai {
            return Err(error(RemoteFault::NoModel));
        }
        let client = Client::new(url, service, 0.0, key, Patience::Whole).map_err(error)?;
        let redact: Box<dyn Redact> =
            if service.redact { Box::new(PersonalData) } else { Box::new(Unredacted) };
        Ok(Self { client, settings: settings.clone(), dim: 0, redact })
    }

    /// Strikes out what `redact` says, in place of what the settings say.
    #[must_use]
    pub fn with_redaction(self, redact: Box<dyn Redact>) -> Self {
        Self { redact, ..self }
    }

    /// Returns the settings with the protocol that was found.
    pub fn resolved(&self) -> &RemoteSettings {
        &self.settings
    }

    fn path(&self) -> &'static str {
        if self.settings.kind == RemoteKind::Tei { "embed" } else { "embeddings" }
    }

    fn error(&self, fault: RemoteFault, done: Option<Done>) -> Error {
        Error::Remote { endpoint: self.client.address(self.path()), fault, done }
    }

    /// Returns what is sent of a text, and whether it was cut.
    fn prepare<'a>(&self, text: &'a str) -> (Cow<'a, str>, bool) {
        let text = self.redact.redact(text);
        let end = match self.settings.max_chars {
            0 => None,
            most => text.char_indices().nth(most).map(|(at, _)| at),
        };
        match (end, text) {
            (None, text) => (text, false),
            (Some(end), Cow::Borrowed(text)) => (Cow::Borrowed(&text[..end]), true),
            (Some(end), Cow::Owned(mut text)) => {
                text.truncate(end);
                (Cow::Owned(text), true)
            }
        }
    }

    fn body(&self, texts: &[Cow<'_, str>]) -> Vec<u8> {
        let settings = &self.settings;
        let mut body = if settings.kind == RemoteKind::Tei {
            json!({ "inputs": texts, "truncate": true, "normalize": true })
        } else {
            let format = match settings.encoding_format {
                EncodingFormat::Float => "float",
                EncodingFormat::Base64 => "base64",
            };
            json!({ "model": settings.service.model, "input": texts, "encoding_format": format })
        };
        if settings.dimensions > 0 {
            body["dimensions"] = settings.dimensions.into();
        }
        body.to_string().into_bytes()
    }

    /// Encodes the texts of one call.
    fn call(
        &self,
        texts: &[Cow<'_, str>],
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Vectors, RemoteFault> {
        let body = self.body(texts);
        let sent = texts.iter().map(|text| guess(text)).sum();
        let wanted = if self.dim > 0 { self.dim } else { self.settings.dimensions };
        let limit = answer::limit(texts.len(), if wanted > 0 { wanted } else { MAX_DIM });
        self.client.retry(Tokens { sent, written: 0 }, is_cancelled, &mut || {
            let response = self.client.post(self.path(), &body)?;
            let bytes = self.client.read(response, limit)?;
            let read = if self.settings.kind == RemoteKind::Tei {
                answer::tei(&bytes, texts.len())
            } else {
                answer::openai(&bytes, texts.len())
            };
            let Answer { mut vectors, tokens } = read.map_err(Failed::for_good)?;
            let found = vectors.row(0).len();
            if found > MAX_DIM || (wanted > 0 && found != wanted) {
                let wanted = if wanted > 0 { wanted } else { MAX_DIM };
                return Err(Failed::for_good(RemoteFault::Dimensions { found, wanted }));
            }
            vectors.normalise();
            Ok((vectors, tokens.map(|sent| Tokens { sent, written: 0 })))
        })
    }

    /// Cuts texts into calls.
    fn batches(&self, texts: &[(usize, Cow<'_, str>)]) -> Vec<Range<usize>> {
        let mut batches: Vec<Range<usize>> = Vec::new();
        let mut bytes = 0;
        for (at, (_, text)) in texts.iter().enumerate() {
            match batches.last_mut() {
                Some(batch)
                    if batch.len() < self.settings.batch && bytes + text.len() <= BATCH_BYTES =>
                {
                    batch.end = at + 1;
                }
                _ => {
                    batches.push(at..at + 1);
                    bytes = 0;
                }
            }
            bytes += text.len();
        }
        batches
    }
}

impl Encoder for RemoteEncoder {
    fn id(&self) -> String {
        let RemoteSettings { service, dimensions, max_chars, .. } = &self.settings;
        let (endpoint, redaction) = (self.client.address(self.path()), self.redact.id());
        let model = &service.model;
        format!("remote/{endpoint}/{model}/{}/{dimensions}/{max_chars}/{redaction}", self.dim)
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
        let mut vectors = Vectors::zeros(texts.len(), self.dim);
        let truncated = self.encode_parts(texts, progress, &mut |rows, part| {
            for (at, &row) in rows.iter().enumerate() {
                vectors.row_mut(row).copy_from_slice(part.row(at));
            }
        })?;
        Ok(Encoded { vectors, truncated, from_cache: 0 })
    }

    fn encode_parts(
        &self,
        texts: &[&str],
        progress: &dyn Progress,
        keep: &mut dyn FnMut(&[usize], &Vectors),
    ) -> Result<usize, Error> {
        let (mut wanted, mut blank, mut truncated) = (Vec::new(), Vec::new(), 0);
        for (row, text) in texts.iter().enumerate() {
            if text.trim().is_empty() {
                blank.push(row);
                continue;
            }
            let (text, is_cut) = self.prepare(text);
            truncated += usize::from(is_cut);
            wanted.push((row, text));
        }
        keep(&blank, &Vectors::zeros(blank.len(), self.dim));
        let batches = self.batches(&wanted);
        let (total, mut done) = (texts.len(), blank.len());
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let is_cancelled = || stop.load(Ordering::Relaxed) || progress.is_cancelled();
        let work = |results: mpsc::Sender<(usize, Result<Vectors, RemoteFault>)>| {
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                let texts: Vec<Cow<'_, str>> =
                    wanted[batch.clone()].iter().map(|(_, text)| Cow::Borrowed(&**text)).collect();
                let result = self.call(&texts, &is_cancelled);
                let has_failed = result.is_err();
                if has_failed {
                    stop.store(true, Ordering::Relaxed);
                }
                if results.send((batch.start, result)).is_err() || has_failed {
                    return;
                }
            }
        };
        let mut first: Option<RemoteFault> = None;
        std::thread::scope(|scope| {
            let (sender, results) = mpsc::channel();
            for _ in 0..self.settings.concurrency.min(batches.len()) {
                let sender = sender.clone();
                let work = &work;
                scope.spawn(move || work(sender));
            }
            drop(sender);
            for (start, result) in results {
                match result {
                    Ok(vectors) => {
                        let rows: Vec<usize> =
                            wanted[start..][..vectors.rows()].iter().map(|(row, _)| *row).collect();
                        keep(&rows, &vectors);
                        done += rows.len();
                        progress.report("encoding texts", done, total);
                    }
                    // That others were stopped is no reason.
                    Err(fault) if first.as_ref().is_none_or(|f| *f == RemoteFault::Cancelled) => {
                        first = Some(fault);
                    }
                    Err(_) => {}
                }
            }
        });
        match first {
            Some(fault) => Err(self.error(fault, Some(Done { done, total }))),
            None => {
                progress.report("encoding texts", total, total);
                Ok(truncated)
            }
        }
    }
}
