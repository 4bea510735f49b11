//! SASRec and eSASRec: causal transformers over item sequences.
//!
//! SASRec (Kang and McAuley 2018) with pre-norm blocks and, unlike the paper, softmax cross-entropy over the catalogue, which ranks
//! far better than one negative (Klenitskiy and Vasilev 2023). eSASRec (Tikhonovich et al. 2025) has gated LiGR blocks.
//! Objective: minimise `-Σ_t ln softmax(h_t Vᵀ)[i_{t+1}]`. Shapes: item vectors `V: [items, dim]`, hidden `h: [positions, dim]`.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Checked, Fault, Fit, FitError, TrainData};
use tastemaker_kernels::Activation;
use tastemaker_train::OptimizerSettings;

use crate::layers::{BlockShape, FeedForward};
use crate::params::Layout;
use crate::sequence::model::{self, Sequence};
use crate::sequence::network::Network;
use crate::sequence::settings::{
    Architecture, Loss, Settled, TextUse, Training, block_problems, trained,
};
use crate::sequence::step::Views;
use crate::sequence::times::{KINDS, Times};

/// How the model knows the order of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// A learnt vector for every place, counted from the newest event.
    Learned,
    /// A learnt bias of each head for every distance between two events.
    Distance,
    /// Both.
    #[default]
    Both,
}

/// Which transformer it is.
pub trait Blocks: Clone + Copy + std::fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Name in messages and checkpoints.
    const NAME: &'static str;
    /// Gates and a SwiGLU, in place of plain additions and a GELU.
    const GATED: bool;
}

/// Plain blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain;

impl Blocks for Plain {
    const NAME: &'static str = "sasrec";
    const GATED: bool = false;
}

/// LiGR blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gated;

impl Blocks for Gated {
    const NAME: &'static str = "esasrec";
    const GATED: bool = true;
}

/// SASRec.
pub type Sasrec = Sequence<SasrecSettings>;
/// Settings of [`Sasrec`].
pub type SasrecSettings = AttentionSettings<Plain>;
/// eSASRec.
pub type Esasrec = Sequence<EsasrecSettings>;
/// Settings of [`Esasrec`].
pub type EsasrecSettings = AttentionSettings<Gated>;

/// Settings of the transformer models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, bound = "V: Blocks")]
#[schemars(bound = "V: Blocks")]
pub struct AttentionSettings<V: Blocks> {
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
    /// Whether the time between two events has a learnt bias of each head: `off`, `auto` (where times are dates) or `on`.
    pub times: Times,
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
    /// Share of windows that are masked or reordered before they are read in a step (Xie et al. 2022); 0 to 1.
    pub augment: f32,
    /// Weight of the contrast between two altered views of each window (CL4SRec: Xie et al. 2022); 0 to 10.
    pub contrast: f32,
    /// Memory for training; a fit that would need more is refused.
    pub max_memory_mb: usize,
    /// The optimiser.
    pub optimizer: OptimizerSettings,
    /// Says which model it is, at compile time alone.
    #[serde(skip)]
    #[doc(hidden)]
    pub variant: PhantomData<V>,
}

impl<V: Blocks> Default for AttentionSettings<V> {
    fn default() -> Self {
        Self {
            dim: 64,
            layers: 2,
            heads: 2,
            inner: 4,
            positions: Positions::Both,
            times: Times::Auto,
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
            augment: 0.0,
            contrast: 0.0,
            max_memory_mb: 16_384,
            optimizer: OptimizerSettings::default(),
            variant: PhantomData,
        }
    }
}

trained!(AttentionSettings<V: Blocks>);

impl<V: Blocks> Architecture for AttentionSettings<V> {
    const NAME: &'static str = V::NAME;
    const CHUNK: usize = 256;

    fn own_problems(&self) -> Vec<Fault> {
        let mut all = block_problems(self.dim, self.layers, self.heads, self.inner);
        let within = |field, x: f32, most: f32| {
            Fault::unless((0.0..=most).contains(&x), field, || {
                format!("must be 0 to {most}, is {x}")
            })
        };
        all.extend(within("augment", self.augment, 1.0));
        all.extend(within("contrast", self.contrast, 10.0));
        all
    }

    fn decided(&self, data: &TrainData<'_>) -> Result<Self, FitError> {
        let times = self.times.decide(V::NAME, data.histories)?;
        Ok(Self { times, ..self.clone() })
    }

    fn network(&self, layout: &mut Layout, max_length: usize) -> Network {
        let Self { dim, layers, heads, inner, positions, .. } = *self;
        let shape = BlockShape {
            dim,
            heads,
            inner: inner * dim,
            feed_forward: if V::GATED {
                FeedForward::SwiGlu
            } else {
                FeedForward::Plain(Activation::Gelu)
            },
            gated: V::GATED,
            causal: true,
            reach: if positions == Positions::Learned { 0 } else { max_length },
            kinds: if self.times == Times::On { KINDS } else { 0 },
        };
        let has_places = positions != Positions::Distance;
        let has_mask = self.views().has_masks();
        Network::of_blocks(layout, max_length, (has_places, has_mask), (layers, shape))
    }

    fn views(&self) -> Views {
        Views { augment: self.augment, contrast: self.contrast }
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::contract;

    use super::*;

    fn small<V: Blocks>() -> AttentionSettings<V> {
        AttentionSettings {
            dim: 16,
            layers: 1,
            dropout: Some(0.1),
            epochs: 30,
            learning_rate: 1e-2,
            batch: Some(64),
            positions: Positions::Both,
            ..AttentionSettings::default()
        }
    }

    #[test]
    fn both_kinds_keep_the_contracts() {
        contract::recommender(small::<Plain>);
        contract::recommender(small::<Gated>);
        contract::similar(|| AttentionSettings { epochs: 100, ..small::<Plain>() });
        contract::embed(small::<Plain>);
        contract::embed(small::<Gated>);
    }

    #[test]
    fn every_use_of_text_and_place_and_every_loss_keeps_the_contracts() {
        for text in [TextUse::Init, TextUse::Sum, TextUse::Only, TextUse::Concat] {
            contract::recommender(|| AttentionSettings { text, ..small::<Plain>() });
            contract::embed(|| AttentionSettings { text, ..small::<Plain>() });
        }
        for (text, experts, align) in
            [(TextUse::Sum, 3, 0.5), (TextUse::Concat, 2, 0.5), (TextUse::Only, 4, 0.0)]
        {
            contract::recommender(|| AttentionSettings {
                text,
                experts,
                align,
                ..small::<Plain>()
            });
        }
        contract::recommender(|| AttentionSettings {
            text: TextUse::Concat,
            text_width: Some(15),
            loss: Loss::SampledSoftmax,
            ..small::<Gated>()
        });
        for positions in [Positions::Learned, Positions::Distance] {
            contract::recommender(|| AttentionSettings { positions, ..small::<Gated>() });
        }
        for loss in [Loss::SampledSoftmax, Loss::Gbce] {
            let text = TextUse::Sum;
            contract::recommender(|| AttentionSettings { loss, negatives: 8, ..small::<Plain>() });
            contract::recommender(|| AttentionSettings { loss, text, ..small::<Plain>() });
        }
    }

    #[test]
    fn learns_the_checkerboard_with_every_loss() {
        let long = |loss| AttentionSettings { epochs: 100, loss, ..small::<Plain>() };
        contract::learns_the_checkerboard(|| long(Loss::CrossEntropy));
        contract::learns_the_checkerboard(|| long(Loss::SampledSoftmax));
        contract::learns_the_checkerboard(|| AttentionSettings {
            negatives: 4,
            ..long(Loss::Gbce)
        });
        contract::learns_the_checkerboard(|| AttentionSettings { epochs: 100, ..small::<Gated>() });
    }

    #[test]
    fn augmented_and_contrasted_fits_keep_the_contracts() {
        contract::recommender(|| AttentionSettings { augment: 0.5, ..small::<Plain>() });
        contract::recommender(|| AttentionSettings { contrast: 0.5, ..small::<Gated>() });
        let (augment, contrast, epochs, loss) = (0.3, 0.1, 150, Loss::SampledSoftmax);
        contract::learns_the_checkerboard(|| AttentionSettings {
            augment,
            contrast,
            epochs,
            loss,
            ..small::<Plain>()
        });
    }

    #[test]
    fn what_texts_cannot_do_is_told() {
        let told = |settings: SasrecSettings| -> Vec<(&'static str, String)> {
            settings.faults().into_iter().map(|fault| (fault.field, fault.problem)).collect()
        };
        let base = SasrecSettings { dim: 8, ..SasrecSettings::default() };
        let concat = SasrecSettings { text: TextUse::Concat, ..base };
        assert!(told(SasrecSettings { text_width: Some(7), ..concat }).is_empty());
        assert!(told(SasrecSettings { align: 1.0, experts: 64, ..concat }).is_empty());
        let cases = [
            (SasrecSettings { text_width: Some(8), ..concat }, "text_width", "below"),
            (SasrecSettings { text_width: Some(0), ..concat }, "text_width", "1 or more"),
            (SasrecSettings { text_width: Some(3), align: 1.0, ..concat }, "align", "width"),
            (SasrecSettings { dim: 1, heads: 1, ..concat }, "dim", "2 or more"),
            (SasrecSettings { experts: 0, ..concat }, "experts", "1 to 64"),
            (SasrecSettings { align: 10.5, ..concat }, "align", "0 to 10"),
            (SasrecSettings { experts: 2, ..base }, "experts", "must be 1 where"),
            (SasrecSettings { align: 0.1, ..base }, "align", "unless"),
        ];
        for (settings, field, part) in cases {
            let told = told(settings);
            assert!(told.len() == 1 && told[0].0 == field && told[0].1.contains(part), "{told:?}");
        }
    }

    #[test]
    fn fits_that_read_times_keep_the_contracts() {
        // `on` refuses the suite's data of one item without a gap.
        let (times, contrast, augment) = (Times::Auto, 0.5, 0.3);
        contract::recommender(|| AttentionSettings { times, ..small::<Plain>() });
        contract::recommender(|| AttentionSettings { times, contrast, ..small::<Gated>() });
        contract::recommender(|| AttentionSettings { times, augment, ..small::<Gated>() });
        contract::similar(|| AttentionSettings { times, epochs: 100, ..small::<Plain>() });
        contract::embed(|| AttentionSettings { times, ..small::<Plain>() });
    }

    #[test]
    fn impossible_settings_are_all_named() {
        let bad = SasrecSettings {
            dim: 10,
            heads: 3,
            layers: 0,
            inner: 0,
            dropout: Some(1.0),
            learning_rate: f32::NAN,
            epochs: 0,
            augment: 1.5,
            contrast: f32::NAN,
            ..SasrecSettings::default()
        };
        let fields: Vec<_> = bad.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(
            fields,
            [
                "dropout",
                "learning_rate",
                "epochs",
                "layers",
                "heads",
                "inner",
                "augment",
                "contrast"
            ]
        );
    }
}
