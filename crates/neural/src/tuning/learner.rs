//! An encoder in training, step by step; see [`tastemaker_train::Learner`].

use tastemaker_core::{PersistError, Saved, TrainData};
use tastemaker_text::TunableBert;
use tastemaker_train::{Gradients, Learner, Step, Updates};

use super::adapt::Adaptation;
use super::encode::{Lanes, Model, Way};
use super::run::NAME;
use super::settings::TuneSettings;
use super::tasks::{Augment, Fact, Input, Objective, Pass};

/// The encoder in training.
pub(super) struct Tuner<'a> {
    data: &'a TrainData<'a>,
    settings: &'a TuneSettings,
    bert: &'a TunableBert,
    /// Weights as they were before.
    base: &'a [f32],
    /// Weights as they stand.
    weights: Vec<f32>,
    adaptation: Adaptation,
    /// What is trained of the encoder, and behind it the task's own parameters.
    trained: Vec<f32>,
    /// How much of that is the encoder's.
    n_adapted: usize,
    updates: Updates,
    lanes: Lanes,
    task: Box<dyn Objective + 'a>,
    augment: Augment,
    vectors: Vec<f32>,
    d_vectors: Vec<f32>,
    d_trained: Vec<f32>,
    gradients: Vec<f32>,
}

impl<'a> Tuner<'a> {
    pub(super) fn new(
        (bert, base): (&'a TunableBert, &'a [f32]),
        (task, augment): (Box<dyn Objective + 'a>, Augment),
        settings: &'a TuneSettings,
        data: &'a TrainData<'a>,
    ) -> Self {
        let adaptation = Adaptation::new(settings, bert.tensors(), bert.n_layers());
        let mut trained = adaptation.start(base, data.seed);
        let n_adapted = trained.len();
        trained.extend(task.head());
        let rates = (settings.rate(), settings.weight_decay);
        let mut updates = Updates::new(&settings.optimizer, rates, trained.len(), (0, 1));
        let steps = settings.steps.unwrap_or(task.steps());
        let steps = steps.div_ceil(settings.optimizer.accumulate) as u64;
        updates.follow(settings.optimizer.in_steps(steps, settings.epochs));
        Self {
            data,
            settings,
            bert,
            base,
            weights: base.to_vec(),
            adaptation,
            trained,
            n_adapted,
            updates,
            lanes: Lanes::new(bert, settings.max_memory_mb),
            task,
            augment,
            vectors: Vec::new(),
            d_vectors: Vec::new(),
            d_trained: Vec::new(),
            gradients: Vec::new(),
        }
    }

    /// Counts the parameters that are trained.
    pub(super) const fn n_trained(&self) -> usize {
        self.trained.len()
    }

    /// Returns the weights as they stand, and the task's own parameters.
    pub(super) fn into_weights(mut self) -> (Vec<f32>, Vec<f32>) {
        let head = self.trained.split_off(self.n_adapted);
        (self.weights, head)
    }

    fn steps(&self) -> usize {
        self.settings.steps.unwrap_or(self.task.steps())
    }

    /// Takes one step and returns the mean loss of its examples and how many they were.
    fn step(&mut self, number: usize) -> (f64, usize) {
        let input = self.task.input(number, &self.augment);
        let mut d_head = vec![0.0; self.trained.len() - self.n_adapted];
        let epsilon = self.settings.adversarial;
        let way = if epsilon > 0.0 { Way::Probing(epsilon) } else { Way::Plain };
        let (loss, samples, mut d_weights) = self.pass((&input, way), &mut d_head);
        if epsilon > 0.0 {
            // The losses of texts as they are and of texts as they were moved are added up.
            let (_, _, moved) = self.pass((&input, Way::Moved), &mut d_head);
            d_weights.iter_mut().zip(moved).for_each(|(d, moved)| *d += moved);
        }
        let adapted = &self.trained[..self.n_adapted];
        let dense = self.adaptation.pull(adapted, &d_weights, &mut self.d_trained);
        self.gradients.clear();
        self.gradients.extend(dense.iter().chain(&d_head));
        let gradients = Gradients { dense: &self.gradients, ids: &[], rows: &[], samples };
        self.updates.add(&mut self.trained, &mut [], gradients);
        self.apply();
        (loss, samples)
    }

    /// Goes through the encoder and back; adds the gradient of the task's own parameters and returns that of the wanted weights.
    fn pass(&mut self, (input, way): (&Input, Way), d_head: &mut [f32]) -> (f64, usize, Vec<f32>) {
        let model = Model { bert: self.bert, weights: &self.weights };
        self.lanes.forward(model, (input, way), &mut self.vectors);
        let wanted = self.adaptation.wanted();
        // The table of words comes first among the tensors.
        let words = wanted.place(0);
        let mut d_words = vec![0.0; words.as_ref().map_or(0, std::ops::Range::len)];
        let (loss, samples) = self.task.loss(Pass {
            vectors: &mut self.vectors,
            d_vectors: &mut self.d_vectors,
            head: &self.trained[self.n_adapted..],
            d_head,
            words: &self.weights[self.bert.tensors()[0].range.clone()],
            d_words: words.is_some().then_some(&mut d_words[..]),
        });
        let down = matches!(way, Way::Probing(_)).then(|| wanted.down_to_embeddings());
        let back = (input, way, &self.d_vectors[..]);
        let mut d_weights = self.lanes.backward(model, back, down.as_ref().unwrap_or(wanted));
        if let Some(words) = words {
            d_weights[words].iter_mut().zip(&d_words).for_each(|(d, extra)| *d += extra);
        }
        (loss, samples, d_weights)
    }

    /// Returns what can be said of the encoder beside the number it is judged by.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let model = Model { bert: self.bert, weights: &self.weights };
        self.task.facts(model, &self.trained[self.n_adapted..])
    }

    /// Lets the weights follow what is trained.
    fn apply(&mut self) {
        self.adaptation.apply(self.base, &self.trained[..self.n_adapted], &mut self.weights);
    }
}

impl Learner for Tuner<'_> {
    fn epoch(&mut self, epoch: usize) -> Step {
        let (mut sum, mut samples) = (0.0, 0);
        let steps = self.steps();
        self.task.begin(Model { bert: self.bert, weights: &self.weights });
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
        self.apply();
        Step { loss: sum / samples.max(1) as f64, samples }
    }

    fn validate(&self) -> Option<f64> {
        let model = Model { bert: self.bert, weights: &self.weights };
        self.task.validate(model, &self.trained[self.n_adapted..])
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
        self.apply();
        Ok(())
    }

    fn momentum(&self) -> Saved {
        self.updates.momentum()
    }

    fn set_momentum(&mut self, momentum: Saved) -> Result<(), PersistError> {
        self.updates.set_momentum(momentum)
    }
}

#[cfg(test)]
#[path = "../../../text/tests/bert/tiny.rs"]
mod tiny;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;
    use tastemaker_core::{Histories, HistoriesBuilder, ItemId, seed};
    use tastemaker_text::{BertSettings, BertTokens};
    use tempfile::TempDir;

    use super::tiny::{self, Sizes};
    use super::*;
    use crate::tuning::settings::What;
    use crate::tuning::tasks::{TaskData, TuneTask, choose};

    const SIZES: Sizes = Sizes { hidden: 8, layers: 2, heads: 2, inner: 12, positions: 24 };
    const TEXTS: [&str; 6] =
        ["a red film", "the sea book", "a blue film about", "red", "blue seas", "film 电影"];

    /// Writes a tiny model whose tokenizer has a mask.
    fn write(folder: &Path) {
        tiny::write_folder(folder, SIZES, &tiny::tensors(SIZES));
        let mut tokenizer = tiny::tokenizer();
        let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
        vocabulary.remove("##side");
        vocabulary.insert("[MASK]".into(), json!(13));
        std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    }

    fn histories() -> Histories {
        let mut builder = HistoriesBuilder::default();
        for user in 0..6 {
            for at in 0..4 {
                let item = ItemId::from_index((user + at * 2 + at / 2) % 6);
                builder.push(item, (user % 4) as f32, at as i64);
            }
            builder.end_user();
        }
        builder.build()
    }

    fn check(settings: &TuneSettings, labels: &[Option<u32>]) {
        let folder = TempDir::new().unwrap();
        write(folder.path());
        let (bert, weights) = TunableBert::open(folder.path(), &BertSettings::default()).unwrap();
        let texts: Vec<BertTokens> = bert.tokenise(&TEXTS).unwrap();
        let (histories, words) = (histories(), TEXTS.map(str::to_owned));
        let data = TrainData { seed: 4, ..TrainData::new(&histories, TEXTS.len()) };
        let extra = TaskData { texts: &words, labels, n_labels: 3, ..TaskData::default() };
        let augment = Augment::new(&settings.augment, (&bert, &weights), &texts);
        let task = choose((&bert, &texts), (settings, &augment), (&data, &extra)).unwrap();
        let mut tuner = Tuner::new((&bert, &weights), (task, augment), settings, &data);
        // Heads start small; what is small has small gradients.
        let mut noise = seed::stream(1, "noise");
        for x in &mut tuner.trained[tuner.n_adapted..] {
            *x += rand::RngExt::random_range(&mut noise, -0.3..0.3f32);
        }
        tuner.task.begin(Model { bert: &bert, weights: &weights });
        let input = tuner.task.input(0, &tuner.augment);
        for way in [Way::Probing(0.3), Way::Moved] {
            let mut d_head = vec![0.0; tuner.trained.len() - tuner.n_adapted];
            let (_, n, d) = tuner.pass((&input, way), &mut d_head);
            assert!(n > 0);
            let got: Vec<f32> = d.iter().chain(&d_head).copied().collect();
            assert_eq!(got.len(), tuner.trained.len());
            let own = tuner.n_adapted;
            let words = 16 * SIZES.hidden;
            let some = (0..words).step_by(7).chain((words..own).step_by(31)).chain(own..got.len());
            let mut long = 0.0f32;
            for at in some {
                let old = tuner.trained[at];
                let mut moved = |by: f32| {
                    tuner.trained[at] = old + by;
                    tuner.apply();
                    // A pass of moved texts leaves them where they were moved.
                    let way = if way == Way::Moved { Way::Moved } else { Way::Plain };
                    tuner.pass((&input, way), &mut vec![0.0; d_head.len()]).0
                };
                let want = (moved(4e-3) - moved(-4e-3)) / 8e-3;
                tuner.trained[at] = old;
                let error = (f64::from(got[at]) - want).abs();
                let task = settings.task;
                assert!(
                    error < 4e-3 + 3e-2 * want.abs(),
                    "{task:?} {way:?} {at} of {own}: {} {want}",
                    got[at]
                );
                long = long.max(got[at].abs());
            }
            assert!(long > 1e-2, "something is to be learnt");
            tuner.apply();
            if way == Way::Probing(0.3) {
                // Plain passes forget where texts are to be moved.
                let mut d_head = vec![0.0; d_head.len()];
                tuner.pass((&input, way), &mut d_head);
            }
        }
    }

    fn settings(task: TuneTask) -> TuneSettings {
        let (what, batch, users, events) = (What::Full, 4, 3, 3);
        TuneSettings {
            task,
            what,
            batch,
            users,
            events,
            temperature: 0.5,
            ..TuneSettings::default()
        }
    }

    #[test]
    fn gradients_of_every_task_equal_numeric_ones_through_the_encoder_there_and_moved() {
        for task in [
            TuneTask::TwoTower,
            TuneTask::MaskedWords,
            TuneTask::Classify,
            TuneTask::Rate,
            TuneTask::Sequence,
        ] {
            check(&settings(task), &[]);
        }
    }

    #[test]
    fn gradients_of_labels_equal_numeric_ones() {
        let labels = [Some(0), Some(1), Some(2), None, Some(0), Some(1)];
        let settings = TuneSettings { labels: Some("kind".into()), ..settings(TuneTask::Classify) };
        check(&settings, &labels);
    }
}
