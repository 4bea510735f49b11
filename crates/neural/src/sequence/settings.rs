//! Settings of the transformer models, and the rules by which what is left out follows from the data.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Fault, TrainData};

/// What is minimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Softmax cross-entropy over all items that were ever taken.
    #[default]
    CrossEntropy,
    /// Softmax over the target and `negatives` items drawn for each batch, corrected for how often they are drawn.
    SampledSoftmax,
    /// Binary cross-entropy of the target and `negatives` items, calibrated as in gSASRec (Petrov and Macdonald 2023).
    Gbce,
}

/// How the model knows the order of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// A learnt vector for every place, counted from the newest event.
    #[default]
    Learned,
    /// A learnt bias of each head for every distance between two events.
    Distance,
    /// Both.
    Both,
}

/// How item texts take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TextUse {
    /// Not at all.
    #[default]
    None,
    /// Item vectors begin as the principal components of their texts.
    Init,
    /// An item is its own vector plus a learnt projection of its text; items nobody has taken are the latter alone.
    Sum,
    /// An item is a learnt projection of its text.
    Only,
}

/// Which of the transformer models it is, and how it differs from the others.
pub trait Variant: Clone + Copy + std::fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Name in messages and checkpoints.
    const NAME: &'static str;
    /// Gates and a `SwiGLU`, in place of plain additions and a GELU.
    const GATED: bool;
    /// Share of the width of `inner` that is the default.
    const INNER: usize;
    /// The default loss.
    const LOSS: Loss;
}

/// Settings of [`Sequence`](super::Sequence).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, bound = "V: Variant")]
#[schemars(bound = "V: Variant")]
pub struct SequenceSettings<V: Variant> {
    /// Width of item and hidden vectors.
    pub dim: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads; they divide `dim`.
    pub heads: usize,
    /// Width of the feed-forward layers, in multiples of `dim`.
    pub inner: usize,
    /// Newest events that are read; left out: what nine of ten histories need, 20 to 200.
    pub max_length: Option<usize>,
    /// How the order of events is known.
    pub positions: Positions,
    /// Share of values dropped in training; left out: 0.2 for 100 events an item or more, rising to 0.5 for 10 or fewer.
    pub dropout: Option<f32>,
    /// What is minimised.
    pub loss: Loss,
    /// Items drawn for each batch, for the losses that draw.
    pub negatives: usize,
    /// Length of a step.
    pub learning_rate: f32,
    /// How strongly numbers are drawn towards 0.
    pub weight_decay: f32,
    /// Events predicted in a step; left out: 2048 for 400,000 events or more, 512 to 2048 below.
    pub batch: Option<usize>,
    /// Epochs at most; without validation events, exactly.
    pub epochs: usize,
    /// Epochs without a better validation before training ends.
    pub patience: usize,
    /// How item texts take part.
    pub text: TextUse,
    /// Share of items that are known by their text alone in a step, so that the text learns to stand alone; for `text = "sum"`.
    pub text_alone: f32,
    /// Says which model it is, at compile time alone.
    #[serde(skip)]
    #[doc(hidden)]
    pub variant: PhantomData<V>,
}

impl<V: Variant> Default for SequenceSettings<V> {
    fn default() -> Self {
        Self {
            dim: 64,
            layers: 2,
            heads: 2,
            inner: V::INNER,
            max_length: None,
            positions: Positions::Learned,
            dropout: None,
            loss: V::LOSS,
            negatives: 512,
            learning_rate: 1e-3,
            weight_decay: 0.0,
            batch: None,
            epochs: 100,
            patience: 8,
            text: TextUse::None,
            text_alone: 0.1,
            variant: PhantomData,
        }
    }
}

/// Settings with nothing left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Resolved {
    pub(super) max_length: usize,
    pub(super) dropout: f32,
    pub(super) batch: usize,
}

impl<V: Variant> SequenceSettings<V> {
    /// Fills in what was left out, by the data's shape.
    pub(super) fn resolve(&self, data: &TrainData<'_>) -> Resolved {
        let n_events = data.histories.n_events();
        let per_item = n_events as f32 / data.n_items.max(1) as f32;
        // Between 10 and 100 events an item the dropout falls with the logarithm.
        let rarity = (1.0 - (per_item / 10.0).max(1.0).log10()).clamp(0.0, 1.0);
        let by_size = (n_events / 200).next_power_of_two().clamp(512, 2048);
        Resolved {
            max_length: self.max_length.unwrap_or_else(|| usual_length(data)),
            dropout: self.dropout.unwrap_or(0.2 + 0.3 * rarity),
            batch: self.batch.unwrap_or(by_size),
        }
    }

    /// Lists every impossible value.
    pub(super) fn problems(&self) -> Vec<Fault> {
        let count = |field, n: usize, most: usize| {
            Fault::unless((1..=most).contains(&n), field, || format!("must be 1 to {most}, is {n}"))
        };
        let share = |field, x: f32| {
            Fault::unless((0.0..1.0).contains(&x), field, || {
                format!("must be 0 or more and below 1, is {x}")
            })
        };
        let divides = || format!("must divide `dim` = {}, is {}", self.dim, self.heads);
        let rate = || format!("must be above 0 and at most 1, is {}", self.learning_rate);
        let decay = || format!("must be 0 to 1, is {}", self.weight_decay);
        [
            count("dim", self.dim, 4096),
            count("layers", self.layers, 64),
            Fault::unless(self.heads > 0 && self.dim.is_multiple_of(self.heads), "heads", divides),
            count("inner", self.inner, 16),
            self.max_length.and_then(|n| count("max_length", n, 4096)),
            self.dropout.and_then(|x| share("dropout", x)),
            count("negatives", self.negatives, 1 << 20),
            Fault::unless(
                self.learning_rate > 0.0 && self.learning_rate <= 1.0,
                "learning_rate",
                rate,
            ),
            Fault::unless((0.0..=1.0).contains(&self.weight_decay), "weight_decay", decay),
            self.batch.and_then(|n| count("batch", n, 1 << 20)),
            count("epochs", self.epochs, 100_000),
            count("patience", self.patience, 100_000),
            share("text_alone", self.text_alone),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Returns the length that nine of ten histories do not exceed, as far as 20 to 200.
fn usual_length(data: &TrainData<'_>) -> usize {
    let mut lengths: Vec<usize> =
        data.histories.iter().map(|h| h.len()).filter(|&n| n > 1).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() * 9 / 10).copied().unwrap_or(0).next_multiple_of(10).clamp(20, 200)
}
