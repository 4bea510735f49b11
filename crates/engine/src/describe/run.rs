//! Describes items one after another, and keeps what is done.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;
use tastemaker_core::{Clock, Fault, Progress};
use tastemaker_data::Dataset;
use tastemaker_dialog::{Author, Condensed, Source, condense};
use tastemaker_text::extract;

use super::catalogue::Catalogue;
use super::lines::{self, Description};
use crate::Error;
use crate::chat::{Ceiling, Writer};
use crate::config::TextSettings;

/// Tags that a model may choose among, where it is not asked for more.
const CANDIDATES: usize = 20;
/// Items described in one task without a model.
const BLOCK: usize = 1024;
/// Seconds after which what is done is kept.
const KEEP_SECONDS: f64 = 30.0;
/// Words of a summary and tags of an item, at most.
const MOST: [usize; 2] = [500, 50];
const TASK: &str = "describing items";

/// What is wanted of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeSettings {
    /// Words of a summary, at most; 1 to 500.
    pub words: usize,
    /// Tags of an item, at most; 0 to 50.
    pub tags: usize,
    /// Ids of the items; none = all.
    pub items: Vec<String>,
    /// Items described now, at most.
    pub limit: Option<usize>,
    /// Keeps what a file that is there says, and does the rest.
    pub is_continued: bool,
}

impl Default for DescribeSettings {
    fn default() -> Self {
        Self { words: 25, tags: 5, items: Vec::new(), limit: None, is_continued: false }
    }
}

/// Items to be described.
pub struct Describing<'a> {
    /// The catalogue.
    pub data: &'a Dataset,
    /// What an item's text is made of: its template.
    pub text: &'a TextSettings,
    /// What is wanted.
    pub settings: &'a DescribeSettings,
    /// A model that writes, and the seconds it may take for an item.
    pub writing: Option<(&'a Writer, f64)>,
    /// File for the descriptions.
    pub out: &'a Path,
    /// File for the items with their descriptions as columns, as `import` reads it.
    pub items_out: Option<&'a Path>,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Is told how far it is.
    pub progress: &'a dyn Progress,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DescribeReport {
    /// Items described now.
    pub items: usize,
    /// Descriptions that were in the file.
    pub kept: usize,
    /// Items without a text, which are left out.
    pub without_text: usize,
    /// The model that was asked.
    pub chat_model: Option<String>,
    /// Items whose summary and tags are the model's.
    pub by_model: usize,
    /// Items with a summary or tags of the model's.
    pub by_both: usize,
    /// Items described without the model.
    pub by_template: usize,
    /// Summaries that the guard dropped.
    pub dropped: usize,
    /// Items for which the model had no answer of use.
    pub failed: usize,
    /// Seconds it took.
    pub seconds: f64,
    /// The file of the descriptions.
    pub out: PathBuf,
    /// The file of the items.
    pub items_out: Option<PathBuf>,
    /// The first that were described now.
    #[serde(skip)]
    pub first: Vec<Description>,
}

impl DescribeSettings {
    /// Lists impossible values.
    pub fn faults(&self) -> Vec<Fault> {
        let [words, tags] = MOST;
        let in_words = Fault::unless((1..=words).contains(&self.words), "words", || {
            format!("must be between 1 and {words}, is {}", self.words)
        });
        let in_tags = Fault::unless(self.tags <= tags, "tags", || {
            format!("must be between 0 and {tags}, is {}", self.tags)
        });
        in_words.into_iter().chain(in_tags).collect()
    }
}

impl Describing<'_> {
    /// Describes all items that are asked for, and writes the files.
    ///
    /// # Errors
    /// When the items have no text, an id is not known, the file exists and is not to be gone on with, is damaged or cannot be written; or
    /// when it was cancelled: then what was done is in the file. A model that fails is no error.
    pub fn run(&self) -> Result<DescribeReport, Error> {
        let faults = self.settings.faults();
        if !faults.is_empty() {
            return Err(Error::settings("describe", &faults));
        }
        let start = self.clock.seconds();
        let mut all = self.earlier()?;
        let kept = all.len();
        let catalogue = Catalogue::read(self.data, self.text)?;
        let (mut rows, without_text) = catalogue.wanted(self.data, self.settings)?;
        let done: HashSet<&str> = all.iter().map(|one| one.item_id.as_str()).collect();
        rows.retain(|row| !done.contains(self.id(*row)));
        rows.truncate(self.settings.limit.unwrap_or(usize::MAX));
        let mut report = DescribeReport {
            kept,
            without_text,
            chat_model: self.writing.map(|(writer, _)| writer.id()),
            out: self.out.to_owned(),
            items_out: self.items_out.map(Path::to_owned),
            ..DescribeReport::default()
        };
        let is_whole = self.all(&catalogue, &rows, (&mut all, &mut report))?;
        lines::write(self.out, &all)?;
        if !is_whole {
            return Err(Error::DescribeStopped { done: all.len(), path: self.out.to_owned() });
        }
        if let Some(path) = self.items_out {
            lines::write_items(path, self.data, &all)?;
        }
        report.first = all.into_iter().skip(kept).take(5).collect();
        report.seconds = self.clock.seconds() - start;
        Ok(report)
    }

    /// Returns what the file says that is gone on with.
    fn earlier(&self) -> Result<Vec<Description>, Error> {
        match (self.out.exists(), self.settings.is_continued) {
            (false, _) => Ok(Vec::new()),
            (true, true) => lines::read(self.out),
            (true, false) => Err(Error::DescribedBefore { path: self.out.to_owned() }),
        }
    }

    /// Describes items, and keeps what is done from time to time; tells whether it came to the end.
    fn all(
        &self,
        catalogue: &Catalogue,
        rows: &[usize],
        (all, report): (&mut Vec<Description>, &mut DescribeReport),
    ) -> Result<bool, Error> {
        let block = if self.writing.is_some() { 1 } else { BLOCK };
        let mut kept_at = self.clock.seconds();
        for rows_now in rows.chunks(block) {
            if self.progress.is_cancelled() {
                return Ok(false);
            }
            let found: Vec<Condensed> = match self.writing {
                Some(writing) => {
                    rows_now.iter().map(|row| self.one(catalogue, *row, Some(writing))).collect()
                }
                None => rows_now.par_iter().map(|row| self.one(catalogue, *row, None)).collect(),
            };
            for (row, one) in rows_now.iter().zip(found) {
                report.count(&one);
                all.push(Description {
                    item_id: self.id(*row).to_owned(),
                    summary: one.summary,
                    tags: one.tags,
                    author: one.author,
                    note: one.dropped.or(one.failure),
                });
            }
            self.progress.report(TASK, report.items, rows.len());
            if self.clock.seconds() - kept_at >= KEEP_SECONDS {
                lines::write(self.out, all)?;
                kept_at = self.clock.seconds();
            }
        }
        self.progress.report(TASK, rows.len(), rows.len());
        Ok(true)
    }

    fn one(&self, catalogue: &Catalogue, row: usize, writing: Option<(&Writer, f64)>) -> Condensed {
        let DescribeSettings { words, tags, .. } = *self.settings;
        let text = &catalogue.texts[row];
        let most = if writing.is_some() && tags > 0 { CANDIDATES.max(tags) } else { tags };
        let candidates = catalogue.candidates(row, most);
        let extract = extract(&catalogue.prose(&self.data.items, row), words);
        let source = Source { text, words, tags, candidates: &candidates, extract: &extract };
        let Some((writer, seconds)) = writing else { return source.plain() };
        let ceiling = Ceiling::new(seconds);
        condense(&source, &mut |request| writer.ask(request, &ceiling))
    }

    fn id(&self, row: usize) -> &str {
        self.data.items.ids().name(u32::try_from(row).expect("items are numbered by u32"))
    }
}

impl DescribeReport {
    fn count(&mut self, one: &Condensed) {
        self.items += 1;
        match one.author {
            Author::Model => self.by_model += 1,
            Author::Both => self.by_both += 1,
            Author::Template => self.by_template += 1,
        }
        self.dropped += usize::from(one.dropped.is_some());
        self.failed += usize::from(one.failure.is_some());
    }
}
