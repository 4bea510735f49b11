//! Texts to token numbers, cut to what the model reads.

use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;
use tokenizers::{PostProcessor, Tokenizer, TruncationParams};

use crate::Error;

/// Bytes of a text that are looked at per token that is read: no word piece is longer.
const BYTES_PER_TOKEN: usize = 512;

/// A model's own way to cut text into tokens.
pub(crate) struct Tokeniser {
    tokenizer: Tokenizer,
    max_bytes: usize,
    marks: usize,
    n_types: usize,
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

impl Tokeniser {
    /// Reads a tokenizer that belongs to a model of so many tokens and types of them.
    pub(crate) fn new(
        path: &Path,
        bytes: &[u8],
        max_tokens: usize,
        (vocabulary, n_types): (usize, usize),
    ) -> Result<Self, Error> {
        let fault = |why: String| Error::Tokenizer { path: path.to_owned(), why };
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|e| fault(e.to_string()))?;
        let marks = tokenizer.get_post_processor().map_or(0, |post| post.added_tokens(false));
        if marks >= max_tokens {
            return Err(Error::setting(
                "max_tokens",
                format!("must be above the {marks} marks of a text, is {max_tokens}"),
            ));
        }
        if let Some(id) =
            tokenizer.get_vocab(true).into_values().max().filter(|&id| id as usize >= vocabulary)
        {
            return Err(fault(format!(
                "it has token {id}, the model has a `vocab_size` of {vocabulary}: they belong to different models"
            )));
        }
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        tokenizer.with_padding(None);
        tokenizer.with_truncation(Some(truncation)).map_err(|e| fault(e.to_string()))?;
        Ok(Self {
            tokenizer,
            max_bytes: max_tokens.saturating_mul(BYTES_PER_TOKEN),
            marks,
            n_types,
        })
    }

    /// Tokenises all texts, on all cores.
    pub(crate) fn tokenise(&self, texts: &[&str]) -> Result<Vec<Tokens>, Error> {
        texts
            .par_iter()
            .with_min_len(16)
            .enumerate()
            .map(|(index, text)| self.one(index, text))
            .collect()
    }

    /// Returns the numbers of every text's tokens in the vocabulary, without the marks around it.
    pub(crate) fn numbers(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Error> {
        let one = |(index, text): (usize, &&str)| self.plain(index, text);
        texts.par_iter().with_min_len(16).enumerate().map(one).collect()
    }

    /// Returns the numbers of a text's tokens, without the marks around it.
    pub(crate) fn plain(&self, index: usize, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.tokenizer.encode_fast(self.start(text), false);
        let fault = |fault: tokenizers::Error| Error::Tokenise { index, why: fault.to_string() };
        encoding.map(|encoding| encoding.get_ids().to_vec()).map_err(fault)
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

    fn one(&self, index: usize, text: &str) -> Result<Tokens, Error> {
        let (whole, text) = (text.trim(), self.start(text));
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|fault| Error::Tokenise { index, why: fault.to_string() })?;
        if encoding.len() <= self.marks {
            return Ok(Tokens::default());
        }
        if let Some(kind) =
            encoding.get_type_ids().iter().find(|&&kind| kind as usize >= self.n_types)
        {
            let why = format!(
                "the tokenizer gives it type {kind}, the model knows {} types",
                self.n_types
            );
            return Err(Error::Tokenise { index, why });
        }
        let truncated = text.len() < whole.len() || !encoding.get_overflowing().is_empty();
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            types: encoding.get_type_ids().to_vec(),
            truncated,
        })
    }
}
