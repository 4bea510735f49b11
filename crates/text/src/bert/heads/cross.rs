//! An encoder of pairs: two texts read together, so that every word of one sees every word of the other, and a score of what they
//! are to each other (Nogueira and Cho 2019). Slower than comparing vectors, and closer.

use std::path::Path;

use rayon::prelude::*;
use tastemaker_core::Progress;
use tastemaker_kernels::dot;

use super::names::{BertHead, HeadTensor};
use crate::Error;
use crate::bert::architecture::Architecture;
use crate::bert::config::{BertSettings, Description, Pooling, read_tokenizer};
use crate::bert::encoder::{blocks, longest_first};
use crate::bert::extras::ExtraTensors;
use crate::bert::model::{BertModel, Buffers};
use crate::bert::tokenise::{Limits, Tokeniser, Tokens};
use crate::bert::weights::Weights;

/// A checkpoint of the kind of `BertForSequenceClassification`, read from a Hugging Face folder.
///
/// Gives each pair of texts one number for each of its labels; where there is one label, that number is the pair's score.
pub struct CrossEncoder {
    model: BertModel,
    tokeniser: Tokeniser,
    hidden: usize,
    dense: Vec<f32>,
    dense_bias: Vec<f32>,
    last: Vec<f32>,
    last_bias: Vec<f32>,
    cuts_off: bool,
}

impl std::fmt::Debug for CrossEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CrossEncoder").field("labels", &self.n_labels()).finish_non_exhaustive()
    }
}

impl CrossEncoder {
    /// Opens a folder with `config.json`, `tokenizer.json` and `model.safetensors` or its shards, which hold a head that gives labels.
    /// Of the settings `max_tokens` and `precision` count.
    pub fn open(dir: &Path, settings: &BertSettings) -> Result<Self, Error> {
        let Description { config, max_tokens, .. } = Description::read(dir, settings)?;
        let extras = ExtraTensors::read(dir, &config)?;
        let max_tokens = max_tokens.min(config.positions() - extras.prefix);
        let path = dir.join("tokenizer.json");
        let bytes = read_tokenizer(&path)?;
        let limits = Limits::one(max_tokens);
        let sizes = (config.vocab_size, config.token_types());
        let tokeniser = Tokeniser::new(&path, &bytes, limits, sizes)?;
        let weights = Weights::open(dir, config.architecture)?;
        let model = BertModel::load(&weights, (&config, &extras), settings.precision.into())?;
        let hidden = config.hidden_size;
        let names = config.architecture.head(BertHead::Labels(1), (hidden, config.vocab_size));
        let bias = names.last().map_or("", |tensor| &tensor.name);
        let n_labels = match weights.shape_of(bias) {
            Some([n]) if *n > 0 => *n,
            _ => return Err(Error::NoHead { path: dir.to_owned(), name: bias.to_owned() }),
        };
        let tensors = config.architecture.head(BertHead::Labels(n_labels), (hidden, 0));
        let take = |HeadTensor { name, shape }: &HeadTensor| weights.take_named(name, shape);
        let numbers = tensors.iter().map(take).collect::<Result<Vec<_>, _>>()?;
        let [dense, dense_bias, last, last_bias] =
            <[Vec<f32>; 4]>::try_from(numbers).expect("a head of labels has four tensors");
        let cuts_off = config.architecture == Architecture::Distil;
        Ok(Self { model, tokeniser, hidden, dense, dense_bias, last, last_bias, cuts_off })
    }

    /// Counts the numbers that a pair gets.
    pub const fn n_labels(&self) -> usize {
        self.last_bias.len()
    }

    /// Returns the numbers of every pair, `[pairs, labels]`, as they are before any sigmoid or softmax. A pair's numbers do not depend
    /// on the pairs beside it.
    pub fn score(
        &self,
        pairs: &[(&str, &str)],
        progress: &dyn Progress,
    ) -> Result<Vec<f32>, Error> {
        let tokens = self.tokeniser.pairs(pairs)?;
        let (order, n) = (longest_first(&tokens), self.n_labels());
        let blocks = blocks(&tokens, &order);
        let done = std::sync::atomic::AtomicUsize::new(0);
        let results: Vec<Vec<f32>> = blocks
            .par_iter()
            .with_max_len(1)
            .map_init(Buffers::default, |buffers, block| {
                let inputs: Vec<&Tokens> = block.iter().map(|&row| &tokens[row]).collect();
                let mut first = vec![0.0; block.len() * self.hidden];
                self.model.forward(&inputs, Pooling::Cls, buffers, &mut first);
                let step = block.len();
                let all = done.fetch_add(step, std::sync::atomic::Ordering::Relaxed) + step;
                progress.report("scoring pairs", all, order.len());
                first.chunks_exact(self.hidden).flat_map(|x| self.head(x)).collect()
            })
            .collect();
        // What has no token at all knows nothing for or against.
        let mut scores = vec![0.0; pairs.len() * n];
        for (block, out) in blocks.iter().zip(&results) {
            for (&row, numbers) in block.iter().zip(out.chunks_exact(n)) {
                scores[row * n..][..n].copy_from_slice(numbers);
            }
        }
        Ok(scores)
    }

    /// Returns the numbers of a pair, given the vector of its first token.
    fn head(&self, x: &[f32]) -> Vec<f32> {
        let rows = self.dense.chunks_exact(self.hidden).zip(&self.dense_bias);
        let bend = |z: f32| if self.cuts_off { z.max(0.0) } else { z.tanh() };
        let inner: Vec<f32> = rows.map(|(row, bias)| bend(dot(row, x) + bias)).collect();
        let rows = self.last.chunks_exact(self.hidden).zip(&self.last_bias);
        rows.map(|(row, bias)| dot(row, &inner) + bias).collect()
    }
}
