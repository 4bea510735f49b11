//! Caser (Tang and Wang 2018): convolutions over the last few items, across them and along them.
//!
//! Unlike the paper there is no vector for each user: a user is their history, so that strangers are served at once. Every event is
//! predicted (the paper's next items at a distance are not), with softmax cross-entropy over the catalogue in place of drawn negatives; the
//! item vectors that are read are also predicted, behind one more linear layer, and normalised as in the other models here.
//! Objective: minimise `-Σ_t ln softmax(h_t Vᵀ)[i_{t+1}]`. Shapes: item vectors `V: [items, dim]`, hidden `h: [positions, dim]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Checked, Fault, Fit, FitError, TrainData};
use tastemaker_train::OptimizerSettings;

use crate::layers::CaserShape;
use crate::params::Layout;
use crate::sequence::model::{self, Sequence};
use crate::sequence::network::Network;
use crate::sequence::settings::{Architecture, Loss, Settled, TextUse, Training, count, trained};

/// Caser.
pub type Caser = Sequence<CaserSettings>;

/// Settings of [`Caser`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaserSettings {
    /// Width of item and hidden vectors.
    pub dim: usize,
    /// Newest events that are seen, 1 to 64.
    pub last: usize,
    /// Horizontal filters of each height from 1 to `last`, 1 to 1024.
    pub horizontal: usize,
    /// Vertical filters, 1 to 256.
    pub vertical: usize,
    /// Events of a history that are learnt from together; left out: what nine of ten histories need, 20 to 200.
    pub max_length: Option<usize>,
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
    /// Events predicted in a step; left out: 512 to 2048, a two-hundredth of all events.
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

impl Default for CaserSettings {
    fn default() -> Self {
        Self {
            dim: 64,
            last: 5,
            horizontal: 16,
            vertical: 4,
            max_length: None,
            dropout: None,
            loss: Loss::CrossEntropy,
            negatives: 256,
            learning_rate: 1e-3,
            weight_decay: 0.0,
            batch: None,
            epochs: 100,
            patience: 8,
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

trained!(CaserSettings);

impl Architecture for CaserSettings {
    const NAME: &'static str = "caser";
    const CHUNK: usize = 256;
    const SPACE: &'static [(&'static str, &'static str)] = &[
        ("dim", "32,64,128"),
        ("last", "3,5,10"),
        ("dropout", "uniform(0.1, 0.5)"),
        ("learning_rate", "log(3e-4, 3e-3)"),
    ];

    fn own_problems(&self) -> Vec<Fault> {
        let all = [
            count("last", self.last, 64),
            count("horizontal", self.horizontal, 1024),
            count("vertical", self.vertical, 256),
        ];
        all.into_iter().flatten().collect()
    }

    fn network(&self, layout: &mut Layout, _max_length: usize) -> Network {
        let Self { dim, last: reach, horizontal, vertical, .. } = *self;
        Network::of_caser(layout, CaserShape { dim, reach, horizontal, vertical })
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::contract;

    use super::*;

    fn small() -> CaserSettings {
        CaserSettings {
            dim: 16,
            last: 4,
            horizontal: 6,
            vertical: 2,
            dropout: Some(0.1),
            epochs: 30,
            learning_rate: 1e-2,
            batch: Some(64),
            ..CaserSettings::default()
        }
    }

    #[test]
    fn keeps_the_contracts() {
        contract::recommender(small);
        contract::recommender(|| CaserSettings { last: 1, text: TextUse::Sum, ..small() });
        let loss = Loss::SampledSoftmax;
        contract::recommender(|| CaserSettings { loss, negatives: 8, ..small() });
        contract::similar(|| CaserSettings { epochs: 100, ..small() });
        contract::embed(small);
    }

    #[test]
    fn learns_the_checkerboard() {
        contract::learns_the_checkerboard(|| CaserSettings { epochs: 100, ..small() });
    }

    #[test]
    fn impossible_settings_are_all_named() {
        let bad =
            CaserSettings { last: 65, horizontal: 0, vertical: 0, ..CaserSettings::default() };
        let fields: Vec<_> = bad.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["last", "horizontal", "vertical"]);
    }
}
