//! The task of labels: which of some labels an item has, from its text.

use tastemaker_core::{FitError, TrainData, seed};
use tastemaker_text::{BertTokens, TunableBert};

use super::head::{LabelHead, Wanted};
use crate::tuning::encode::Model;
use crate::tuning::run::NAME;
use crate::tuning::settings::TuneSettings;
use crate::tuning::tasks::{Augment, Batches, Fact, Input, Objective, Pass, TaskData, apart};

/// Learns the labels of items.
pub(in crate::tuning) struct ItemLabels<'a> {
    texts: &'a [BertTokens],
    labels: Vec<Option<u32>>,
    batches: Batches,
    held: Vec<u32>,
    head: LabelHead,
    start: Vec<f32>,
    batch: Vec<u32>,
    seed: u64,
}

impl<'a> ItemLabels<'a> {
    pub(in crate::tuning) fn new(
        (bert, texts): (&TunableBert, &'a [BertTokens]),
        settings: &TuneSettings,
        (data, extra): (&TrainData<'_>, &TaskData<'_>),
    ) -> Result<Self, FitError> {
        let labels = extra.labels.to_vec();
        let has_both = |item: &u32| {
            let item = *item as usize;
            labels.get(item).is_some_and(Option::is_some)
                && texts.get(item).is_some_and(|text| !text.is_empty())
        };
        let usable: Vec<u32> = (0..data.n_items as u32).filter(has_both).collect();
        let unsuited = |why: String| FitError::Unsuited { model: NAME, why };
        let mut seen: Vec<u32> = usable.iter().filter_map(|&item| labels[item as usize]).collect();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() < 2 {
            return Err(unsuited(format!(
                "items with a text and one label have {} different ones: name another column in `tune.labels`",
                seen.len()
            )));
        }
        let few = || unsuited("fewer than two items have a text and a label".into());
        let (learnt, held) = apart(usable, data.seed).ok_or_else(few)?;
        let n_labels = seen.last().map_or(0, |last| *last as usize + 1).max(extra.n_labels);
        let head = LabelHead { dim: bert.dim(), labels: n_labels, cuts_off: bert.cuts_off() };
        let start = head.start(extra.head, 0.0, data.seed);
        let batches = Batches::new(learnt, settings.batch);
        let batch = Vec::new();
        Ok(Self { texts, labels, batches, held, head, start, batch, seed: data.seed })
    }

    fn label(&self, item: u32) -> u32 {
        self.labels[item as usize].unwrap_or_default()
    }
}

impl Objective for ItemLabels<'_> {
    fn steps(&self) -> usize {
        self.batches.len()
    }

    fn head(&self) -> Vec<f32> {
        self.start.clone()
    }

    fn input(&mut self, step: usize, augment: &Augment) -> Input {
        let mut rng = seed::stream(self.seed, &format!("tune/noise{step}"));
        self.batch = self.batches.of(step, self.seed);
        let text = |&item: &u32| augment.apply(&self.texts[item as usize], &mut rng);
        let texts: Vec<BertTokens> = self.batch.iter().map(text).collect();
        Input::of_first(texts)
    }

    fn loss(&mut self, pass: Pass<'_>) -> (f64, usize) {
        let labels: Vec<u32> = self.batch.iter().map(|&item| self.label(item)).collect();
        let rows = (&*pass.vectors, Wanted::Labels(&labels));
        let loss = self.head.step(rows, pass.head, (pass.d_vectors, pass.d_head));
        (loss, labels.len())
    }

    fn validate(&self, model: Model<'_>, head: &[f32]) -> Option<f64> {
        let texts = self.held.iter().map(|&item| self.texts[item as usize].clone()).collect();
        let outputs = self.head.outputs(&model.outputs(&Input::of_first(texts)), head);
        let rows = outputs.chunks_exact(self.head.labels).zip(&self.held);
        let is_right = |(row, item): &(&[f32], &u32)| {
            let own = row[self.label(**item) as usize];
            row.iter().filter(|&&other| other >= own).count() == 1
        };
        Some(rows.filter(is_right).count() as f64 / self.held.len() as f64)
    }

    fn facts(&self, model: Model<'_>, head: &[f32]) -> Vec<Fact> {
        let accuracy = self.validate(model, head);
        accuracy.map(|value| ("accuracy", value)).into_iter().collect()
    }
}
