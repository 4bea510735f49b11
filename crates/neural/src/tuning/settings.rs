//! What can be chosen of the tuning of a text encoder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::Fault;
use tastemaker_train::{Decay, OptimizerSettings};

use super::tasks::{AugmentSettings, TuneTask};

/// What is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A product of two thin matrices beside each target, added to it in the end (Hu et al. 2022).
    #[default]
    Lora,
    /// All biases (Ben Zaken et al. 2022).
    Bias,
    /// The top layers.
    Top,
    /// Everything.
    Full,
    /// Two narrow layers behind attention and behind the feed-forward part of every layer (Houlsby et al. 2019).
    Adapter,
    /// Keys and values that every layer attends to before those of the text (Li and Liang 2021).
    Prefix,
    /// The head alone.
    Head,
}

/// What stands behind the encoder's pooling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HeadStart {
    /// A dense layer that starts as the whitening of the items' vectors, and learns.
    #[default]
    Whitened,
    /// Nothing.
    None,
}

/// A matrix of every layer that LoRA can stand beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoraTarget {
    /// Queries of attention.
    Query,
    /// Keys of attention.
    Key,
    /// Values of attention.
    Value,
    /// What mixes the heads of attention.
    Output,
    /// The wide half of the feed-forward layer.
    Up,
    /// The narrow half.
    Down,
}

impl LoraTarget {
    /// Returns the name of its weight within a layer.
    pub const fn part(self) -> &'static str {
        match self {
            Self::Query => "attention.self.query.weight",
            Self::Key => "attention.self.key.weight",
            Self::Value => "attention.self.value.weight",
            Self::Output => "attention.output.dense.weight",
            Self::Up => "intermediate.dense.weight",
            Self::Down => "output.dense.weight",
        }
    }
}

/// The tuning of a text encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TuneSettings {
    /// `two-tower`, `masked-words`, `classify`, `rate` or `sequence`: what it learns.
    pub task: TuneTask,
    /// For `classify`: the column of labels that are told from items' texts; left out: whether a user takes an item.
    pub labels: Option<String>,
    /// `lora`, `adapter`, `prefix`, `bias`, `top`, `full` or `head`: what is trained.
    pub what: What,
    /// `whitened` or `none`: the dense layer behind the pooling, which is trained too and written as a module of its own.
    pub head: HeadStart,
    /// Batches that the head learns from alone before everything does, 0 to 1,000,000; they cost little, since no text is read.
    pub head_steps: usize,
    /// Users of such a batch, 2 to 65,536.
    pub head_users: usize,
    /// Length of a step of the head while it learns alone, above 0.
    pub head_rate: f32,
    /// Length of a step of the head while everything learns, 0 or more; 0 keeps it as it is by then.
    pub head_joint_rate: f32,
    /// How strongly the head is drawn towards its start, 0 or more.
    pub head_decay: f32,
    /// For `lora`: rank of the product, 1 to 512.
    pub rank: usize,
    /// For `lora`: mean rank that is left of `rank`, 1 to `rank`; the matrices that gain most keep most (AdaLoRA, Zhang et al. 2023). Left out: all.
    pub rank_budget: Option<usize>,
    /// For `lora`: the product is multiplied with `alpha / rank`; above 0.
    pub alpha: f32,
    /// For `lora`: the matrices it stands beside, among query, key, value, output, up and down.
    pub targets: Vec<LoraTarget>,
    /// For `top`: how many layers, 1 to 256.
    pub layers: usize,
    /// For `adapter`: numbers in its middle, 1 to 4096.
    pub adapter_width: usize,
    /// For `prefix`: tokens it stands for, 1 to 256.
    pub prefix_tokens: usize,
    /// Tokens read of each text while tuning, 3 to 8192; the tuned encoder reads as many as before.
    pub max_tokens: usize,
    /// Newest items of a history whose texts make up the user's side, 1 to 100.
    pub history: usize,
    /// How much an item of the history counts compared with the one after it, 0 to 1.
    pub decay: f32,
    /// Users of a batch, 2 to 4096.
    pub users: usize,
    /// Events of a user in a batch, one after another, 2 to 1000: each but the first is to be found from those before it.
    pub events: usize,
    /// For `masked-words`, `classify` and `rate`: texts or pairs of texts of a batch, 1 to 4096.
    pub batch: usize,
    /// For `classify` without `labels`: items drawn as not taken beside each one that was, 1 to 100.
    pub negatives: usize,
    /// For `masked-words`: share of a text's tokens that are to be told, above 0 to 0.5.
    pub masked: f32,
    /// How far the output of the embeddings is moved against each text in a second pass (FGM, Miyato et al. 2017); 0 for no such pass.
    pub adversarial: f32,
    /// What cosines are divided by, above 0; the smaller, the more the hardest of the other items count.
    pub temperature: f32,
    /// Share of the log-Q correction, 0 to 1: 1 learns what is taken next, 0 what is taken more than its popularity lets
    /// expect.
    pub correction: f32,
    /// Length of a step, above 0; left out: 1e-3 for `lora`, `adapter` and `bias`, 1e-2 for `prefix`, 1e-4 for `top`,
    /// 5e-5 for `full`.
    pub learning_rate: Option<f32>,
    /// Share of the numbers that is dropped, while tuning, of the embeddings' output and of what each sub-layer adds, 0 to 0.9.
    pub dropout: f32,
    /// How strongly what is trained is drawn towards 0, 0 or more.
    pub weight_decay: f32,
    /// Batches of an epoch, after which validation is looked at; left out: as many as go once through all users.
    pub steps: Option<usize>,
    /// Epochs at most, 1 to 10,000.
    pub epochs: usize,
    /// Epochs without a better validation before tuning ends, 1 or more.
    pub patience: usize,
    /// Memory for activations in MB, 1 or more; those that do not fit are computed twice.
    pub max_memory_mb: usize,
    /// Noise that texts get while tuning.
    pub augment: AugmentSettings,
    /// The optimiser.
    pub optimizer: OptimizerSettings,
}

impl Default for TuneSettings {
    fn default() -> Self {
        Self {
            task: TuneTask::TwoTower,
            labels: None,
            what: What::Lora,
            head: HeadStart::Whitened,
            head_steps: 300,
            head_users: 512,
            head_rate: 3e-3,
            head_joint_rate: 3e-4,
            head_decay: 0.0,
            rank: 16,
            rank_budget: None,
            alpha: 32.0,
            targets: vec![LoraTarget::Query, LoraTarget::Value],
            layers: 2,
            adapter_width: 64,
            prefix_tokens: 16,
            max_tokens: 64,
            history: 3,
            decay: 0.5,
            users: 128,
            events: 8,
            batch: 32,
            negatives: 3,
            masked: 0.15,
            adversarial: 0.0,
            temperature: 0.1,
            correction: 1.0,
            learning_rate: None,
            dropout: 0.0,
            weight_decay: 0.0,
            steps: Some(50),
            epochs: 8,
            patience: 3,
            max_memory_mb: 4096,
            augment: AugmentSettings::default(),
            optimizer: OptimizerSettings {
                clip: Some(1.0),
                warm_up: 20,
                schedule: Decay::Linear,
                ..OptimizerSettings::default()
            },
        }
    }
}

impl TuneSettings {
    /// Lists every impossible value.
    pub fn faults(&self) -> Vec<Fault> {
        let count = |field, n: usize, (least, most): (usize, usize)| {
            Fault::unless((least..=most).contains(&n), field, || {
                format!("must be {least} to {most}, is {n}")
            })
        };
        let above = |field, x: f32| {
            Fault::unless(x > 0.0 && x.is_finite(), field, || format!("must be above 0, is {x}"))
        };
        let share = |field, x: f32| {
            Fault::unless((0.0..=1.0).contains(&x), field, || format!("must be 0 to 1, is {x}"))
        };
        let no_targets = self.what == What::Lora && self.targets.is_empty();
        let at_least_0 = |field, x: f32| {
            let is_fine = x >= 0.0 && x.is_finite();
            Fault::unless(is_fine, field, || format!("must be 0 or more, is {x}"))
        };
        let no_head = self.what == What::Head && !self.has_head();
        let own = [
            Fault::unless(!no_head, "head", || {
                "must be `whitened`, and `task` `two-tower` or `sequence`, where `what` is `head`"
                    .into()
            }),
            count("head_steps", self.head_steps, (0, 1_000_000)),
            count("head_users", self.head_users, (2, 65_536)),
            above("head_rate", self.head_rate),
            at_least_0("head_joint_rate", self.head_joint_rate),
            at_least_0("head_decay", self.head_decay),
            count("rank", self.rank, (1, 512)),
            self.rank_budget.and_then(|rank| count("rank_budget", rank, (1, self.rank))),
            above("alpha", self.alpha),
            Fault::unless(!no_targets, "targets", || "must name a matrix for `lora`".into()),
            count("layers", self.layers, (1, 256)),
            count("adapter_width", self.adapter_width, (1, 4096)),
            count("prefix_tokens", self.prefix_tokens, (1, 256)),
            count("max_tokens", self.max_tokens, (3, 8192)),
            count("history", self.history, (1, 100)),
            share("decay", self.decay),
            count("users", self.users, (2, 4096)),
            count("events", self.events, (2, 1000)),
            count("batch", self.batch, (1, 4096)),
            count("negatives", self.negatives, (1, 100)),
            Fault::unless(self.masked > 0.0 && self.masked <= 0.5, "masked", || {
                format!("must be above 0 and at most 0.5, is {}", self.masked)
            }),
            Fault::unless((0.0..=1e3).contains(&self.adversarial), "adversarial", || {
                format!("must be 0 to 1000, is {}", self.adversarial)
            }),
            above("temperature", self.temperature),
            share("correction", self.correction),
            self.learning_rate.and_then(|rate| above("learning_rate", rate)),
            Fault::unless((0.0..=0.9).contains(&self.dropout), "dropout", || {
                format!("must be 0 to 0.9, is {}", self.dropout)
            }),
            at_least_0("weight_decay", self.weight_decay),
            self.steps.and_then(|steps| count("steps", steps, (1, 1_000_000))),
            count("epochs", self.epochs, (1, 10_000)),
            count("patience", self.patience, (1, 10_000)),
            count("max_memory_mb", self.max_memory_mb, (1, 1 << 24)),
        ];
        let own = own.into_iter().flatten().chain(self.optimizer.faults());
        own.chain(self.augment.faults()).collect()
    }

    /// Tells whether a dense layer stands behind the pooling: where the task compares items' vectors.
    pub(super) const fn has_head(&self) -> bool {
        let compares = matches!(self.task, TuneTask::TwoTower | TuneTask::Sequence);
        compares && matches!(self.head, HeadStart::Whitened)
    }

    /// Counts the epochs in which the head learns alone: all, or one before the others.
    pub(super) fn epochs_alone(&self) -> usize {
        match self.what {
            _ if !self.has_head() => 0,
            What::Head => self.epochs,
            _ => usize::from(self.head_steps > 0),
        }
    }

    /// Counts all epochs.
    pub(super) fn all_epochs(&self) -> usize {
        if self.what == What::Head { self.epochs } else { self.epochs_alone() + self.epochs }
    }

    /// Returns the length of a step.
    pub fn rate(&self) -> f32 {
        self.learning_rate.unwrap_or(match self.what {
            What::Lora | What::Bias | What::Adapter | What::Head => 1e-3,
            What::Prefix => 1e-2,
            What::Top => 1e-4,
            What::Full => 5e-5,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_all_named_and_the_defaults_have_none() {
        assert!(TuneSettings::default().faults().is_empty());
        let bad = TuneSettings {
            what: What::Head,
            head: HeadStart::None,
            head_steps: usize::MAX,
            head_users: 1,
            head_rate: 0.0,
            head_joint_rate: -1.0,
            head_decay: f32::NAN,
            rank: 0,
            rank_budget: Some(1),
            dropout: 1.0,
            alpha: 0.0,
            layers: 0,
            adapter_width: 0,
            prefix_tokens: 0,
            max_tokens: 2,
            history: 0,
            decay: 1.5,
            users: 1,
            events: 1,
            batch: 0,
            negatives: 0,
            masked: 0.0,
            adversarial: -1.0,
            augment: AugmentSettings { drop: 1.0, crop: -1.0, synonyms: 2.0, neighbours: 0 },
            temperature: f32::NAN,
            correction: -1.0,
            learning_rate: Some(0.0),
            weight_decay: -1.0,
            steps: Some(0),
            epochs: 0,
            patience: 0,
            max_memory_mb: 0,
            ..TuneSettings::default()
        };
        assert_eq!(bad.faults().len(), 34);
        let aimless = TuneSettings { targets: Vec::new(), ..TuneSettings::default() };
        assert_eq!(aimless.faults().len(), 1);
    }
}
