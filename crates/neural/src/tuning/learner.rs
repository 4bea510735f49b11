//! An encoder in training, step by step; see [`tastemaker_train::Learner`].

use tastemaker_core::{PersistError, Saved, TrainData};
use tastemaker_text::{BertTokens, TunableBert};
use tastemaker_train::{Gradients, Learner, Step, Updates};

use super::adapt::Adaptation;
use super::batch::Sequences;
use super::contrast::Contrast;
use super::encode::{Lanes, Model};
use super::profile::TextProfile;
use super::settings::TuneSettings;

/// Name in messages and checkpoints.
pub(super) const NAME: &str = "tune";

/// The encoder in training.
pub(super) struct Tuner<'a> {
    data: &'a TrainData<'a>,
    settings: &'a TuneSettings,
    bert: &'a TunableBert,
    texts: &'a [BertTokens],
    sequences: Sequences,
    /// `-c ln q` of every item.
    shifts: Vec<f32>,
    /// Weights as they were before.
    base: &'a [f32],
    /// Weights as they stand.
    weights: Vec<f32>,
    adaptation: Adaptation,
    trained: Vec<f32>,
    updates: Updates,
    lanes: Lanes,
    contrast: Contrast,
    vectors: Vec<f32>,
    d_vectors: Vec<f32>,
    d_trained: Vec<f32>,
}

impl<'a> Tuner<'a> {
    pub(super) fn new(
        (bert, base): (&'a TunableBert, &'a [f32]),
        texts: &'a [BertTokens],
        settings: &'a TuneSettings,
        data: &'a TrainData<'a>,
    ) -> Self {
        let sequences = Sequences::new(data.histories, texts);
        let n_events = sequences.n_events().max(1) as f32;
        let shift = |count: u32| settings.correction * (n_events / count.max(1) as f32).ln();
        let shifts = sequences.counts(data.n_items).into_iter().map(shift).collect();
        let adaptation = Adaptation::new(settings, bert.tensors(), bert.n_layers());
        let trained = adaptation.start(base, data.seed);
        let rates = (settings.rate(), settings.weight_decay);
        let mut updates = Updates::new(&settings.optimizer, rates, trained.len(), (0, 1));
        let steps = settings.steps.unwrap_or(sequences.batches(settings));
        let steps = steps.div_ceil(settings.optimizer.accumulate) as u64;
        updates.follow(settings.optimizer.in_steps(steps, settings.epochs));
        Self {
            data,
            settings,
            bert,
            texts,
            sequences,
            shifts,
            base,
            weights: base.to_vec(),
            adaptation,
            trained,
            updates,
            lanes: Lanes::new(bert, settings.max_memory_mb),
            contrast: Contrast::default(),
            vectors: Vec::new(),
            d_vectors: Vec::new(),
            d_trained: Vec::new(),
        }
    }

    pub(super) const fn has_nothing_to_learn(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Counts the parameters that are trained.
    pub(super) const fn n_trained(&self) -> usize {
        self.trained.len()
    }

    /// Returns the weights as they stand.
    pub(super) fn into_weights(self) -> Vec<f32> {
        self.weights
    }

    fn steps(&self) -> usize {
        self.settings.steps.unwrap_or(self.sequences.batches(self.settings))
    }

    /// Takes one step and returns the mean loss of its examples and how many they were.
    fn step(&mut self, number: usize) -> (f64, usize) {
        let of = (self.settings, self.texts);
        let batch = self.sequences.batch(number, of, self.data.seed);
        let model = Model { bert: self.bert, weights: &self.weights, texts: self.texts };
        self.lanes.forward(model, &batch.items, &mut self.vectors);
        let (vectors, d) = (&mut self.vectors, &mut self.d_vectors);
        let rules = (self.settings, &self.shifts[..]);
        let loss = self.contrast.step((&batch, &self.sequences), rules, vectors, d);
        let d_weights = self.lanes.backward(model, (&batch.items, d), self.adaptation.wanted());
        let dense = self.adaptation.pull(&self.trained, &d_weights, &mut self.d_trained);
        let samples = batch.examples.len();
        let gradients = Gradients { dense, ids: &[], rows: &[], samples };
        self.updates.add(&mut self.trained, &mut [], gradients);
        self.adaptation.apply(self.base, &self.trained, &mut self.weights);
        (loss, samples)
    }
}

impl Learner for Tuner<'_> {
    fn epoch(&mut self, epoch: usize) -> Step {
        let (mut sum, mut samples, steps) = (0.0, 0, self.steps());
        for step in 0..steps {
            if self.data.progress.is_cancelled() {
                break;
            }
            self.data.progress.report(&format!("{NAME}, epoch {}", epoch + 1), step, steps);
            let (loss, n) = self.step(epoch * steps + step);
            sum += loss * n as f64;
            samples += n;
        }
        self.data.progress.report(&format!("{NAME}, epoch {}", epoch + 1), steps, steps);
        self.updates.flush(&mut self.trained, &mut []);
        self.adaptation.apply(self.base, &self.trained, &mut self.weights);
        Step { loss: sum / samples.max(1) as f64, samples }
    }

    fn validate(&self) -> Option<f64> {
        let judge = self.data.judge?;
        let all: Vec<u32> = (0..self.data.n_items as u32).collect();
        let model = Model { bert: self.bert, weights: &self.weights, texts: self.texts };
        let reading = (self.settings.history, self.settings.decay);
        Some(judge.judge(&TextProfile::new(model.read(&all), self.bert.dim(), reading)))
    }

    fn weights(&self) -> Saved {
        let mut saved = Saved::default();
        saved.put_f32("trained", &[self.trained.len()], self.trained.clone());
        saved
    }

    fn set_weights(&mut self, mut weights: Saved) -> Result<(), PersistError> {
        let (_, trained) = weights.take_f32("trained")?;
        if trained.len() != self.trained.len() {
            return Err(PersistError::Shape { name: "trained".into() });
        }
        self.trained = trained;
        self.adaptation.apply(self.base, &self.trained, &mut self.weights);
        Ok(())
    }

    fn momentum(&self) -> Saved {
        self.updates.momentum()
    }

    fn set_momentum(&mut self, momentum: Saved) -> Result<(), PersistError> {
        self.updates.set_momentum(momentum)
    }
}
