//! Texts to token numbers, cut to what the model reads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationParams};

use super::config::{Summary, parse};
use crate::Error;
use crate::stages::summarise;

/// Bytes of a text that are looked at per token that is read: no word piece is longer.
const BYTES_PER_TOKEN: usize = 512;

/// Bytes that are looked at of a text that is to be shortened.
const SUMMARY_BYTES: usize = 1 << 20;

/// How much of a text is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Tokens of a window, with its marks.
    pub(crate) max_tokens: usize,
    /// Windows of a text.
    pub(crate) windows: usize,
    /// Tokens that windows have in common.
    pub(crate) overlap: usize,
    /// How longer texts are shortened.
    pub(crate) summary: Summary,
}

impl Limits {
    /// Counts the tokens of a text that all its windows hold, without marks.
    const fn room(&self, marks: usize) -> usize {
        self.windows * (self.max_tokens - marks) - (self.windows - 1) * self.overlap
    }

    /// One window of so many tokens.
    pub(crate) const fn one(max_tokens: usize) -> Self {
        Self { max_tokens, windows: 1, overlap: 0, summary: Summary::Off }
    }
}

/// A model's own way to cut text into tokens.
pub(crate) struct Tokeniser {
    tokenizer: Tokenizer,
    limits: Limits,
    max_bytes: usize,
    marks: usize,
    n_types: usize,
}

/// What stands around texts, as `tokenizer.json` says.
#[derive(Deserialize)]
struct PostFile {
    #[serde(default)]
    post_processor: Value,
}

/// The tokens of one text.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Empty for a text without content.
    pub(crate) ids: Vec<u32>,
    pub(crate) types: Vec<u32>,
    pub(crate) truncated: bool,
}

impl Tokens {
    /// Takes the numbers of tokens of one sequence, marks included; they must be in the model's vocabulary.
    pub fn of_ids(ids: Vec<u32>) -> Self {
        Self { types: vec![0; ids.len()], ids, truncated: false }
    }

    /// Takes the numbers of tokens and as many types, marks included; they must be in the model's vocabulary and among its types.
    ///
    /// # Panics
    /// When they differ in number.
    pub fn of_parts(ids: Vec<u32>, types: Vec<u32>) -> Self {
        assert!(ids.len() == types.len(), "every token has a type");
        Self { ids, types, truncated: false }
    }

    /// Returns the types of the tokens.
    pub fn types(&self) -> &[u32] {
        &self.types
    }

    /// Returns their numbers in the vocabulary, the marks around the text included.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Tells whether the end of the text was cut off.
    pub fn is_cut(&self) -> bool {
        self.truncated
    }

    /// Counts the tokens, the marks around the text included; 0 for a text without content.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Tells whether the text has no content.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// What the tokens of a vocabulary are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// Tokens that stand around texts and between them.
    pub marks: Vec<u32>,
    /// The token that hides another one.
    pub mask: Option<u32>,
    /// For every token whether it begins a word, marks aside.
    pub begins_word: Vec<bool>,
}

impl TokenFacts {
    /// Tells whether a token is a mark.
    pub fn is_mark(&self, token: u32) -> bool {
        self.marks.contains(&token)
    }
}

impl Tokeniser {
    /// Reads a tokenizer that belongs to a model of so many tokens and types of them.
    pub(crate) fn new(
        path: &Path,
        bytes: &[u8],
        limits: Limits,
        (vocabulary, n_types): (usize, usize),
    ) -> Result<Self, Error> {
        let Limits { max_tokens, windows, overlap, summary } = limits;
        let fault = |why: String| Error::Tokenizer { path: path.to_owned(), why };
        let read = || Tokenizer::from_bytes(bytes).map_err(|e| e.to_string());
        let mut tokenizer = guarded(read).map_err(fault)?;
        let file: PostFile = parse(path, bytes)?;
        if let Some(mark) = unknown_mark(&file.post_processor) {
            return Err(fault(format!("its post-processor has no token for `{mark}`")));
        }
        let marks = tokenizer.get_post_processor().map_or(0, |post| post.added_tokens(false));
        if marks >= max_tokens {
            return Err(Error::setting(
                "max_tokens",
                format!("must be above the {marks} marks of a text, is {max_tokens}"),
            ));
        }
        if overlap >= max_tokens - marks {
            let most = max_tokens - marks - 1;
            let problem =
                format!("must be at most {most} in windows of {max_tokens} tokens, is {overlap}");
            return Err(Error::setting("overlap", problem));
        }
        // Marks are numbered by another part of the file than words.
        let bare = || tokenizer.encode_fast("", true).map_err(|e| e.to_string());
        let bare = guarded(bare).map_err(fault)?;
        if let Some(id) = bare.get_ids().iter().find(|&&id| id as usize >= vocabulary) {
            return Err(fault(format!(
                "it marks texts with token {id}, the model has a `vocab_size` of {vocabulary}: they belong to different models"
            )));
        }
        if let Some(id) =
            tokenizer.get_vocab(true).into_values().max().filter(|&id| id as usize >= vocabulary)
        {
            return Err(fault(format!(
                "it has token {id}, the model has a `vocab_size` of {vocabulary}: they belong to different models"
            )));
        }
        let max_length = marks + limits.room(marks);
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_padding(None);
        tokenizer.with_truncation(Some(truncation)).map_err(|e| fault(e.to_string()))?;
        let read = max_tokens.saturating_mul(windows).saturating_mul(BYTES_PER_TOKEN);
        let max_bytes = if summary == Summary::Off { read } else { read.max(SUMMARY_BYTES) };
        Ok(Self { tokenizer, limits, max_bytes, marks, n_types })
    }

    /// Tokenises the first window of all texts, on all cores.
    pub(crate) fn tokenise(&self, texts: &[&str]) -> Result<Vec<Tokens>, Error> {
        let windows = self.tokenise_windows(texts)?.into_iter();
        Ok(windows.map(|windows| windows.into_iter().next().unwrap_or_default()).collect())
    }

    /// Tokenises all texts, on all cores: the windows of each, one without tokens for a text without content. The last tells whether
    /// more of the text was there.
    pub(crate) fn tokenise_windows(&self, texts: &[&str]) -> Result<Vec<Vec<Tokens>>, Error> {
        let all = |(index, text): (usize, &&str)| self.windows(index, text);
        texts.par_iter().with_min_len(16).enumerate().map(all).collect()
    }

    /// Tokenises pairs of texts, on all cores; where both are too long together, the longer one is cut first.
    pub(crate) fn pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<Tokens>, Error> {
        let one = |(index, (a, b)): (usize, &(&str, &str))| {
            let (a, b) = (self.start(a), self.start(b));
            if a.is_empty() && b.is_empty() {
                return Ok(Tokens::default());
            }
            let encode = || self.tokenizer.encode_fast((a, b), true).map_err(|e| e.to_string());
            let fault = |why| Error::Tokenise { index, why };
            let encoding = guarded(encode).map_err(fault)?;
            let (ids, types) = (encoding.get_ids().to_vec(), encoding.get_type_ids().to_vec());
            if let Some(kind) = types.iter().find(|&&kind| kind as usize >= self.n_types) {
                let known = self.n_types;
                let why =
                    format!("the tokenizer gives it type {kind}, the model knows {known} types");
                return Err(fault(why));
            }
            let truncated = !encoding.get_overflowing().is_empty();
            Ok(Tokens { ids, types, truncated })
        };
        pairs.par_iter().with_min_len(16).enumerate().map(one).collect()
    }

    /// Returns what the first `n` tokens of the vocabulary are.
    pub(crate) fn facts(&self, n: usize) -> TokenFacts {
        let ids = |found: Result<Encoding, _>| found.map(|e| e.get_ids().to_vec()).ok();
        let single = ids(self.tokenizer.encode_fast("", true));
        let pair = ids(self.tokenizer.encode_fast(("", ""), true));
        let mut marks: Vec<u32> = [single, pair].into_iter().flatten().flatten().collect();
        let names = ["[MASK]", "<mask>"].map(|name| self.tokenizer.token_to_id(name));
        let mask = names.into_iter().flatten().find(|&id| (id as usize) < n);
        let padding = ["[PAD]", "<pad>"].map(|name| self.tokenizer.token_to_id(name));
        marks.extend(padding.into_iter().flatten().chain(mask));
        marks.sort_unstable();
        marks.dedup();
        let names: Vec<String> =
            (0..n as u32).map(|id| self.tokenizer.id_to_token(id).unwrap_or_default()).collect();
        // Word pieces mark what goes on, the others what begins.
        let is_pieces = names.iter().any(|name| name.len() > 2 && name.starts_with("##"));
        let begins = |(id, name): (u32, &String)| {
            let does = if is_pieces {
                !name.starts_with("##")
            } else {
                name.starts_with(['\u{2581}', '\u{120}'])
            };
            does && !name.is_empty() && !marks.contains(&id)
        };
        let begins_word = (0..).zip(&names).map(begins).collect();
        TokenFacts { marks, mask, begins_word }
    }

    /// Returns the numbers of every text's tokens in the vocabulary, without the marks around it.
    pub(crate) fn numbers(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Error> {
        let one = |(index, text): (usize, &&str)| self.plain(index, text);
        texts.par_iter().with_min_len(16).enumerate().map(one).collect()
    }

    /// Returns the numbers of a text's tokens, without the marks around it.
    pub(crate) fn plain(&self, index: usize, text: &str) -> Result<Vec<u32>, Error> {
        Ok(self.encoded(index, self.start(text), false)?.get_ids().to_vec())
    }

    /// Returns the number of the token that stands for what the vocabulary lacks, if `bytes`, the tokenizer's file, names one.
    pub(crate) fn unknown(&self, bytes: &[u8]) -> Option<u32> {
        #[derive(Deserialize)]
        struct File {
            model: Model,
        }
        #[derive(Deserialize)]
        struct Model {
            unk_token: Option<String>,
        }
        let file: File = serde_json::from_slice(bytes).ok()?;
        self.tokenizer.token_to_id(&file.model.unk_token?)
    }

    /// Returns every token of the vocabulary, numbered from 0 up to `n`, as a text of its own with its marks.
    pub(crate) fn each(&self, n: usize) -> Vec<Tokens> {
        let marks = self.tokenizer.encode_fast("", true);
        let mut ids = marks.map(|marks| marks.get_ids().to_vec()).unwrap_or_default();
        let place = ids.len().min(1);
        ids.insert(place, 0);
        let one = |token| {
            ids[place] = token;
            Tokens { ids: ids.clone(), types: vec![0; ids.len()], truncated: false }
        };
        (0..).take(n).map(one).collect()
    }

    /// Returns as much of a text as can be read.
    fn start<'a>(&self, text: &'a str) -> &'a str {
        let whole = text.trim();
        &whole[..whole.floor_char_boundary(self.max_bytes)]
    }

    /// Returns the windows of a text.
    fn windows(&self, index: usize, text: &str) -> Result<Vec<Tokens>, Error> {
        let (whole, text) = (text.trim(), self.start(text));
        let mut encoding = self.encoded(index, text, true)?;
        let mut is_more = text.len() < whole.len() || !encoding.get_overflowing().is_empty();
        if is_more
            && self.limits.summary == Summary::Textrank
            && let Some(short) = self.shortened(index, text)?
        {
            encoding = self.encoded(index, &short, true)?;
            is_more = !encoding.get_overflowing().is_empty();
        }
        if encoding.len() <= self.marks {
            return Ok(vec![Tokens::default()]);
        }
        let (ids, types, n_types) = (encoding.get_ids(), encoding.get_type_ids(), self.n_types);
        if let Some(kind) = types.iter().find(|&&kind| kind as usize >= n_types) {
            let why =
                format!("the tokenizer gives it type {kind}, the model knows {n_types} types");
            return Err(Error::Tokenise { index, why });
        }
        if ids.len() <= self.limits.max_tokens {
            let (ids, types) = (ids.to_vec(), types.to_vec());
            return Ok(vec![Tokens { ids, types, truncated: is_more }]);
        }
        // Marks stand around the text; every window gets them.
        let sequence = encoding.get_sequence_ids();
        let start = sequence.iter().position(Option::is_some).unwrap_or(0);
        let end = sequence.iter().rposition(Option::is_some).map_or(ids.len(), |last| last + 1);
        let size = self.limits.max_tokens - self.marks;
        let step = size - self.limits.overlap;
        let part = |all: &[u32], from: usize| {
            let to = (from + size).min(end);
            [&all[..start], &all[from..to], &all[end..]].concat()
        };
        let mut windows = Vec::new();
        let mut from = start;
        while windows.is_empty() || from + self.limits.overlap < end {
            let (ids, types) = (part(ids, from), part(types, from));
            windows.push(Tokens { ids, types, truncated: false });
            from += step;
        }
        if let Some(last) = windows.last_mut() {
            last.truncated = is_more;
        }
        Ok(windows)
    }

    /// Cuts a text into as many tokens as all windows hold, `with` or without marks.
    fn encoded(&self, index: usize, text: &str, with: bool) -> Result<Encoding, Error> {
        guarded(|| self.tokenizer.encode_fast(text, with).map_err(|e| e.to_string()))
            .map_err(|why| Error::Tokenise { index, why })
    }

    /// Returns the sentences of a text that are most like the others and fit; `None` where none does.
    fn shortened(&self, index: usize, text: &str) -> Result<Option<String>, Error> {
        let mut fault = None;
        let mut count = |text: &str| match self.encoded(index, text, false) {
            // What overflows is more than fits, however much it is.
            Ok(all) => all.len() + all.get_overflowing().iter().map(Encoding::len).sum::<usize>(),
            Err(error) => {
                fault = Some(error);
                0
            }
        };
        let short = summarise(text, self.limits.room(self.marks), &mut count);
        fault.map_or(Ok(short), Err)
    }
}

/// Makes an error of a panic: the tokenizers' library takes some impossible files for granted.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("it contradicts itself".to_owned()))
}

/// Returns a mark that a template puts around texts without saying which token it is.
fn unknown_mark(post: &Value) -> Option<&str> {
    let parts = post["processors"].as_array().into_iter().flatten();
    if let Some(mark) = parts.into_iter().find_map(unknown_mark) {
        return Some(mark);
    }
    let pieces = ["single", "pair"].map(|name| post[name].as_array());
    let mut marks =
        pieces.into_iter().flatten().flatten().filter_map(|p| p["SpecialToken"]["id"].as_str());
    marks.find(|mark| post["special_tokens"].get(mark).is_none())
}
