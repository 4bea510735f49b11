//! Next-item MLP: hidden layers over the vectors of the last few items laid side by side, the cheapest model that knows order.
//!
//! After the neural language model of Bengio et al. 2003, with items for words. Objective and shapes are those of SASRec: minimise
//! `-Σ_t ln softmax(h_t Vᵀ)[i_{t+1}]`, item vectors `V: [items, dim]`, hidden `h: [positions, dim]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Checked, Fault, Fit, FitError, TrainData};
use tastemaker_train::OptimizerSettings;

use crate::layers::MlpShape;
use crate::params::Layout;
use crate::sequence::model::{self, Sequence};
use crate::sequence::network::Network;
use crate::sequence::settings::{Architecture, Loss, Settled, TextUse, Training, count, trained};

/// The next-item MLP.
pub type NextMlp = Sequence<NextMlpSettings>;

/// Settings of [`NextMlp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NextMlpSettings {
    /// Width of item vectors.
    pub dim: usize,
    /// Newest events that are seen, 1 to 256.
    pub last: usize,
    /// Hidden layers, 1 to 16.
    pub layers: usize,
    /// Width of the hidden layers, 1 to 4096.
    pub hidden: usize,
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

impl Default for NextMlpSettings {
    fn default() -> Self {
        Self {
            dim: 64,
            last: 10,
            layers: 1,
            hidden: 256,
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

trained!(NextMlpSettings);

impl Architecture for NextMlpSettings {
    const NAME: &'static str = "next-mlp";
    const CHUNK: usize = 256;

    fn own_problems(&self) -> Vec<Fault> {
        let all = [
            count("last", self.last, 256),
            count("layers", self.layers, 16),
            count("hidden", self.hidden, 4096),
        ];
        all.into_iter().flatten().collect()
    }

    fn network(&self, layout: &mut Layout, _max_length: usize) -> Network {
        let Self { dim, last: reach, layers, hidden, .. } = *self;
        Network::of_mlp(layout, MlpShape { dim, reach, layers, hidden })
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::contract;

    use super::*;

    fn small() -> NextMlpSettings {
        NextMlpSettings {
            dim: 16,
            last: 4,
            hidden: 24,
            dropout: Some(0.1),
            epochs: 30,
            learning_rate: 1e-2,
            batch: Some(64),
            ..NextMlpSettings::default()
        }
    }

    #[test]
    fn keeps_the_contracts() {
        contract::recommender(small);
        contract::recommender(|| NextMlpSettings { layers: 3, text: TextUse::Sum, ..small() });
        let loss = Loss::SampledSoftmax;
        contract::recommender(|| NextMlpSettings { loss, negatives: 8, ..small() });
        contract::similar(|| NextMlpSettings { epochs: 100, ..small() });
        contract::embed(small);
    }

    #[test]
    fn learns_the_checkerboard() {
        contract::learns_the_checkerboard(|| NextMlpSettings { epochs: 100, ..small() });
    }

    #[test]
    fn impossible_settings_are_all_named() {
        let bad = NextMlpSettings { last: 0, layers: 17, hidden: 0, ..NextMlpSettings::default() };
        let fields: Vec<_> = bad.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["last", "layers", "hidden"]);
    }
}
