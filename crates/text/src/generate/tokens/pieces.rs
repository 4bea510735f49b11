//! How texts are cut before pairs are merged, by the name that GGUF files have for it.

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior};

/// What can be read, for people.
pub(super) const SUPPORTED: &str = "qwen2, deepseek-r1-qwen, llama-bpe, gpt-2 and smollm";

/// How a family cuts texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pieces {
    /// Digits one by one; texts are brought to the form NFC.
    Qwen2,
    /// Digits by threes; whole words are looked up before pairs are merged.
    Llama3,
    /// As GPT-2 did.
    Gpt2,
    /// Digits one by one, the rest as GPT-2 did.
    Smol,
}

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Pieces {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "qwen2" | "deepseek-r1-qwen" => Some(Self::Qwen2),
            "llama-bpe" | "llama3" | "llama-v3" => Some(Self::Llama3),
            "gpt-2" | "gpt2" => Some(Self::Gpt2),
            "smollm" => Some(Self::Smol),
            _ => None,
        }
    }

    pub(super) fn cutter(self) -> Result<PreTokenizerWrapper, String> {
        let by = |pattern: &str| {
            let pattern = SplitPattern::Regex(pattern.to_owned());
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(|e| e.to_string())
        };
        let letters = |cut_here| ByteLevel::new(false, true, cut_here).into();
        let first = match self {
            Self::Qwen2 => by(QWEN2)?.into(),
            Self::Llama3 => by(LLAMA3)?.into(),
            Self::Gpt2 => return Ok(letters(true)),
            Self::Smol => {
                return Ok(Sequence::new(vec![Digits::new(true).into(), letters(true)]).into());
            }
        };
        Ok(Sequence::new(vec![first, letters(false)]).into())
    }
}
