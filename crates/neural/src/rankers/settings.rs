//! Settings of the ranking models, which differ in how the vectors of a user and an item meet.
//!
//! - `linear`: `s = b + Σ w`, first-order weights alone, so that with texts it is linear in the user's and the item's text vectors.
//! - `dnn`: `s = MLP(x)` over all fields' vectors side by side, `x: [fields * dim]`.
//! - `fm`: `s = b + Σ w + Σ_{f<g} v_f · v_g` (Rendle 2010), over fields; labels within a field are averaged first.
//! - `deepfm`: `fm` and `dnn` added, with the same vectors (Guo et al. 2017).
//! - `dcn`: cross layers `x_{l+1} = x_0 ⊙ (W x_l + b) + x_l` beside the MLP (DCN-v2, Wang et al. 2021, parallel form).
//! - `text-cnn`: `deepfm` with two more fields: what convolutions make of the item's text, and the mean of what they make of the
//!   texts of the items taken (`TextCNN`, Kim 2014; on both sides as in `DeepCoNN`, Zheng et al. 2017).

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Checked, Fault, Fit, FitError, TrainData};

use super::model::{self, Ranker};
use super::network::Parts;

/// What is learnt to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Events from items drawn uniformly among those the user never took: binary cross-entropy.
    #[default]
    Click,
    /// Ratings of at least `positive_at` from lower ones: binary cross-entropy.
    Like,
    /// The rating: squared error.
    Rating,
    /// The rating as one of its levels: softmax cross-entropy, with logits `a_c s + b_c` (stereotype model, Anderson 1984).
    Levels,
}

/// Which ranking model it is.
pub trait Interaction: Clone + Copy + std::fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Name in messages and checkpoints.
    const NAME: &'static str;
    /// What a search tries of each key when it is not told.
    #[doc(hidden)]
    const SPACE: &'static [(&'static str, &'static str)];
    /// Length of a step, unless it is set: weights alone can go fast, layers cannot.
    #[doc(hidden)]
    const LEARNING_RATE: f32;
    /// Tokens read of each text, unless it is set.
    #[doc(hidden)]
    const TOKENS: usize;
    /// What the score is the sum of.
    #[doc(hidden)]
    const PARTS: Parts;
}

macro_rules! ranker {
    ($($(#[doc = $about:literal])+ $name:literal $kind:ident $parts:ident $settings:ident $rate:literal $tokens:literal { $($part:ident),+ } $space:expr;)+) => { $(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $parts;

        impl Interaction for $parts {
            const NAME: &'static str = $name;
            const SPACE: &'static [(&'static str, &'static str)] = $space;
            const LEARNING_RATE: f32 = $rate;
            const TOKENS: usize = $tokens;
            const PARTS: Parts = Parts { $($part: true,)+ ..Parts::NONE };
        }

        #[doc = concat!("The ranking model `", $name, "`.")]
        pub type $kind = Ranker<$parts>;
        #[doc = concat!("Settings of [`", stringify!($kind), "`].")]
        pub type $settings = RankerSettings<$parts>;
    )+ };
}

const DIM: (&str, &str) = ("dim", "8,16,32,64");
const HIDDEN: (&str, &str) = ("hidden", "[64,32],[128,64],[256,128]");
const FILTERS: (&str, &str) = ("filters", "16,32,64");
const DROPOUT: (&str, &str) = ("dropout", "uniform(0, 0.5)");
const DECAY: (&str, &str) = ("weight_decay", "log(0.1, 10)");
const RATE_OF_WEIGHTS: (&str, &str) = ("learning_rate", "log(1e-3, 3e-2)");
const RATE_OF_LAYERS: (&str, &str) = ("learning_rate", "log(3e-4, 3e-3)");

ranker! {
    /// First-order weights.
    "linear" LinearRanker LinearParts LinearSettings 1e-2 0 { linear } &[RATE_OF_WEIGHTS, DECAY];
    /// A multi-layer perceptron.
    "dnn" DnnRanker DeepParts DnnSettings 1e-3 0 { deep } &[DIM, HIDDEN, DROPOUT, RATE_OF_LAYERS, DECAY];
    /// First-order weights and products of pairs.
    "fm" FmRanker FmParts FmSettings 3e-3 0 { linear, pairs } &[DIM, RATE_OF_WEIGHTS, DECAY];
    /// A factorisation machine and a perceptron.
    "deepfm" DeepFmRanker DeepFmParts DeepFmSettings 1e-3 0 { linear, pairs, deep } &[DIM, HIDDEN, DROPOUT, RATE_OF_LAYERS, DECAY];
    /// Cross layers and a perceptron.
    "dcn" DcnRanker CrossParts DcnSettings 1e-3 0 { cross, deep } &[DIM, ("cross_layers", "1,2,3"), HIDDEN, DROPOUT, RATE_OF_LAYERS, DECAY];
    /// A factorisation machine and a perceptron, with convolutions over the tokens of texts.
    "text-cnn" TextCnnRanker TextCnnParts TextCnnSettings 1e-3 48 { linear, pairs, deep } &[DIM, HIDDEN, DROPOUT, FILTERS, RATE_OF_LAYERS, DECAY];
}

/// Settings of the ranking models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, bound = "V: Interaction")]
#[schemars(bound = "V: Interaction")]
pub struct RankerSettings<V: Interaction> {
    /// What is learnt to tell: `click`, `like`, `rating` or `levels`.
    pub objective: Objective,
    /// Rating from which on something counts as liked.
    pub positive_at: f32,
    /// Items drawn for each event, for `click`.
    pub negatives: usize,
    /// Width of the vectors of ids and labels; `linear` has none, and refuses another value.
    pub dim: usize,
    /// Widths of the hidden layers of `dnn`, `deepfm` and `dcn`.
    pub hidden: Vec<usize>,
    /// Cross layers of `dcn`.
    pub cross_layers: usize,
    /// Newest events that are read, without the one in question; 0 = none.
    pub history: usize,
    /// Principal components of the item texts that are read; 0 = none.
    pub text_dim: usize,
    /// Tokens of each item text that convolutions read; 0 = no convolutions.
    pub tokens: usize,
    /// Width of a token's vector; an encoder's are reduced to their leading components.
    pub token_dim: usize,
    /// Tokens in a row that a filter sees, for each group of filters.
    pub filter_widths: Vec<usize>,
    /// Filters of each width.
    pub filters: usize,
    /// Learns on at the encoder's token vectors instead of leaving them as they are.
    pub train_tokens: bool,
    /// Rows that the ids, or the labels of a column, share by hash; left out: one each, and a million where there are more.
    pub hash_buckets: Option<usize>,
    /// Share of ids that are hidden in training, so that strangers and new items are learnt about.
    pub unknown: f32,
    /// Share of the hidden layers' values dropped in training.
    pub dropout: f32,
    /// Share of the vectors' values dropped in training.
    pub embedding_dropout: f32,
    /// Length of a step.
    pub learning_rate: f32,
    /// How strongly vectors and weights of ids and labels are drawn towards 0.
    pub weight_decay: f32,
    /// Rows of a step, drawn items included; left out: 512 to 4096, about a hundredth of an epoch.
    pub batch: Option<usize>,
    /// Epochs at most; without validation events, exactly.
    pub epochs: usize,
    /// Epochs without a better validation before training ends.
    pub patience: usize,
    /// Slope and shift from scores to log-odds; left out: found on validation events (Platt 2000), or 1 and 0 without any.
    pub calibration: Option<[f32; 2]>,
    /// Memory for training; a fit that would need more is refused.
    pub max_memory_mb: usize,
    /// Says which model it is, at compile time alone.
    #[serde(skip)]
    #[doc(hidden)]
    pub variant: PhantomData<V>,
}

impl<V: Interaction> Default for RankerSettings<V> {
    fn default() -> Self {
        Self {
            objective: Objective::Click,
            positive_at: 4.0,
            negatives: 4,
            dim: 16,
            hidden: vec![128, 64],
            cross_layers: 2,
            history: 50,
            text_dim: 32,
            tokens: V::TOKENS,
            token_dim: 32,
            filter_widths: vec![2, 3, 4],
            filters: 32,
            train_tokens: true,
            hash_buckets: None,
            unknown: 0.05,
            dropout: 0.2,
            embedding_dropout: 0.0,
            learning_rate: V::LEARNING_RATE,
            weight_decay: 1.0,
            batch: None,
            epochs: 50,
            patience: 3,
            calibration: None,
            max_memory_mb: 16_384,
            variant: PhantomData,
        }
    }
}

impl<V: Interaction> RankerSettings<V> {
    fn numbers(&self) -> impl Iterator<Item = Fault> {
        let share = |field, x: f32| {
            let problem = || format!("must be 0 or more and below 1, is {x}");
            Fault::unless((0.0..1.0).contains(&x), field, problem)
        };
        let rate = || format!("must be above 0 and at most 1, is {}", self.learning_rate);
        let decay = || format!("must be 0 to 10, is {}", self.weight_decay);
        let rate_holds = self.learning_rate > 0.0 && self.learning_rate <= 1.0;
        let [slope, shift] = self.calibration.unwrap_or([1.0, 0.0]);
        [
            Fault::unless(self.positive_at.is_finite(), "positive_at", || {
                format!("must be a number, is {}", self.positive_at)
            }),
            share("unknown", self.unknown),
            share("dropout", self.dropout),
            share("embedding_dropout", self.embedding_dropout),
            Fault::unless(rate_holds, "learning_rate", rate),
            Fault::unless((0.0..=10.0).contains(&self.weight_decay), "weight_decay", decay),
            Fault::unless(slope.is_finite() && shift.is_finite(), "calibration", || {
                format!("must be two numbers, is [{slope}, {shift}]")
            }),
        ]
        .into_iter()
        .flatten()
    }

    /// Names settings that say something of parts the model does not have.
    fn idle(&self) -> impl Iterator<Item = Fault> {
        let (usual, parts) = (Self::default(), V::PARTS);
        let drops = parts.deep || self.tokens > 0;
        let same = |a: f32, b: f32| a.total_cmp(&b).is_eq();
        let idle = |is_idle: bool, field| {
            Fault::unless(!is_idle, field, || format!("has no effect on {}: leave it out", V::NAME))
        };
        [
            idle(!parts.has_vectors() && self.dim != usual.dim, "dim"),
            idle(!parts.deep && self.hidden != usual.hidden, "hidden"),
            idle(!parts.cross && self.cross_layers != usual.cross_layers, "cross_layers"),
            idle(!drops && !same(self.dropout, usual.dropout), "dropout"),
        ]
        .into_iter()
        .flatten()
    }

    fn filter_widths(&self) -> Option<Fault> {
        let widths = &self.filter_widths;
        let fits = (1..=8).contains(&widths.len()) && widths.iter().all(|w| (1..=16).contains(w));
        Fault::unless(fits, "filter_widths", || {
            format!("must be one to 8 widths of 1 to 16, is {widths:?}")
        })
    }

    fn counts(&self) -> impl Iterator<Item = Fault> {
        let most = |field, n: usize, most: usize| {
            Fault::unless(n <= most, field, || format!("must be 0 to {most}, is {n}"))
        };
        let count = |field, n: usize, most: usize| {
            let problem = || format!("must be 1 to {most}, is {n}");
            Fault::unless((1..=most).contains(&n), field, problem)
        };
        let widths = || format!("must be one to 8 widths of 1 to 4096, is {:?}", self.hidden);
        let fits = (1..=8).contains(&self.hidden.len())
            && self.hidden.iter().all(|width| (1..=4096).contains(width));
        [
            count("negatives", self.negatives, 1000),
            count("dim", self.dim, 1024),
            Fault::unless(fits, "hidden", widths),
            count("cross_layers", self.cross_layers, 16),
            most("history", self.history, 4096),
            most("text_dim", self.text_dim, 256),
            most("tokens", self.tokens, 512),
            count("token_dim", self.token_dim, 256),
            count("filters", self.filters, 1024),
            self.filter_widths(),
            self.hash_buckets.and_then(|n| count("hash_buckets", n, 1 << 30)),
            self.batch.and_then(|n| count("batch", n, 1 << 20)),
            count("epochs", self.epochs, 100_000),
            count("patience", self.patience, 100_000),
            count("max_memory_mb", self.max_memory_mb, 1 << 30),
        ]
        .into_iter()
        .flatten()
    }
}

impl<V: Interaction> Fit for RankerSettings<V> {
    type Model = Ranker<V>;

    const SETTLES: bool = true;
    const READS_COLUMNS: bool = true;

    const SPACE: &'static [(&'static str, &'static str)] = V::SPACE;

    fn faults(&self) -> Vec<Fault> {
        self.numbers().chain(self.counts()).chain(self.idle()).collect()
    }

    fn reads_text(&self) -> bool {
        self.text_dim > 0 || self.tokens > 0
    }

    fn reads_tokens(&self) -> bool {
        self.tokens > 0
    }

    fn settled(&self, model: &Ranker<V>) -> Self {
        model.settings().clone()
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Ranker<V>, FitError> {
        model::fit(&**settings, data)
    }
}
