//! The tasks of pairs: whether a user takes an item, against items drawn beside it, and how they rate it.

use rand::seq::SliceRandom;
use tastemaker_core::{FitError, TrainData, seed};
use tastemaker_text::{BertTokens, TunableBert};

use super::events::Events;
use super::head::{LabelHead, Wanted};
use crate::tuning::encode::Model;
use crate::tuning::run::NAME;
use crate::tuning::settings::TuneSettings;
use crate::tuning::tasks::wide::auc;
use crate::tuning::tasks::{Augment, Batches, Fact, Input, Objective, Pass, TaskData, TuneTask};

/// Most cases that an epoch is judged by.
const MOST_HELD: usize = 1000;

/// Pairs of texts and what is to be told of each.
#[derive(Default)]
struct Told {
    texts: Vec<BertTokens>,
    wanted: Vec<f32>,
}

/// Learns what a user makes of an item.
pub(in crate::tuning) struct Pairs<'a> {
    bert: &'a TunableBert,
    events: Events<'a>,
    /// Tells ratings, rather than whether an item is taken.
    rates: bool,
    negatives: usize,
    batches: Batches,
    held: Told,
    head: LabelHead,
    start: Vec<f32>,
    wanted: Vec<f32>,
    seed: u64,
}

impl<'a> Pairs<'a> {
    pub(in crate::tuning) fn new(
        bert: &'a TunableBert,
        settings: &'a TuneSettings,
        (data, extra): (&TrainData<'_>, &TaskData<'a>),
    ) -> Result<Self, FitError> {
        let rates = settings.task == TuneTask::Rate;
        let unsuited = |why: &str| FitError::Unsuited { model: NAME, why: why.into() };
        let of = (extra.texts, settings.history);
        let events = Events::new(data.histories, of, data.n_items);
        let all = events.with_a_past();
        if all.is_empty() {
            return Err(unsuited(
                "no user took two items that have a text: take data with longer histories",
            ));
        }
        let first = events.value(all[0]);
        let differ = |event: &u32| (events.value(*event) - first).abs() > 0.0;
        if rates && !all.iter().any(differ) {
            return Err(unsuited(
                "all ratings are the same or there are none: import the data with a column of ratings, or set `tune.task = \"classify\"`",
            ));
        }
        let n = all.len() as f64;
        let mean = all.iter().map(|&event| f64::from(events.value(event))).sum::<f64>() / n;
        let share = 1.0 / (1.0 + settings.negatives as f32);
        // A head that knows nothing says how often, or how high, on average.
        let bias = if rates { mean as f32 } else { (share / (1.0 - share)).ln() };
        let head = LabelHead { dim: bert.dim(), labels: 1, cuts_off: bert.cuts_off() };
        let start = head.start(extra.head, bias, data.seed);
        let each = if rates { 1 } else { 1 + settings.negatives };
        let batches = Batches::new(all, (settings.batch / each).max(1));
        let mut own = Self {
            bert,
            events,
            rates,
            negatives: settings.negatives,
            batches,
            held: Told::default(),
            head,
            start,
            wanted: Vec::new(),
            seed: data.seed,
        };
        own.held = own.held_pairs(extra)?;
        Ok(own)
    }

    /// Makes the pairs of held-out events; beside each of them one with an item drawn, where it is told who takes what.
    fn held_pairs(&self, extra: &TaskData<'_>) -> Result<Told, FitError> {
        let Some((known, targets)) = extra.held else { return Ok(Told::default()) };
        let mut rng = seed::stream(self.seed, "tune/held-pairs");
        let mut rows: Vec<usize> = (0..known.n_users()).collect();
        rows.shuffle(&mut rng);
        rows.truncate(MOST_HELD);
        let (mut pairs, mut wanted) = (Vec::new(), Vec::new());
        for row in rows {
            let (past, next) = (known.row(row), targets.row(row));
            let user = self.events.user_of(Events::newest_first(past));
            let Some((target, value)) = next.items.first().zip(next.values.first()) else {
                continue;
            };
            let item = target.index() as u32;
            if user.is_empty() || self.events.text(item).is_empty() {
                continue;
            }
            wanted.push(if self.rates { *value } else { 1.0 });
            if !self.rates {
                let taken = past.items.iter().chain(next.items);
                let taken: Vec<u32> = taken.map(|item| item.index() as u32).collect();
                let other = self.events.not_of(&taken, &mut rng);
                pairs.push((user.clone(), self.events.text(other)));
                wanted.insert(wanted.len() - 1, 0.0);
            }
            pairs.push((user, self.events.text(item)));
        }
        let texts = self.tokens(&pairs).map_err(|why| FitError::Unsuited { model: NAME, why })?;
        Ok(Told { texts, wanted })
    }

    fn tokens(&self, pairs: &[(String, &str)]) -> Result<Vec<BertTokens>, String> {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), *b)).collect();
        self.bert.tokenise_pairs(&pairs).map_err(|fault| fault.to_string())
    }
}

impl Objective for Pairs<'_> {
    fn steps(&self) -> usize {
        self.batches.len()
    }

    fn head(&self) -> Vec<f32> {
        self.start.clone()
    }

    fn input(&mut self, step: usize, augment: &Augment) -> Input {
        let mut rng = seed::stream(self.seed, &format!("tune/pairs{step}"));
        let mut pairs = Vec::new();
        self.wanted.clear();
        for event in self.batches.of(step, self.seed) {
            let user = self.events.user_before(event);
            let negatives = if self.rates { 0 } else { self.negatives };
            for _ in 0..negatives {
                let other = self.events.other(event, &mut rng);
                pairs.push((user.clone(), self.events.text(other)));
                self.wanted.push(0.0);
            }
            pairs.push((user, self.events.text(self.events.item(event))));
            self.wanted.push(if self.rates { self.events.value(event) } else { 1.0 });
        }
        let texts = self.tokens(&pairs).unwrap_or_else(|why| {
            tracing::warn!(step, "passed over: {why}");
            self.wanted.clear();
            Vec::new()
        });
        Input::of_first(texts.iter().map(|text| augment.apply(text, &mut rng)).collect())
    }

    fn loss(&mut self, pass: Pass<'_>) -> (f64, usize) {
        let wanted =
            if self.rates { Wanted::Numbers(&self.wanted) } else { Wanted::Odds(&self.wanted) };
        let rows = (&*pass.vectors, wanted);
        let loss = self.head.step(rows, pass.head, (pass.d_vectors, pass.d_head));
        (loss, self.wanted.len())
    }

    fn validate(&self, model: Model<'_>, head: &[f32]) -> Option<f64> {
        if self.held.texts.is_empty() {
            return None;
        }
        let vectors = model.outputs(&Input::of_first(self.held.texts.clone()));
        let outputs = self.head.outputs(&vectors, head);
        if self.rates {
            let errors = outputs.iter().zip(&self.held.wanted);
            let sum: f64 = errors.map(|(s, y)| f64::from(s - y).powi(2)).sum();
            return Some(-(sum / outputs.len() as f64).sqrt());
        }
        let is_positive: Vec<bool> = self.held.wanted.iter().map(|&y| y > 0.5).collect();
        auc(&outputs, &is_positive)
    }

    fn facts(&self, model: Model<'_>, head: &[f32]) -> Vec<Fact> {
        let value = self.validate(model, head);
        let fact = |value: f64| if self.rates { ("rmse", -value) } else { ("auc", value) };
        value.map(fact).into_iter().collect()
    }
}
