//! The two-tower task for the loop.

use tastemaker_core::{FitError, TrainData};
use tastemaker_text::{BertTokens, TunableBert};

use super::batch::{Batch, Sequences};
use super::contrast::{Contrast, normalise};
use crate::tuning::profile::TextProfile;
use crate::tuning::run::NAME;
use crate::tuning::settings::TuneSettings;
use crate::tuning::tasks::{Augment, Input, Objective, Pass, Reading, augmented};

/// Learns from what follows what.
pub(in crate::tuning) struct TwoTower<'a> {
    data: &'a TrainData<'a>,
    settings: &'a TuneSettings,
    texts: &'a [BertTokens],
    dim: usize,
    sequences: Sequences,
    /// Events of every item.
    counts: Vec<u32>,
    /// `-c ln q` of every item.
    shifts: Vec<f32>,
    batch: Batch,
    contrast: Contrast,
}

impl<'a> TwoTower<'a> {
    pub(in crate::tuning) fn new(
        (bert, texts): (&TunableBert, &'a [BertTokens]),
        settings: &'a TuneSettings,
        data: &'a TrainData<'a>,
    ) -> Result<Self, FitError> {
        let sequences = Sequences::new(data.histories, texts);
        if sequences.is_empty() {
            let why = "no user took two items that have a text: take data with longer histories";
            return Err(FitError::Unsuited { model: NAME, why: why.into() });
        }
        let n_events = sequences.n_events().max(1) as f32;
        let shift = |count: &u32| settings.correction * (n_events / (*count).max(1) as f32).ln();
        let counts = sequences.counts(data.n_items);
        let shifts = counts.iter().map(shift).collect();
        let (batch, contrast, dim) = (Batch::default(), Contrast::default(), bert.dim());
        Ok(Self { data, settings, texts, dim, sequences, counts, shifts, batch, contrast })
    }
}

impl Objective for TwoTower<'_> {
    fn steps(&self) -> usize {
        self.sequences.n_users().div_ceil(self.settings.users)
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

    fn counts(&self) -> Option<&[u32]> {
        Some(&self.counts)
    }

    fn alone(&mut self, step: usize, users: usize) -> Option<&[u32]> {
        let settings = TuneSettings { users, ..self.settings.clone() };
        self.batch = self.sequences.batch(step, (&settings, self.texts), self.data.seed);
        Some(&self.batch.items)
    }

    fn judged(&self, mut vectors: Vec<f32>, _head: &[f32]) -> Option<f64> {
        let judge = self.data.judge?;
        let TuneSettings { history, decay, .. } = *self.settings;
        let fading = std::iter::successors(Some(1.0), |weight| Some(weight * decay));
        normalise(&mut vectors, self.dim, &mut Vec::new());
        let profile = TextProfile::new(vectors, self.dim, fading.take(history).collect());
        Some(judge.judge(&profile))
    }
}
