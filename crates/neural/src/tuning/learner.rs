//! An encoder in training, step by step; see [`tastemaker_train::Learner`].

use tastemaker_core::{PersistError, Saved, TrainData};
use tastemaker_text::{BertTokens, DenseLayer, Lora, TunableBert};
use tastemaker_train::{Learner, Step};

use super::adapt::Adaptation;
use super::batch::Sequences;
use super::contrast::{Contrast, normalise};
use super::encode::{Lanes, Model};
use super::head::Head;
use super::parts::{HeadPart, Part};
use super::profile::TextProfile;
use super::settings::{HeadStart, TuneSettings, What};

/// Name in messages and checkpoints.
pub(super) const NAME: &str = "tune";

/// The encoder in training.
pub(super) struct Tuner<'a> {
    data: &'a TrainData<'a>,
    settings: &'a TuneSettings,
    bert: &'a TunableBert,
    texts: &'a [BertTokens],
    sequences: Sequences,
    /// Events of every item.
    counts: Vec<u32>,
    /// `-c ln q` of every item.
    shifts: Vec<f32>,
    /// Weights as they were before.
    base: &'a [f32],
    /// Weights as they stand.
    weights: Vec<f32>,
    adaptation: Adaptation,
    part: Part,
    head: Option<HeadPart>,
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
        let shift = |count: &u32| settings.correction * (n_events / (*count).max(1) as f32).ln();
        let counts = sequences.counts(data.n_items);
        let adaptation = Adaptation::new(settings, bert.tensors(), bert.n_layers());
        let trained = adaptation.start(base, data.seed);
        let rates = (settings.rate(), settings.weight_decay);
        let course = (settings.batches(sequences.n_users()), settings.epochs);
        let mut tuner = Self {
            data,
            settings,
            bert,
            texts,
            shifts: counts.iter().map(shift).collect(),
            counts,
            sequences,
            base,
            weights: base.to_vec(),
            adaptation,
            part: Part::new(trained, &settings.optimizer, rates, course),
            head: None,
            lanes: Lanes::new(bert, settings.max_memory_mb),
            contrast: Contrast::default(),
            vectors: Vec::new(),
            d_vectors: Vec::new(),
            d_trained: Vec::new(),
        };
        if settings.head == HeadStart::Whitened && !tuner.has_nothing_to_learn() {
            let vectors = tuner.read_all();
            let alone = (tuner.alone_steps(), settings.epochs_alone());
            let head = Head::learn(&vectors, bert.dim(), &tuner.counts);
            tuner.head = head.map(|head| HeadPart::new(head, &vectors, settings, (alone, course)));
        }
        tuner
    }

    pub(super) const fn has_nothing_to_learn(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Tells whether the items' vectors could be whitened, where they are to be.
    pub(super) const fn has_its_head(&self) -> bool {
        matches!(self.settings.head, HeadStart::None) || self.head.is_some()
    }

    /// Counts the parameters that are trained.
    pub(super) fn n_trained(&self) -> usize {
        self.part.trained.len() + self.head.as_ref().map_or(0, |head| head.trained().len())
    }

    /// Returns the weights as they stand, the layer behind them, and what LoRA added.
    pub(super) fn finish(self) -> (Vec<f32>, Option<DenseLayer>, Option<Lora>) {
        let layer = self.head.map(|part| part.head.layer(part.trained()));
        let lora = self.adaptation.lora(&self.part.trained);
        (self.weights, layer, lora)
    }

    /// Counts the batches of an epoch in which the head learns alone.
    fn alone_steps(&self) -> usize {
        match self.settings.what {
            What::Head => self.settings.batches(self.sequences.n_users()),
            _ => self.settings.head_steps,
        }
    }

    /// Returns the vectors of all items as the encoder pools them.
    fn read_all(&self) -> Vec<f32> {
        let all: Vec<u32> = (0..self.data.n_items as u32).collect();
        let model = Model { bert: self.bert, weights: &self.weights, texts: self.texts };
        model.read(&all)
    }

    /// Takes a step of the head alone.
    fn step_alone(&mut self, number: usize, settings: &TuneSettings) -> (f64, usize) {
        let Some(part) = &mut self.head else { return (0.0, 0) };
        let batch = self.sequences.batch(number, (settings, self.texts), self.data.seed);
        let width = self.bert.dim();
        let row = |&item: &u32| &part.items[item as usize * width..][..width];
        let z: Vec<f32> = batch.items.iter().flat_map(row).copied().collect();
        let mut y = part.head.forward(part.trained(), &z);
        let (rules, d) = ((settings, &self.shifts[..]), &mut self.d_vectors);
        let loss = self.contrast.step((&batch, &self.sequences), rules, &mut y, d);
        let samples = batch.examples.len();
        let gradient = part.head.backward(&z, d);
        part.alone.add(&gradient, samples);
        (loss, samples)
    }

    /// Takes one step of everything and returns the mean loss of its examples and how many they were.
    fn step(&mut self, number: usize) -> (f64, usize) {
        let of = (self.settings, self.texts);
        let batch = self.sequences.batch(number, of, self.data.seed);
        let samples = batch.examples.len();
        let model = Model { bert: self.bert, weights: &self.weights, texts: self.texts };
        self.lanes.forward(model, &batch.items, &mut self.vectors);
        let (sides, rules) = ((&batch, &self.sequences), (self.settings, &self.shifts[..]));
        let (x, d) = (&mut self.vectors, &mut self.d_vectors);
        let loss = match &mut self.head {
            None => self.contrast.step(sides, rules, x, d),
            Some(part) => {
                let z = part.head.whiten(x);
                let mut y = part.head.forward(part.trained(), &z);
                let loss = self.contrast.step(sides, rules, &mut y, d);
                let gradient = part.head.backward(&z, d);
                *d = part.head.backward_input(part.trained(), d);
                part.add(&gradient, samples);
                loss
            }
        };
        let d_weights = self.lanes.backward(model, (&batch.items, d), self.adaptation.wanted());
        let gradient = self.adaptation.pull(&self.part.trained, &d_weights, &mut self.d_trained);
        self.part.add(gradient, samples);
        self.adaptation.apply(self.base, &self.part.trained, &mut self.weights);
        (loss, samples)
    }
}

impl Learner for Tuner<'_> {
    fn epoch(&mut self, epoch: usize) -> Step {
        let alone = self.settings.epochs_alone();
        let is_alone = epoch < alone;
        let users = if is_alone { self.settings.head_users } else { self.settings.users };
        let settings = TuneSettings { users, ..self.settings.clone() };
        let (first, steps) = if is_alone {
            (epoch * self.alone_steps(), self.alone_steps())
        } else {
            let steps = self.settings.batches(self.sequences.n_users());
            // The vectors no longer are what the encoder says.
            self.head.iter_mut().for_each(|part| part.items = Vec::new());
            ((epoch - alone) * steps, steps)
        };
        let (mut sum, mut samples) = (0.0, 0);
        for step in 0..steps {
            if self.data.progress.is_cancelled() {
                break;
            }
            self.data.progress.report(&format!("{NAME}, epoch {}", epoch + 1), step, steps);
            let number = first + step;
            let (loss, n) =
                if is_alone { self.step_alone(number, &settings) } else { self.step(number) };
            sum += loss * n as f64;
            samples += n;
        }
        self.data.progress.report(&format!("{NAME}, epoch {}", epoch + 1), steps, steps);
        self.part.flush();
        self.head.iter_mut().for_each(HeadPart::flush);
        self.adaptation.apply(self.base, &self.part.trained, &mut self.weights);
        Step { loss: sum / samples.max(1) as f64, samples }
    }

    fn validate(&self) -> Option<f64> {
        let judge = self.data.judge?;
        let width = self.bert.dim();
        let reading = (self.settings.history, self.settings.decay);
        let judged = |mut vectors: Vec<f32>| {
            normalise(&mut vectors, width, &mut Vec::new());
            judge.judge(&TextProfile::new(vectors, width, reading))
        };
        let of = |part: &HeadPart, z: &[f32]| judged(part.head.forward(part.trained(), z));
        match &self.head {
            Some(part) if !part.items.is_empty() => Some(of(part, &part.items)),
            Some(part) => Some(of(part, &part.head.whiten(&self.read_all()))),
            None => {
                // `text-knn` whitens what is better whitened.
                let plain = self.read_all();
                let head = Head::learn(&plain, width, &self.counts);
                let whitened = head.map(|head| judged(head.whiten(&plain)));
                Some(judged(plain).max(whitened.unwrap_or(f64::NEG_INFINITY)))
            }
        }
    }

    fn weights(&self) -> Saved {
        let mut saved = Saved::default();
        self.part.put("trained", &mut saved);
        self.head.iter().for_each(|part| part.alone.put("head", &mut saved));
        saved
    }

    fn set_weights(&mut self, mut weights: Saved) -> Result<(), PersistError> {
        self.part.take("trained", &mut weights)?;
        if let Some(part) = &mut self.head {
            part.alone.take("head", &mut weights)?;
        }
        self.adaptation.apply(self.base, &self.part.trained, &mut self.weights);
        Ok(())
    }

    fn momentum(&self) -> Saved {
        let mut saved = Saved::default();
        self.part.put_momentum("trained", &mut saved);
        self.head.iter().for_each(|part| part.put_momentum(&mut saved));
        saved
    }

    fn set_momentum(&mut self, mut momentum: Saved) -> Result<(), PersistError> {
        self.part.take_momentum("trained", &mut momentum)?;
        self.head.iter_mut().try_for_each(|part| part.take_momentum(&mut momentum))
    }
}
