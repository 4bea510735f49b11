//! An encoder in training, step by step; see [`tastemaker_train::Learner`].

use tastemaker_core::{PersistError, Saved, TrainData, seed};
use tastemaker_text::{BertTokens, DenseLayer, Lora, TunableBert};
use tastemaker_train::{Learner, Step};

use super::adapt::Adaptation;
use super::encode::{Lanes, Model, Way};
use super::head::Head;
use super::parts::{HeadPart, Part};
use super::ranks::Ranks;
use super::run::NAME;
use super::settings::{TuneSettings, What};
use super::tasks::{Augment, Fact, Input, Objective, Pass};

/// The encoder in training.
pub(super) struct Tuner<'a> {
    data: &'a TrainData<'a>,
    settings: &'a TuneSettings,
    bert: &'a TunableBert,
    texts: &'a [BertTokens],
    /// Weights as they were before.
    base: &'a [f32],
    /// Weights as they stand.
    weights: Vec<f32>,
    adaptation: Adaptation,
    /// Where LoRA's rank is bounded.
    ranks: Option<Ranks>,
    part: Part,
    /// The dense layer behind the pooling, for tasks that compare items' vectors.
    head: Option<HeadPart>,
    /// The task's own parameters.
    own: Part,
    lanes: Lanes,
    task: Box<dyn Objective + 'a>,
    augment: Augment,
    vectors: Vec<f32>,
    d_vectors: Vec<f32>,
    d_trained: Vec<f32>,
}

/// What came of a tuning.
pub(super) struct Finished {
    pub(super) weights: Vec<f32>,
    /// The layer behind the pooling.
    pub(super) layer: Option<DenseLayer>,
    pub(super) lora: Option<Lora>,
    /// The task's own parameters.
    pub(super) own: Vec<f32>,
}

/// Gradients of a step beside those of the encoder.
struct Beside {
    own: Vec<f32>,
    head: Vec<f32>,
}

impl<'a> Tuner<'a> {
    pub(super) fn new(
        (bert, base, texts): (&'a TunableBert, &'a [f32], &'a [BertTokens]),
        (task, augment): (Box<dyn Objective + 'a>, Augment),
        settings: &'a TuneSettings,
        data: &'a TrainData<'a>,
    ) -> Self {
        let adaptation = Adaptation::new(settings, bert.tensors(), bert.n_layers());
        let (trained, own) = (adaptation.start(base, data.seed), task.head());
        let rates = (settings.rate(), settings.weight_decay);
        let course = (settings.steps.unwrap_or(task.steps()), settings.epochs);
        let ranks = settings.rank_budget.filter(|_| settings.what == What::Lora).map(|budget| {
            let sizes = (adaptation.pairs().len(), settings.rank, budget);
            Ranks::new(sizes, trained.len(), course.0)
        });
        let mut tuner = Self {
            data,
            settings,
            bert,
            texts,
            base,
            weights: base.to_vec(),
            adaptation,
            ranks,
            part: Part::new(trained, &settings.optimizer, rates, course),
            head: None,
            own: Part::new(own, &settings.optimizer, rates, course),
            lanes: Lanes::new(bert, settings.max_memory_mb),
            task,
            augment,
            vectors: Vec::new(),
            d_vectors: Vec::new(),
            d_trained: Vec::new(),
        };
        if settings.has_head()
            && let Some(counts) = tuner.task.counts()
        {
            let vectors = tuner.read_all();
            let alone = (tuner.alone_steps(), settings.epochs_alone());
            let head = Head::learn(&vectors, bert.dim(), counts);
            tuner.head = head.map(|head| HeadPart::new(head, &vectors, settings, (alone, course)));
        }
        tuner
    }

    /// Tells whether the items' vectors could be whitened, where they are to be.
    pub(super) const fn has_its_head(&self) -> bool {
        !self.settings.has_head() || self.head.is_some()
    }

    /// Counts the parameters that are trained.
    pub(super) fn n_trained(&self) -> usize {
        let of_head = self.head.as_ref().map_or(0, |head| head.trained().len());
        self.part.trained.len() + of_head + self.own.trained.len()
    }

    /// Returns the weights as they stand, and what else was learnt.
    pub(super) fn finish(self) -> Finished {
        let layer = self.head.map(|part| part.head.layer(part.trained()));
        let lora = self.adaptation.lora(&self.part.trained, self.ranks.is_some());
        Finished { weights: self.weights, layer, lora, own: self.own.trained }
    }

    fn steps(&self) -> usize {
        self.settings.steps.unwrap_or(self.task.steps())
    }

    /// Counts the batches of an epoch in which the head learns alone.
    fn alone_steps(&self) -> usize {
        if self.settings.what == What::Head { self.steps() } else { self.settings.head_steps }
    }

    fn model(&self) -> Model<'_> {
        Model { bert: self.bert, weights: &self.weights }
    }

    /// Returns the vectors of all items as the encoder pools them.
    fn read_all(&self) -> Vec<f32> {
        self.model().read(self.texts)
    }

    /// Returns the vectors of all items as they leave the head.
    fn read_behind_head(&self) -> Vec<f32> {
        let Some(part) = &self.head else { return self.read_all() };
        if part.items.is_empty() {
            return part.head.forward(part.trained(), &part.head.whiten(&self.read_all()));
        }
        part.head.forward(part.trained(), &part.items)
    }

    /// Takes a step of the head alone.
    fn step_alone(&mut self, number: usize) -> (f64, usize) {
        let Some(part) = &mut self.head else { return (0.0, 0) };
        let Some(items) = self.task.alone(number, self.settings.head_users) else {
            return (0.0, 0);
        };
        let width = self.bert.dim();
        let row = |&item: &u32| &part.items[item as usize * width..][..width];
        let z: Vec<f32> = items.iter().flat_map(row).copied().collect();
        let mut y = part.head.forward(part.trained(), &z);
        let (loss, samples) = self.task.loss(Pass {
            vectors: &mut y,
            d_vectors: &mut self.d_vectors,
            head: &self.own.trained,
            d_head: &mut vec![0.0; self.own.trained.len()],
            words: &self.weights[self.bert.tensors()[0].range.clone()],
            d_words: None,
        });
        let gradient = part.head.backward(&z, &self.d_vectors);
        part.alone.add(&gradient, samples);
        (loss, samples)
    }

    /// Takes one step of everything and returns the mean loss of its examples and how many they were.
    fn step(&mut self, number: usize) -> (f64, usize) {
        let input = self.task.input(number, &self.augment);
        let mut beside = self.nothing_beside();
        let key = seed::mix([self.data.seed, number as u64]);
        self.lanes.drop_share(self.settings.dropout, key);
        let epsilon = self.settings.adversarial;
        let way = if epsilon > 0.0 { Way::Probing(epsilon) } else { Way::Plain };
        let (loss, samples, mut d_weights) = self.pass((&input, way), &mut beside);
        if epsilon > 0.0 {
            // The losses of texts as they are and of texts as they were moved are added up.
            let (_, _, moved) = self.pass((&input, Way::Moved), &mut beside);
            d_weights.iter_mut().zip(moved).for_each(|(d, moved)| *d += moved);
        }
        let gradient = self.adaptation.pull(&self.part.trained, &d_weights, &mut self.d_trained);
        self.part.add(gradient, samples);
        if let Some(ranks) = &mut self.ranks {
            ranks.learn(&self.part.trained, gradient);
        }
        self.cut_ranks();
        if let Some(part) = &mut self.head {
            part.add(&beside.head, samples);
        }
        self.own.add(&beside.own, samples);
        self.apply();
        (loss, samples)
    }

    fn nothing_beside(&self) -> Beside {
        let of_head = self.head.as_ref().map_or(0, |part| part.trained().len());
        Beside { own: vec![0.0; self.own.trained.len()], head: vec![0.0; of_head] }
    }

    /// Goes through the encoder and back; adds the gradients of what stands beside it and returns those of the wanted weights.
    fn pass(&mut self, (input, way): (&Input, Way), beside: &mut Beside) -> (f64, usize, Vec<f32>) {
        let model = Model { bert: self.bert, weights: &self.weights };
        self.lanes.forward(model, (input, way), &mut self.vectors);
        let whitened = self.head.as_ref().map(|part| part.head.whiten(&self.vectors));
        if let (Some(part), Some(z)) = (&self.head, &whitened) {
            self.vectors = part.head.forward(part.trained(), z);
        }
        let wanted = self.adaptation.wanted();
        // The table of words comes first among the tensors.
        let words = wanted.place(0);
        let mut d_words = vec![0.0; words.as_ref().map_or(0, std::ops::Range::len)];
        let (loss, samples) = self.task.loss(Pass {
            vectors: &mut self.vectors,
            d_vectors: &mut self.d_vectors,
            head: &self.own.trained,
            d_head: &mut beside.own,
            words: &self.weights[self.bert.tensors()[0].range.clone()],
            d_words: words.is_some().then_some(&mut d_words[..]),
        });
        if let (Some(part), Some(z)) = (&self.head, &whitened) {
            let gradient = part.head.backward(z, &self.d_vectors);
            beside.head.iter_mut().zip(gradient).for_each(|(sum, d)| *sum += d);
            self.d_vectors = part.head.backward_input(part.trained(), &self.d_vectors);
        }
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
        let mut facts = self.task.facts(self.model(), &self.own.trained);
        if self.ranks.is_some() {
            let rank = self.adaptation.mean_rank(&self.part.trained);
            // Before the first step all products are 0.
            facts.extend((rank > 0.0).then_some(("mean rank", rank)));
        }
        facts
    }

    /// Takes away the products of LoRA that do not stay.
    fn cut_ranks(&mut self) {
        if let Some(ranks) = &self.ranks {
            ranks.cut(self.adaptation.pairs(), &mut self.part.trained);
        }
    }

    /// Lets the weights follow what is trained.
    fn apply(&mut self) {
        self.adaptation.apply(self.base, &self.part.trained, &mut self.weights);
    }
}

impl Learner for Tuner<'_> {
    fn epoch(&mut self, epoch: usize) -> Step {
        let alone = self.settings.epochs_alone();
        let is_alone = epoch < alone;
        let (first, steps) = if is_alone {
            (epoch * self.alone_steps(), self.alone_steps())
        } else {
            // The vectors no longer are what the encoder says.
            self.head.iter_mut().for_each(|part| part.items = Vec::new());
            ((epoch - alone) * self.steps(), self.steps())
        };
        if self.task.reads_all() {
            let vectors = self.read_behind_head();
            self.task.begin(vectors);
        }
        let (mut sum, mut samples) = (0.0, 0);
        for step in 0..steps {
            if self.data.progress.is_cancelled() {
                break;
            }
            self.data.progress.report(&format!("{NAME}, epoch {}", epoch + 1), step, steps);
            let number = first + step;
            let (loss, n) = if is_alone { self.step_alone(number) } else { self.step(number) };
            sum += loss * n as f64;
            samples += n;
        }
        self.data.progress.report(&format!("{NAME}, epoch {}", epoch + 1), steps, steps);
        self.part.flush();
        self.cut_ranks();
        self.own.flush();
        self.head.iter_mut().for_each(HeadPart::flush);
        self.apply();
        Step { loss: sum / samples.max(1) as f64, samples }
    }

    fn validate(&self) -> Option<f64> {
        let own = &self.own.trained[..];
        let Some(counts) = self.task.counts() else {
            return self.task.validate(self.model(), own);
        };
        if self.head.is_some() {
            return self.task.judged(self.read_behind_head(), own);
        }
        // `text-knn` whitens what is better whitened.
        let plain = self.read_all();
        let head = Head::learn(&plain, self.bert.dim(), counts);
        let whitened = head.and_then(|head| self.task.judged(head.whiten(&plain), own));
        let plain = self.task.judged(plain, own)?;
        Some(plain.max(whitened.unwrap_or(f64::NEG_INFINITY)))
    }

    fn weights(&self) -> Saved {
        let mut saved = Saved::default();
        self.part.put("trained", &mut saved);
        self.own.put("own", &mut saved);
        self.head.iter().for_each(|part| part.alone.put("head", &mut saved));
        saved
    }

    fn set_weights(&mut self, mut weights: Saved) -> Result<(), PersistError> {
        self.part.take("trained", &mut weights)?;
        self.own.take("own", &mut weights)?;
        if let Some(part) = &mut self.head {
            part.alone.take("head", &mut weights)?;
        }
        self.apply();
        Ok(())
    }

    fn momentum(&self) -> Saved {
        let mut saved = Saved::default();
        self.part.put_momentum("trained", &mut saved);
        self.own.put_momentum("own", &mut saved);
        self.head.iter().for_each(|part| part.put_momentum(&mut saved));
        self.ranks.iter().for_each(|ranks| ranks.put(&mut saved));
        saved
    }

    fn set_momentum(&mut self, mut momentum: Saved) -> Result<(), PersistError> {
        self.part.take_momentum("trained", &mut momentum)?;
        self.own.take_momentum("own", &mut momentum)?;
        self.ranks.iter_mut().try_for_each(|ranks| ranks.take(&mut momentum))?;
        self.head.iter_mut().try_for_each(|part| part.take_momentum(&mut momentum))
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
    use crate::tuning::settings::{HeadStart, What};
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

    fn number<'a>(tuner: &'a mut Tuner<'_>, at: usize) -> &'a mut f32 {
        let n = tuner.part.trained.len();
        if at < n { &mut tuner.part.trained[at] } else { &mut tuner.own.trained[at - n] }
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
        let mut tuner = Tuner::new((&bert, &weights, &texts), (task, augment), settings, &data);
        // Heads start small; what is small has small gradients.
        let mut noise = seed::stream(1, "noise");
        for x in &mut tuner.own.trained {
            *x += rand::RngExt::random_range(&mut noise, -0.3..0.3f32);
        }
        let vectors = tuner.read_all();
        tuner.task.begin(vectors);
        tuner.lanes.drop_share(settings.dropout, 5);
        let input = tuner.task.input(0, &tuner.augment);
        for way in [Way::Probing(0.3), Way::Moved] {
            let mut beside = tuner.nothing_beside();
            let (_, n, d) = tuner.pass((&input, way), &mut beside);
            assert!(n > 0);
            let got: Vec<f32> = d.iter().chain(&beside.own).copied().collect();
            let own = tuner.part.trained.len();
            assert_eq!(got.len(), tuner.n_trained());
            let words = 16 * SIZES.hidden;
            let some = (0..words).step_by(7).chain((words..own).step_by(31)).chain(own..got.len());
            let mut long = 0.0f32;
            for at in some {
                let old = *number(&mut tuner, at);
                let mut moved = |by: f32| {
                    *number(&mut tuner, at) = old + by;
                    tuner.apply();
                    // A pass of moved texts leaves them where they were moved.
                    let way = if way == Way::Moved { Way::Moved } else { Way::Plain };
                    let mut spare = tuner.nothing_beside();
                    tuner.pass((&input, way), &mut spare).0
                };
                let want = (moved(4e-3) - moved(-4e-3)) / 8e-3;
                *number(&mut tuner, at) = old;
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
                let mut spare = tuner.nothing_beside();
                tuner.pass((&input, way), &mut spare);
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
            head: HeadStart::None,
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
    fn gradients_equal_numeric_ones_where_numbers_are_dropped() {
        check(&TuneSettings { dropout: 0.3, ..settings(TuneTask::TwoTower) }, &[]);
    }

    #[test]
    fn gradients_of_labels_equal_numeric_ones() {
        let labels = [Some(0), Some(1), Some(2), None, Some(0), Some(1)];
        let settings = TuneSettings { labels: Some("kind".into()), ..settings(TuneTask::Classify) };
        check(&settings, &labels);
    }
}
