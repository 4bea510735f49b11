//! The contract of everything that turns texts into vectors.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tastemaker_core::{Progress, Tokens, Vectors};

use crate::lookup::is_static;
use crate::{BertEncoder, BertSettings, Error, StaticEncoder, words};

/// Turns texts into vectors. Deterministic: the same text gives the same vector, whatever stands beside it.
pub trait Encoder: Send + Sync {
    /// Names the encoder with everything its vectors depend on: weights, pooling, length limit. Cached vectors are
    /// kept under this name.
    fn id(&self) -> String;

    /// Returns the width of a vector.
    fn dim(&self) -> usize;

    /// Returns one vector per text, in the same order.
    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error>;

    /// Encodes like [`Encoder::encode`], and hands vectors to `keep` as soon as they are certain, with the numbers of their texts, in
    /// parts and in any order; what was handed over is good even when the rest fails. Returns how many texts were cut.
    fn encode_parts(
        &self,
        texts: &[&str],
        progress: &dyn Progress,
        keep: &mut dyn FnMut(&[usize], &Vectors),
    ) -> Result<usize, Error> {
        let encoded = self.encode(texts, progress)?;
        let all: Vec<usize> = (0..texts.len()).collect();
        keep(&all, &encoded.vectors);
        Ok(encoded.truncated)
    }

    /// Returns the texts as tokens: the encoder's own with their vectors, or else the [`words`] that two texts have, without.
    fn tokens(&self, texts: &[&str]) -> Result<Tokens, Error> {
        Ok(common_words(texts))
    }
}

/// Numbers tokens from 0 in rising order of what they are; also returns which those are.
pub(crate) fn number<T: Ord + Clone + std::hash::Hash>(
    rows: &[Vec<T>],
    is_kept: impl Fn(&T) -> bool,
) -> (Vec<Vec<u32>>, Vec<T>) {
    let mut kept: Vec<T> = rows.iter().flatten().filter(|token| is_kept(token)).cloned().collect();
    kept.sort_unstable();
    kept.dedup();
    let numbers: FxHashMap<&T, u32> = kept.iter().zip(0..).collect();
    let row = |row: &Vec<T>| row.iter().filter_map(|token| numbers.get(token).copied()).collect();
    (rows.iter().map(row).collect(), kept)
}

/// Cuts texts into words; of a word that one text alone has nothing can be learnt for others.
fn common_words(texts: &[&str]) -> Tokens {
    let rows: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
    let mut seen_in: FxHashMap<&str, (usize, bool)> = FxHashMap::default();
    for (row, words) in rows.iter().enumerate() {
        for word in words {
            let (first, repeats) = seen_in.entry(word).or_insert((row, false));
            *repeats |= *first != row;
        }
    }
    let is_common = |word: &String| seen_in.get(word.as_str()).is_some_and(|(_, repeats)| *repeats);
    let (numbers, kept) = number(&rows, is_common);
    Tokens::new(numbers, kept.len(), None).expect("numbers are below their count")
}

/// Opens the encoder in a folder: a table of token vectors where its `config.json` says so, else a model of the BERT family.
pub fn open(folder: &Path, settings: &BertSettings) -> Result<Box<dyn Encoder>, Error> {
    Ok(if is_static(folder) {
        Box::new(StaticEncoder::open(folder, settings)?)
    } else {
        Box::new(BertEncoder::open(folder, settings)?)
    })
}

/// Vectors of texts, and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// L2-normalised rows, one per text; a zero row for a text without content.
    pub vectors: Vectors,
    /// Texts of which the end was cut off. Texts answered from a cache are not counted.
    pub truncated: usize,
    /// Texts whose vectors were taken from a cache.
    pub from_cache: usize,
}

macro_rules! delegate {
    ($($pointer:ident)*) => {$(
        impl<T: Encoder + ?Sized> Encoder for $pointer<T> {
            fn id(&self) -> String {
                (**self).id()
            }

            fn dim(&self) -> usize {
                (**self).dim()
            }

            fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
                (**self).encode(texts, progress)
            }

            fn encode_parts(
                &self,
                texts: &[&str],
                progress: &dyn Progress,
                keep: &mut dyn FnMut(&[usize], &Vectors),
            ) -> Result<usize, Error> {
                (**self).encode_parts(texts, progress, keep)
            }

            fn tokens(&self, texts: &[&str]) -> Result<Tokens, Error> {
                (**self).tokens(texts)
            }
        }
    )*};
}

delegate!(Box Arc);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_two_texts_are_numbered_in_their_order_and_others_left_out() {
        let tokens = common_words(&["Space wars, space", "wars of roses", "", "the space"]);
        // "space" and "war" are in two texts, "rose" is in one, "of" and "the" say nothing.
        let rows: [&[u32]; 4] = [&[0, 1, 0], &[1], &[], &[0]];
        assert_eq!(tokens.rows(), rows);
        assert_eq!((tokens.n_tokens(), tokens.vectors()), (2, None));
    }
}
