//! GRU4Rec and LSTM: recurrent networks over item sequences.
//!
//! GRU4Rec (Hidasi et al. 2016) with softmax cross-entropy over the catalogue and item vectors that are both read and predicted; LSTM is
//! the plain stack: embedding, LSTM, dense layer, softmax. Objective and shapes are those of SASRec.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Checked, Fault, Fit, FitError, TrainData};
use tastemaker_train::OptimizerSettings;

use crate::layers::Cell;
use crate::params::Layout;
use crate::sequence::model::{self, Sequence};
use crate::sequence::network::Network;
use crate::sequence::settings::{Architecture, Loss, Settled, TextUse, Training, count, trained};

/// Which recurrent network it is.
pub trait Cells: Clone + Copy + std::fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Name in messages and checkpoints.
    const NAME: &'static str;
    /// What steps from event to event.
    #[doc(hidden)]
    const CELL: Cell;
}

/// Gated recurrent units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GruCells;

impl Cells for GruCells {
    const NAME: &'static str = "gru4rec";
    const CELL: Cell = Cell::Gru;
}

/// Long short-term memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LstmCells;

impl Cells for LstmCells {
    const NAME: &'static str = "lstm";
    const CELL: Cell = Cell::Lstm;
}

/// GRU4Rec.
pub type Gru4rec = Sequence<Gru4recSettings>;
/// Settings of [`Gru4rec`].
pub type Gru4recSettings = RecurrentSettings<GruCells>;
/// The plain LSTM model.
pub type LstmRec = Sequence<LstmSettings>;
/// Settings of [`LstmRec`].
pub type LstmSettings = RecurrentSettings<LstmCells>;

/// Settings of the recurrent models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, bound = "V: Cells")]
#[schemars(bound = "V: Cells")]
pub struct RecurrentSettings<V: Cells> {
    /// Width of item vectors.
    pub dim: usize,
    /// Recurrent layers, one on top of the other.
    pub layers: usize,
    /// Width of what a layer remembers.
    pub hidden: usize,
    /// Newest events that are read; left out: what nine of ten histories need, 20 to 200.
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
    /// Says which model it is, at compile time alone.
    #[serde(skip)]
    #[doc(hidden)]
    pub variant: PhantomData<V>,
}

impl<V: Cells> Default for RecurrentSettings<V> {
    fn default() -> Self {
        Self {
            dim: 64,
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
            variant: PhantomData,
        }
    }
}

trained!(RecurrentSettings<V: Cells>);

impl<V: Cells> Architecture for RecurrentSettings<V> {
    const NAME: &'static str = V::NAME;
    const CHUNK: usize = usize::MAX;

    fn own_problems(&self) -> Vec<Fault> {
        let all = [count("layers", self.layers, 16), count("hidden", self.hidden, 4096)];
        all.into_iter().flatten().collect()
    }

    fn network(&self, layout: &mut Layout, max_length: usize) -> Network {
        let widths = (self.dim, self.hidden);
        Network::of_cells(layout, max_length, (V::CELL, self.layers), widths)
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::contract;

    use super::*;

    fn small<V: Cells>() -> RecurrentSettings<V> {
        RecurrentSettings {
            dim: 16,
            hidden: 24,
            dropout: Some(0.1),
            epochs: 30,
            learning_rate: 1e-2,
            batch: Some(64),
            ..RecurrentSettings::default()
        }
    }

    #[test]
    fn both_kinds_keep_the_contracts() {
        contract::recommender(small::<GruCells>);
        contract::recommender(small::<LstmCells>);
        contract::recommender(|| RecurrentSettings {
            layers: 2,
            text: TextUse::Sum,
            ..small::<GruCells>()
        });
        contract::similar(|| RecurrentSettings { epochs: 100, ..small::<GruCells>() });
        contract::embed(small::<GruCells>);
        contract::embed(small::<LstmCells>);
    }

    #[test]
    fn both_kinds_learn_the_checkerboard() {
        contract::learns_the_checkerboard(|| RecurrentSettings {
            epochs: 100,
            ..small::<GruCells>()
        });
        contract::learns_the_checkerboard(|| RecurrentSettings {
            epochs: 100,
            ..small::<LstmCells>()
        });
    }
}
