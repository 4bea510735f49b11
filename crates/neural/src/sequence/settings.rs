//! Settings that all sequence models share, and the rules by which what is left out follows from the data.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Fault, FitError, TrainData};
use tastemaker_train::OptimizerSettings;

use super::network::Network;
use super::step::{Task, Views};
use super::tower::Parts;
use crate::params::Layout;

/// What is minimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Softmax cross-entropy over all items that were ever taken.
    #[default]
    CrossEntropy,
    /// Softmax over the target and `negatives` items, drawn by the root of their counts and corrected for how often they are.
    SampledSoftmax,
    /// Binary cross-entropy of the target and `negatives` items, drawn alike and calibrated as in gSASRec (Petrov and
    /// Macdonald 2023).
    Gbce,
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
    /// An item is its own vector and a learnt projection of its text side by side; items nobody has taken are the latter alone.
    Concat,
}

impl TextUse {
    /// Tells whether an item has both a vector of its own and a projected text.
    pub(super) const fn is_both(self) -> bool {
        matches!(self, Self::Sum | Self::Concat)
    }
}

/// Kept by settings that hold, among others, those of [`Training`].
pub trait Trained {
    /// Returns what training needs to know.
    fn training(&self) -> Training;

    /// Takes note of what the fit has settled.
    fn settle(&mut self, settled: Settled);
}

/// Makes settings of an architecture, whose fields include those of [`Training`], keep [`Trained`] and `Fit`.
macro_rules! trained {
    ($settings:ident<V: $kind:ident>) => {
        trained!([<V: $kind>] $settings<V>);
    };
    ($settings:ident) => {
        trained!([] $settings);
    };
    ([$(<V: $kind:ident>)?] $settings:ty) => {
        impl$(<V: $kind>)? $crate::sequence::Trained for $settings {
            fn training(&self) -> Training {
                Training {
                    dim: self.dim,
                    max_length: self.max_length,
                    dropout: self.dropout,
                    loss: self.loss,
                    negatives: self.negatives,
                    learning_rate: self.learning_rate,
                    weight_decay: self.weight_decay,
                    batch: self.batch,
                    epochs: self.epochs,
                    patience: self.patience,
                    text: self.text,
                    text_width: self.text_width,
                    text_alone: self.text_alone,
                    experts: self.experts,
                    align: self.align,
                    newcomer_shift: self.newcomer_shift,
                    max_memory_mb: self.max_memory_mb,
                    optimizer: self.optimizer,
                }
            }

            fn settle(&mut self, settled: Settled) {
                self.optimizer = self.optimizer.settled(self.epochs);
                self.epochs = settled.epochs;
                self.max_length = Some(settled.max_length);
                self.dropout = Some(settled.dropout);
                self.batch = Some(settled.batch);
                self.newcomer_shift = settled.newcomer_shift;
            }
        }

        impl$(<V: $kind>)? Fit for $settings {
            type Model = Sequence<Self>;

            const SETTLES: bool = true;

            const SPACE: &'static [(&'static str, &'static str)] =
                <Self as $crate::sequence::Architecture>::SPACE;

            fn faults(&self) -> Vec<Fault> {
                model::faults(self)
            }

            fn reads_text(&self) -> bool {
                self.text != TextUse::None
            }

            fn settled(&self, model: &Sequence<Self>) -> Self {
                model.settings().clone()
            }

            fn fit(
                settings: &Checked<Self>,
                data: &TrainData<'_>,
            ) -> Result<Sequence<Self>, FitError> {
                model::fit(&**settings, data)
            }
        }
    };
}
pub(super) use trained;

/// Kept by the settings of a sequence model: what its training needs to know, and the network it trains.
pub trait Architecture:
    Trained + Clone + std::fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync
{
    /// Name in messages and checkpoints.
    const NAME: &'static str;
    /// Positions worked on together at most: attention likes chunks that stay near the core, recurrence likes many sequences.
    const CHUNK: usize;
    /// What a search tries of each key when it is not told.
    const SPACE: &'static [(&'static str, &'static str)] = &[
        ("dim", "32,64,128"),
        ("layers", "1,2,3"),
        ("dropout", "uniform(0.1, 0.5)"),
        ("learning_rate", "log(3e-4, 3e-3)"),
    ];

    /// Lists every impossible value beside those of [`Training`].
    fn own_problems(&self) -> Vec<Fault>;

    /// Lays the network out.
    #[doc(hidden)]
    fn network(&self, layout: &mut Layout, max_length: usize) -> Network;

    /// Returns these settings with what is decided by the data before anything is laid out, or why the data do not serve.
    #[doc(hidden)]
    fn decided(&self, _data: &TrainData<'_>) -> Result<Self, FitError> {
        Ok(self.clone())
    }

    /// Says what is asked of a window in training.
    fn task(&self) -> Task {
        Task::Next
    }

    /// Says how much of altered views takes part in training.
    #[doc(hidden)]
    fn views(&self) -> Views {
        Views::default()
    }
}

/// What a fit settles, so that one without a judge ends alike.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "documented where users set them")]
pub struct Settled {
    pub epochs: usize,
    pub max_length: usize,
    pub dropout: f32,
    pub batch: usize,
    pub newcomer_shift: Option<f32>,
}

/// What the training of every sequence model needs to know; the fields are those of the settings.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "documented where users set them")]
pub struct Training {
    pub dim: usize,
    pub max_length: Option<usize>,
    pub dropout: Option<f32>,
    pub loss: Loss,
    pub negatives: usize,
    pub learning_rate: f32,
    pub weight_decay: f32,
    pub batch: Option<usize>,
    pub epochs: usize,
    pub patience: usize,
    pub text: TextUse,
    pub text_width: Option<usize>,
    pub text_alone: f32,
    pub experts: usize,
    pub align: f32,
    pub newcomer_shift: Option<f32>,
    pub max_memory_mb: usize,
    pub optimizer: OptimizerSettings,
}

/// What was left out, filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Resolved {
    pub(super) max_length: usize,
    pub(super) dropout: f32,
    pub(super) batch: usize,
}

impl Training {
    /// Returns how wide the parts of an item's vector are.
    pub(super) fn parts(&self) -> Parts {
        let dim = self.dim;
        let (own, text) = match self.text {
            TextUse::None | TextUse::Init => (dim, 0),
            TextUse::Sum => (dim, dim),
            TextUse::Only => (0, dim),
            TextUse::Concat => {
                let text = self.text_width.unwrap_or(dim / 2);
                (dim.saturating_sub(text), text)
            }
        };
        Parts { dim, own, text }
    }

    /// Lists every impossible value of what texts do.
    fn text_problems(&self) -> impl Iterator<Item = Fault> {
        let Self { dim, text, text_width, text_alone, experts, align, .. } = *self;
        let Parts { own, text: width, .. } = self.parts();
        let (narrow, aligns) = (text_width.unwrap_or(1), align > 0.0);
        [
            Fault::unless(text != TextUse::Concat || dim > 1, "dim", || {
                "must be 2 or more for `text = \"concat\"`, whose vectors have two parts".into()
            }),
            Fault::unless(narrow > 0 && narrow < dim.max(2), "text_width", || {
                format!("must be 1 or more and below `dim` = {dim}, is {narrow}")
            }),
            Fault::unless((0.0..1.0).contains(&text_alone), "text_alone", || {
                format!("must be 0 or more and below 1, is {text_alone}")
            }),
            count("experts", experts, 64),
            Fault::unless(experts <= 1 || width > 0, "experts", || {
                format!("must be 1 where `text` is \"none\" or \"init\", is {experts}")
            }),
            Fault::unless((0.0..=10.0).contains(&align), "align", || {
                format!("must be 0 to 10, is {align}")
            }),
            Fault::unless(!aligns || text.is_both(), "align", || {
                format!("must be 0 unless `text` is \"sum\" or \"concat\", is {align}")
            }),
            Fault::unless(!aligns || !text.is_both() || own == width, "align", || {
                let parts =
                    format!("must be 0 where parts of {own} and {width} stand side by side");
                format!("{parts}: make `text_width` half of an even `dim`")
            }),
        ]
        .into_iter()
        .flatten()
    }

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
        let share = |field, x: f32| {
            Fault::unless((0.0..1.0).contains(&x), field, || {
                format!("must be 0 or more and below 1, is {x}")
            })
        };
        let rate = || format!("must be above 0 and at most 1, is {}", self.learning_rate);
        let decay = || format!("must be 0 to 1, is {}", self.weight_decay);
        let rate_holds = self.learning_rate > 0.0 && self.learning_rate <= 1.0;
        [
            count("dim", self.dim, 4096),
            self.max_length.and_then(|n| count("max_length", n, 4096)),
            self.dropout.and_then(|x| share("dropout", x)),
            count("negatives", self.negatives, 1 << 20),
            Fault::unless(rate_holds, "learning_rate", rate),
            Fault::unless((0.0..=1.0).contains(&self.weight_decay), "weight_decay", decay),
            self.batch.and_then(|n| count("batch", n, 1 << 20)),
            count("epochs", self.epochs, 100_000),
            count("patience", self.patience, 100_000),
            count("max_memory_mb", self.max_memory_mb, 1 << 30),
            self.newcomer_shift.and_then(|x| {
                Fault::unless(x.abs() <= 100.0, "newcomer_shift", || {
                    format!("must be -100 to 100, is {x}")
                })
            }),
        ]
        .into_iter()
        .flatten()
        .chain(self.text_problems())
        .chain(self.optimizer.faults())
        .collect()
    }
}

/// Returns a fault unless a count is 1 to `most`.
pub(super) fn count(field: &'static str, n: usize, most: usize) -> Option<Fault> {
    Fault::unless((1..=most).contains(&n), field, || format!("must be 1 to {most}, is {n}"))
}

/// Lists the impossible sizes of transformer blocks.
pub(super) fn block_problems(dim: usize, layers: usize, heads: usize, inner: usize) -> Vec<Fault> {
    let divides = heads > 0 && dim.is_multiple_of(heads);
    [
        count("layers", layers, 64),
        Fault::unless(divides, "heads", || format!("must divide `dim` = {dim}, is {heads}")),
        count("inner", inner, 16),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns the length that nine of ten histories do not exceed, as far as 20 to 200.
fn usual_length(data: &TrainData<'_>) -> usize {
    let mut lengths: Vec<usize> =
        data.histories.iter().map(|h| h.len()).filter(|&n| n > 1).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() * 9 / 10).copied().unwrap_or(0).next_multiple_of(10).clamp(20, 200)
}
