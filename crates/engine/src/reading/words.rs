//! Where word vectors lie: a file of `GloVe` or `Word2Vec`, or the folder of `glove-50`.

use std::path::Path;

use tastemaker_core::Silent;
use tastemaker_data::read_texts;
use tastemaker_text::WordVectors;

use crate::Error;

/// The words of `glove-50`, in the column `index`.
const GLOVE_WORDS: &str = "glove_6B_index.parquet";
/// Their vectors.
const GLOVE_VECTORS: &str = "glove_6B_50d_emb.npy";

/// Tells whether a file or folder holds word vectors rather than a model.
pub(crate) fn holds_words(path: &Path) -> bool {
    if path.is_dir() { path.join(GLOVE_WORDS).exists() } else { WordVectors::is_named(path) }
}

/// Reads the word vectors of a file or folder.
pub(crate) fn word_vectors(path: &Path) -> Result<WordVectors, Error> {
    if !path.is_dir() {
        return Ok(WordVectors::open(path)?);
    }
    let words = read_texts(&path.join(GLOVE_WORDS), "index", None, &Silent)?.texts;
    Ok(WordVectors::of_npy(words, &path.join(GLOVE_VECTORS))?)
}
