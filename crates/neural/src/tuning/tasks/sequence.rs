//! The next item among all of the catalogue, from the encoder's own vectors.
//!
//! A user is `p = Σ e^(a_k) u_k / |…|` over the newest items, `k` places back, with `u` the items' vectors at length 1 and `a` learnt; the
//! loss is `-ln(e^(p·u_t / temperature) / Σ e^(p·u / temperature))` over the whole catalogue but what the user took just before. The
//! table of vectors is read anew before every epoch, and the items of a batch at every step: it is through them that the encoder learns.

use tastemaker_core::{FitError, TrainData};
use tastemaker_kernels::{axpy, dot};
use tastemaker_text::{BertTokens, TunableBert};

use super::two_tower::{Batch, Sequences, normalise, normalise_back};
use super::wide::{OfTable, Wide};
use super::{Augment, Input, Objective, Pass, Reading, augmented};
use crate::tuning::profile::TextProfile;
use crate::tuning::run::NAME;
use crate::tuning::settings::TuneSettings;

/// Learns what comes next.
pub(in crate::tuning) struct NextItem<'a> {
    data: &'a TrainData<'a>,
    settings: &'a TuneSettings,
    texts: &'a [BertTokens],
    dim: usize,
    sequences: Sequences,
    /// Events of every item.
    counts: Vec<u32>,
    /// Vectors of all items at length 1, as of the last time each was read.
    table: Vec<f32>,
    /// Row of every item among the batch's vectors.
    place: Vec<u32>,
    batch: Batch,
}

impl<'a> NextItem<'a> {
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
        let (table, place, batch) = (Vec::new(), vec![0; texts.len()], Batch::default());
        let (dim, counts) = (bert.dim(), sequences.counts(data.n_items));
        Ok(Self { data, settings, texts, dim, sequences, counts, table, place, batch })
    }
}

impl NextItem<'_> {
    /// Draws the batch of a step.
    fn draw(&mut self, step: usize, settings: &TuneSettings) {
        self.batch = self.sequences.batch(step, (settings, self.texts), self.data.seed);
        (0..).zip(&self.batch.items).for_each(|(row, &item)| self.place[item as usize] = row);
    }
}

impl Objective for NextItem<'_> {
    fn steps(&self) -> usize {
        self.sequences.n_users().div_ceil(self.settings.users)
    }

    fn head(&self) -> Vec<f32> {
        // As the profile of the two-tower task: each item counts `decay` times the one after it.
        let fading = self.settings.decay.max(1e-6).ln();
        (0..self.settings.history).map(|age| age as f32 * fading).collect()
    }

    fn reads_all(&self) -> bool {
        true
    }

    fn begin(&mut self, mut vectors: Vec<f32>) {
        normalise(&mut vectors, self.dim, &mut Vec::new());
        self.table = vectors;
    }

    fn input(&mut self, step: usize, augment: &Augment) -> Input {
        self.draw(step, self.settings);
        let texts = augmented((&self.batch.items, self.texts), augment, (step, self.data.seed));
        Input { texts, reading: Reading::Pooled }
    }

    fn loss(&mut self, pass: Pass<'_>) -> (f64, usize) {
        let Pass { vectors, d_vectors: d, head, d_head, .. } = pass;
        d.clear();
        d.resize(vectors.len(), 0.0);
        let (n, dim) = (self.batch.examples.len(), self.dim);
        if n == 0 {
            return (0.0, 0);
        }
        let mut lengths = Vec::new();
        normalise(vectors, dim, &mut lengths);
        for (&item, vector) in self.batch.items.iter().zip(vectors.chunks_exact(dim)) {
            self.table[item as usize * dim..][..dim].copy_from_slice(vector);
        }
        let item = |event: usize| self.sequences.item(event);
        let place = |event: usize| self.place[item(event) as usize] as usize * dim;
        let mut profiles = vec![0.0; n * dim];
        for (example, profile) in self.batch.examples.iter().zip(profiles.chunks_exact_mut(dim)) {
            for (age, event) in example.before.clone().rev().enumerate() {
                axpy(head[age].exp(), &vectors[place(event)..][..dim], profile);
            }
        }
        let mut long = Vec::new();
        normalise(&mut profiles, dim, &mut long);
        let sharpness = 1.0 / self.settings.temperature;
        let hidden: Vec<f32> = profiles.iter().map(|x| x * sharpness).collect();
        let examples = &self.batch.examples;
        let targets: Vec<u32> = examples.iter().map(|example| item(example.target)).collect();
        let excluded: Vec<Vec<u32>> =
            examples.iter().map(|example| example.before.clone().map(item).collect()).collect();
        let wide =
            Wide { table: &self.table, bias: &[], dim, targets: &targets, excluded: &excluded };
        let mut d_profiles = vec![0.0; n * dim];
        let of_batch = OfTable::Rows(&self.batch.items, d);
        let found = wide.step((&hidden, 1.0 / n as f32), &mut d_profiles, &mut [], of_batch);
        d_profiles.iter_mut().for_each(|x| *x *= sharpness);
        normalise_back(&mut d_profiles, &profiles, (dim, &long));
        for (example, d_profile) in examples.iter().zip(d_profiles.chunks_exact(dim)) {
            for (age, event) in example.before.clone().rev().enumerate() {
                let (weight, at) = (head[age].exp(), place(event));
                d_head[age] += weight * dot(d_profile, &vectors[at..][..dim]);
                axpy(weight, d_profile, &mut d[at..][..dim]);
            }
        }
        normalise_back(d, vectors, (dim, &lengths));
        (found.loss / n as f64, n)
    }

    fn counts(&self) -> Option<&[u32]> {
        Some(&self.counts)
    }

    fn alone(&mut self, step: usize, users: usize) -> Option<&[u32]> {
        let settings = TuneSettings { users, ..self.settings.clone() };
        self.draw(step, &settings);
        Some(&self.batch.items)
    }

    fn judged(&self, mut vectors: Vec<f32>, head: &[f32]) -> Option<f64> {
        let judge = self.data.judge?;
        normalise(&mut vectors, self.dim, &mut Vec::new());
        let weights = head.iter().map(|a| a.exp()).collect();
        Some(judge.judge(&TextProfile::new(vectors, self.dim, weights)))
    }
}
