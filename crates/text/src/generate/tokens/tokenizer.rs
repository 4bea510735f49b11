//! Byte-pair encoding by the lists of a GGUF file. Marks such as `<|im_end|>` are tokens where the template writes them, and plain
//! letters where a user does: nobody can end somebody else's turn.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustc_hash::{FxHashMap, FxHashSet};
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NFC;

use super::bytes::bytes_of;
use super::pieces::{Pieces, SUPPORTED};
use crate::Error;
use crate::generate::gguf::{Gguf, Value};

const TOKENS: &str = "tokenizer.ggml.tokens";
const MERGES: &str = "tokenizer.ggml.merges";
const TYPES: &str = "tokenizer.ggml.token_type";
/// Types of tokens that are marks: control, and defined by a user.
const MARKS: [i64; 2] = [3, 4];
/// Types of tokens that no text is made of: unknown, control and unused ones.
const NEVER: [i64; 3] = [2, 3, 5];
/// Marks that end a reply whatever the file says, as models mix them up.
const ENDS: [&str; 5] = ["<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>"];
/// Tokens of a vocabulary, at most.
const VOCABULARY: usize = 1 << 20;
/// Stands before a mark that is to be plain letters; U+10FFFE is no character.
const PLAIN: char = '\u{10fffe}';

/// Texts to tokens and back.
pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Bytes of every token.
    bytes: Vec<Box<[u8]>>,
    /// Marks and their tokens, the longest first.
    marks: Vec<(String, u32)>,
    is_text: Vec<bool>,
    ends: FxHashSet<u32>,
    begin: Option<u32>,
    end: Option<u32>,
    begins_with_mark: bool,
}

impl Tokenizer {
    /// Makes a tokenizer of what a file says.
    pub(crate) fn open(file: &Gguf) -> Result<Self, Error> {
        let unsupported = |field, found: &str, supported| Error::Unsupported {
            path: file.path().to_owned(),
            field,
            found: format!("{found:?}"),
            supported,
        };
        let model = file.text("tokenizer.ggml.model")?.unwrap_or_default();
        if model != "gpt2" {
            let supported = "`gpt2` (byte-level pairs, as Qwen and Llama 3 have)";
            return Err(unsupported("tokenizer.ggml.model", model, supported));
        }
        let pre = file.text("tokenizer.ggml.pre")?.unwrap_or("gpt-2");
        let pieces =
            Pieces::named(pre).ok_or_else(|| unsupported("tokenizer.ggml.pre", pre, SUPPORTED))?;
        let list = |name: &str| match file.value(name) {
            Some(Value::Texts(list)) => Ok(list),
            Some(_) => Err(file.fault(name, "must be a list of texts")),
            None => Err(file.fault(name, "is missing: the file has no tokenizer, fetch another")),
        };
        let (tokens, merges) = (list(TOKENS)?, list(MERGES)?);
        if tokens.is_empty() || tokens.len() > VOCABULARY {
            let why = format!("has {} tokens, 1 to {VOCABULARY} are read", tokens.len());
            return Err(file.fault(TOKENS, why));
        }
        let types = match file.value(TYPES) {
            None => vec![1; tokens.len()],
            Some(Value::Integers(types)) if types.len() == tokens.len() => types.clone(),
            Some(_) => return Err(file.fault(TYPES, "must have an integer for every token")),
        };
        let inner = pairs(tokens, merges, pieces).map_err(|(at, why)| file.fault(at, why))?;
        let is_mark =
            |(at, token): &(usize, &String)| MARKS.contains(&types[*at]) && !token.is_empty();
        let mut marks: Vec<(String, u32)> = tokens
            .iter()
            .enumerate()
            .filter(is_mark)
            .map(|(at, token)| (token.clone(), at as u32))
            .collect();
        marks.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        let token = |name: &str| {
            let id = file.size(name, 0..=tokens.len() - 1)?;
            Ok(id.map(|id| id as u32))
        };
        let end = token("tokenizer.ggml.eos_token_id")?;
        let mut ends: FxHashSet<u32> = end.into_iter().collect();
        ends.extend(token("tokenizer.ggml.eot_token_id")?);
        let known = marks.iter().filter(|(mark, _)| ENDS.contains(&mark.as_str()));
        ends.extend(known.map(|(_, id)| *id));
        let begins_with_mark = match file.value("tokenizer.ggml.add_bos_token") {
            None => pieces == Pieces::Llama3,
            Some(Value::Bool(yes)) => *yes,
            Some(_) => return Err(file.fault("tokenizer.ggml.add_bos_token", "must be a truth")),
        };
        Ok(Self {
            inner,
            bytes: tokens.iter().map(|token| bytes_of(token)).collect(),
            marks,
            is_text: types.iter().map(|kind| !NEVER.contains(kind)).collect(),
            ends,
            begin: token("tokenizer.ggml.bos_token_id")?,
            end,
            begins_with_mark,
        })
    }

    /// Returns how many tokens there are.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the bytes that a token stands for.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], |bytes| bytes)
    }

    /// Tells whether texts are made of this token; marks are no text.
    pub(crate) fn is_text(&self, token: u32) -> bool {
        self.is_text.get(token as usize).is_some_and(|yes| *yes) && !self.ends(token)
    }

    /// Tells whether a reply ends with this token.
    pub(crate) fn ends(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// Returns the marks at the beginning and at the end of a text, as they are written.
    pub(crate) fn outer_marks(&self) -> (&str, &str) {
        let written = |id: Option<u32>| {
            let mark = self.marks.iter().find(|(_, mark)| Some(*mark) == id);
            mark.map_or("", |(text, _)| text)
        };
        (written(self.begin), written(self.end))
    }

    /// Makes plain letters of the marks in what somebody says, to be written into a template.
    pub(crate) fn plain(&self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        for (at, letter) in text.char_indices().filter(|(_, letter)| *letter != PLAIN) {
            if self.mark_at(&text[at..]).is_some() {
                plain.push(PLAIN);
            }
            plain.push(letter);
        }
        plain
    }

    /// Turns what a template has written into tokens, marks being marks.
    pub(crate) fn encode_marked(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut tokens = Vec::new();
        let begin = self.begin.filter(|_| self.begins_with_mark);
        let (mut rest, mut piece) = (text, String::new());
        while let Some(letter) = rest.chars().next() {
            if letter == PLAIN {
                // What follows is a letter like any other.
                rest = &rest[letter.len_utf8()..];
                let Some(letter) = rest.chars().next() else { break };
                piece.push(letter);
                rest = &rest[letter.len_utf8()..];
            } else if let Some((mark, id)) = self.mark_at(rest) {
                tokens.extend(self.encode(&piece)?);
                piece.clear();
                tokens.push(id);
                rest = &rest[mark.len()..];
            } else {
                piece.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
        tokens.extend(self.encode(&piece)?);
        if let Some(begin) = begin.filter(|begin| tokens.first() != Some(begin)) {
            tokens.insert(0, begin);
        }
        Ok(tokens)
    }

    /// Turns plain text into tokens.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let encode = || self.inner.encode_fast(text, false).map_err(|e| e.to_string());
        let encoding = guarded(encode).map_err(|why| Error::Tokenise { index: 0, why })?;
        Ok(encoding.get_ids().to_vec())
    }

    fn mark_at(&self, text: &str) -> Option<(&str, u32)> {
        let first = text.as_bytes().first()?;
        let begins = |(mark, _): &&(String, u32)| {
            mark.as_bytes()[0] == *first && text.starts_with(mark.as_str())
        };
        self.marks.iter().find(begins).map(|(mark, id)| (mark.as_str(), *id))
    }
}

/// Builds the part that merges pairs; an error tells the list and what is wrong with it.
fn pairs(
    tokens: &[String],
    merges: &[String],
    pieces: Pieces,
) -> Result<tokenizers::Tokenizer, (&'static str, String)> {
    let mut vocabulary = FxHashMap::default();
    for (id, token) in (0u32..).zip(tokens) {
        // Some files fill up with tokens that are alike; the first counts.
        vocabulary.entry(token.clone()).or_insert(id);
    }
    let mut pairs = Vec::with_capacity(merges.len());
    for (at, merge) in merges.iter().enumerate() {
        let pair = merge.split_once(' ').filter(|(a, b)| !a.is_empty() && !b.is_empty());
        let pair = pair.ok_or_else(|| (MERGES, format!("number {at}, {merge:?}, is no pair")))?;
        let joined = format!("{}{}", pair.0, pair.1);
        if let Some(lost) = [pair.0, pair.1, &joined].iter().find(|t| !vocabulary.contains_key(**t))
        {
            return Err((MERGES, format!("number {at} names {lost:?}, which is no token")));
        }
        pairs.push((pair.0.to_owned(), pair.1.to_owned()));
    }
    let build = || {
        let bpe = BPE::builder()
            .vocab_and_merges(
                vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(),
                pairs,
            )
            .ignore_merges(pieces == Pieces::Llama3)
            .build()
            .map_err(|e| e.to_string())?;
        let mut inner = tokenizers::Tokenizer::new(bpe);
        inner.with_pre_tokenizer(Some(pieces.cutter()?));
        if pieces == Pieces::Qwen2 {
            inner.with_normalizer(Some(NFC)).map_err(|e| e.to_string())?;
        }
        Ok(inner)
    };
    guarded(build).map_err(|why| (TOKENS, why))
}

/// Makes an error of a panic: the tokenizers' library takes some impossible files for granted.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("it contradicts itself".to_owned()))
}
