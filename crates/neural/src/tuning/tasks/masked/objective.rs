//! The task of masked words for the loop.

use tastemaker_core::{FitError, TrainData, seed};
use tastemaker_text::{BertTokens, TunableBert};

use super::head::{Rows, Slopes, start, step};
use super::mask::{Masked, hide};
use crate::tuning::encode::Model;
use crate::tuning::run::NAME;
use crate::tuning::settings::TuneSettings;
use crate::tuning::tasks::{Augment, Batches, Fact, Input, Objective, Pass, TaskData, apart};

/// Learns to tell hidden words from the rest of the text.
pub(in crate::tuning) struct MaskedWords<'a> {
    bert: &'a TunableBert,
    settings: &'a TuneSettings,
    texts: &'a [BertTokens],
    mask: u32,
    batches: Batches,
    /// The texts that are not learnt from, hidden once and for all.
    held: Masked,
    head: Vec<f32>,
    batch: Masked,
    seed: u64,
}

impl<'a> MaskedWords<'a> {
    pub(in crate::tuning) fn new(
        (bert, texts): (&'a TunableBert, &'a [BertTokens]),
        (settings, augment): (&'a TuneSettings, &Augment),
        (data, extra): (&'a TrainData<'a>, &TaskData<'_>),
    ) -> Result<Self, FitError> {
        let unsuited = |why: &str| FitError::Unsuited { model: NAME, why: why.into() };
        let facts = augment.facts();
        let mask = facts.mask.ok_or_else(|| {
            unsuited("the tokenizer has no `[MASK]` or `<mask>`: tune another encoder, or on another task")
        })?;
        let has_words = |text: &BertTokens| text.ids().iter().any(|&id| !facts.is_mark(id));
        let usable = (0u32..).zip(texts).filter(|(_, text)| has_words(text)).map(|(at, _)| at);
        let Some((learnt, held)) = apart(usable.collect(), data.seed) else {
            return Err(unsuited("fewer than two items have a text: take data with more of them"));
        };
        let mut counts = vec![0u32; bert.vocabulary()];
        let ids = learnt.iter().flat_map(|&item| texts[item as usize].ids());
        ids.filter(|&&id| !facts.is_mark(id)).for_each(|&id| counts[id as usize] += 1);
        let mut rng = seed::stream(data.seed, "tune/held-masks");
        let held = held.iter().map(|&item| texts[item as usize].clone());
        let held = hide(held, (facts, mask), settings.masked, &mut rng);
        let head = start(extra.head, bert.dim(), counts.into_iter());
        let batches = Batches::new(learnt, settings.batch);
        let batch = Masked::default();
        Ok(Self { bert, settings, texts, mask, batches, held, head, batch, seed: data.seed })
    }

    /// Returns mean loss and share of hits on the texts that are not learnt from.
    fn judge(&self, model: Model<'_>, head: &[f32]) -> (f64, f64) {
        let vectors = model.outputs(&self.held.input);
        let words = &model.weights[model.bert.tensors()[0].range.clone()];
        let (targets, dim, epsilon) =
            (&self.held.targets[..], self.bert.dim(), self.bert.epsilon());
        let rows = Rows { vectors: &vectors, targets, dim, epsilon };
        let (mut d, mut d_head) = (vec![0.0; vectors.len()], vec![0.0; head.len()]);
        let slopes = Slopes { vectors: &mut d, head: &mut d_head, words: None };
        let found = step(rows, head, words, slopes);
        let n = self.held.targets.len().max(1) as f64;
        (found.loss / n, found.hits as f64 / n)
    }
}

impl Objective for MaskedWords<'_> {
    fn steps(&self) -> usize {
        self.batches.len()
    }

    fn head(&self) -> Vec<f32> {
        self.head.clone()
    }

    fn input(&mut self, step: usize, augment: &Augment) -> Input {
        let mut rng = seed::stream(self.seed, &format!("tune/masks{step}"));
        let items = self.batches.of(step, self.seed);
        let texts: Vec<BertTokens> =
            items.iter().map(|&item| augment.apply(&self.texts[item as usize], &mut rng)).collect();
        let with = (augment.facts(), self.mask);
        self.batch = hide(texts.into_iter(), with, self.settings.masked, &mut rng);
        self.batch.input.clone()
    }

    fn loss(&mut self, pass: Pass<'_>) -> (f64, usize) {
        pass.d_vectors.resize(pass.vectors.len(), 0.0);
        let (targets, dim, epsilon) =
            (&self.batch.targets[..], self.bert.dim(), self.bert.epsilon());
        let rows = Rows { vectors: pass.vectors, targets, dim, epsilon };
        let slopes = Slopes { vectors: pass.d_vectors, head: pass.d_head, words: pass.d_words };
        let found = step(rows, pass.head, pass.words, slopes);
        let n = self.batch.targets.len();
        (found.loss / n.max(1) as f64, n)
    }

    fn validate(&self, model: Model<'_>, head: &[f32]) -> Option<f64> {
        Some(-self.judge(model, head).0)
    }

    fn facts(&self, model: Model<'_>, head: &[f32]) -> Vec<Fact> {
        let (loss, accuracy) = self.judge(model, head);
        vec![("masked loss", loss), ("masked accuracy", accuracy)]
    }
}
