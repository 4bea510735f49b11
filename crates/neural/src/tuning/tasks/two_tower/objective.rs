//! The two-tower task for the loop.

use tastemaker_core::{FitError, TrainData};
use tastemaker_text::BertTokens;

use super::batch::{Batch, Sequences};
use super::contrast::Contrast;
use crate::tuning::encode::Model;
use crate::tuning::profile::TextProfile;
use crate::tuning::run::NAME;
use crate::tuning::settings::TuneSettings;
use crate::tuning::tasks::{Augment, Input, Objective, Pass, Reading, augmented};

/// Learns from what follows what.
pub(in crate::tuning) struct TwoTower<'a> {
    data: &'a TrainData<'a>,
    settings: &'a TuneSettings,
    texts: &'a [BertTokens],
    sequences: Sequences,
    /// `-c ln q` of every item.
    shifts: Vec<f32>,
    batch: Batch,
    contrast: Contrast,
}

impl<'a> TwoTower<'a> {
    pub(in crate::tuning) fn new(
        texts: &'a [BertTokens],
        settings: &'a TuneSettings,
        data: &'a TrainData<'a>,
    ) -> Result<Self, FitError> {
        let sequences = Sequences::new(data.histories, texts);
        if sequences.is_empty() {
            let why = "no user took two items that have a text: take data with longer histories";
            return Err(FitError::Unsuited { model: NAME, why: why.into() });
        }
        let n_events = sequences.n_events().max(1) as f32;
        let shift = |count: u32| settings.correction * (n_events / count.max(1) as f32).ln();
        let shifts = sequences.counts(data.n_items).into_iter().map(shift).collect();
        let (batch, contrast) = (Batch::default(), Contrast::default());
        Ok(Self { data, settings, texts, sequences, shifts, batch, contrast })
    }
}

impl Objective for TwoTower<'_> {
    fn steps(&self) -> usize {
        self.sequences.batches(self.settings)
    }

    fn input(&mut self, step: usize, augment: &Augment) -> Input {
        let of = (self.settings, self.texts);
        self.batch = self.sequences.batch(step, of, self.data.seed);
        let texts = augmented((&self.batch.items, self.texts), augment, (step, self.data.seed));
        Input { texts, reading: Reading::Pooled }
    }

    fn loss(&mut self, pass: Pass<'_>) -> (f64, usize) {
        let rules = (self.settings, &self.shifts[..]);
        let sides = (&self.batch, &self.sequences);
        let loss = self.contrast.step(sides, rules, pass.vectors, pass.d_vectors);
        (loss, self.batch.examples.len())
    }

    fn validate(&self, model: Model<'_>, _head: &[f32]) -> Option<f64> {
        let judge = self.data.judge?;
        let TuneSettings { history, decay, .. } = *self.settings;
        let fading = std::iter::successors(Some(1.0), |weight| Some(weight * decay));
        let weights = fading.take(history).collect();
        Some(judge.judge(&TextProfile::new(model.read(self.texts), model.bert.dim(), weights)))
    }
}
