//! BERT4Rec (Sun et al. 2019): a transformer that sees both ways, learns to tell masked items, and is asked behind a mask.
//!
//! Unlike the paper, blocks normalise first, places may also have a bias by distance, and the softmax is over item vectors without a
//! further layer; all items take part in it, which the paper's quality rests on (Petrov and Macdonald 2022, 2023).
//! Objective: minimise `-Σ_{t masked} ln softmax(h_t Vᵀ)[i_t]`. Shapes: item vectors `V: [items, dim]`, hidden `h: [positions, dim]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Checked, Fault, Fit, FitError, TrainData};
use tastemaker_kernels::Activation;
use tastemaker_train::OptimizerSettings;

use super::attention::Positions;
use crate::layers::{BlockShape, FeedForward};
use crate::params::Layout;
use crate::sequence::model::{self, Sequence};
use crate::sequence::network::Network;
use crate::sequence::settings::{
    Architecture, Loss, Settled, TextUse, Training, block_problems, trained,
};
use crate::sequence::step::Task;

/// BERT4Rec.
pub type Bert4rec = Sequence<Bert4recSettings>;

/// Settings of [`Bert4rec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bert4recSettings {
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
    /// Share of the events that are masked, above 0 and at most 1.
    pub mask: f32,
    /// Share of windows in which the newest event alone is masked, as when the model is used; 0 to 1.
    pub mask_newest: f32,
    /// Share of values dropped in training; left out: 0.2 for 100 events an item or more, rising to 0.5 for 10 or fewer.
    pub dropout: Option<f32>,
    /// What is minimised.
    pub loss: Loss,
    /// Items drawn for each quarter of a batch, for the losses that draw.
    pub negatives: usize,
    /// Length of a step.
    pub learning_rate: f32,
    /// How strongly numbers are drawn towards 0.
    pub weight_decay: f32,
    /// Events read in a step; left out: 512 to 2048, a two-hundredth of all events.
    pub batch: Option<usize>,
    /// Epochs at most; without validation events, exactly.
    pub epochs: usize,
    /// Epochs without a better validation before training ends.
    pub patience: usize,
    /// How item texts take part.
    pub text: TextUse,
    /// Width of the text's part of an item's vector, 1 to below `dim`, for `text = "concat"`; left out: half of `dim`.
    pub text_width: Option<usize>,
    /// Share of items known by their text alone in a step, so that the text learns to stand alone; for `text = "sum"` and `"concat"`.
    pub text_alone: f32,
    /// Projections of a text, mixed by what it says (UniSRec: Hou et al. 2022), 1 to 64.
    pub experts: usize,
    /// How strongly an item's own vector and its projected text are drawn to one another, 0 to 10; for `text = "sum"` and `"concat"`.
    pub align: f32,
    /// How much higher items that nobody has taken and whose text is known stand, in standard deviations of their scores; left out: chosen on
    /// validation events, 0 without.
    pub newcomer_shift: Option<f32>,
    /// Memory for training; a fit that would need more is refused.
    pub max_memory_mb: usize,
    /// The optimiser.
    pub optimizer: OptimizerSettings,
}

impl Default for Bert4recSettings {
    fn default() -> Self {
        Self {
            dim: 64,
            layers: 2,
            heads: 2,
            inner: 4,
            max_length: None,
            positions: Positions::Both,
            mask: 0.3,
            mask_newest: 0.2,
            dropout: None,
            loss: Loss::CrossEntropy,
            negatives: 256,
            learning_rate: 1e-3,
            weight_decay: 0.0,
            batch: None,
            epochs: 200,
            patience: 12,
            text: TextUse::None,
            text_width: None,
            text_alone: 0.1,
            experts: 1,
            align: 0.0,
            newcomer_shift: None,
            max_memory_mb: 16_384,
            optimizer: OptimizerSettings::default(),
        }
    }
}

trained!(Bert4recSettings);

impl Architecture for Bert4recSettings {
    const NAME: &'static str = "bert4rec";
    const CHUNK: usize = 256;

    fn own_problems(&self) -> Vec<Fault> {
        let mask = || format!("must be above 0 and at most 1, is {}", self.mask);
        let newest = || format!("must be 0 to 1, is {}", self.mask_newest);
        let mut all = block_problems(self.dim, self.layers, self.heads, self.inner);
        all.extend(Fault::unless(self.mask > 0.0 && self.mask <= 1.0, "mask", mask));
        let holds = (0.0..=1.0).contains(&self.mask_newest);
        all.extend(Fault::unless(holds, "mask_newest", newest));
        all
    }

    fn network(&self, layout: &mut Layout, max_length: usize) -> Network {
        let Self { dim, layers, heads, inner, positions, .. } = *self;
        let shape = BlockShape {
            dim,
            heads,
            inner: inner * dim,
            feed_forward: FeedForward::Plain(Activation::Gelu),
            gated: false,
            causal: false,
            reach: if positions == Positions::Learned { 0 } else { max_length + 1 },
            kinds: 0,
        };
        let has_places = positions != Positions::Distance;
        Network::of_blocks(layout, max_length, (has_places, true), (layers, shape))
    }

    fn task(&self) -> Task {
        Task::Masked { share: self.mask, last: self.mask_newest }
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::contract;

    use super::*;

    fn small() -> Bert4recSettings {
        Bert4recSettings {
            dim: 16,
            layers: 1,
            dropout: Some(0.1),
            epochs: 30,
            learning_rate: 1e-2,
            batch: Some(64),
            ..Bert4recSettings::default()
        }
    }

    #[test]
    fn keeps_the_contracts_with_every_kind_of_place_and_loss() {
        for positions in [Positions::Learned, Positions::Distance, Positions::Both] {
            contract::recommender(|| Bert4recSettings { positions, ..small() });
        }
        for loss in [Loss::SampledSoftmax, Loss::Gbce] {
            let text = TextUse::Sum;
            contract::recommender(|| Bert4recSettings { loss, text, negatives: 8, ..small() });
        }
        contract::similar(|| Bert4recSettings { epochs: 200, ..small() });
        contract::embed(small);
    }

    #[test]
    fn learns_the_checkerboard() {
        contract::learns_the_checkerboard(|| Bert4recSettings { epochs: 150, ..small() });
    }

    #[test]
    fn impossible_settings_are_all_named() {
        let bad = Bert4recSettings {
            layers: 0,
            heads: 7,
            mask: 0.0,
            mask_newest: f32::NAN,
            ..Bert4recSettings::default()
        };
        let fields: Vec<_> = bad.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["layers", "heads", "mask", "mask_newest"]);
    }
}
