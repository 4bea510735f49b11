//! Skip-gram with negative sampling over the items of histories (Barkan and Koenigstein 2016, after Mikolov et al. 2013).
//!
//! Objective: maximise `Σ ln σ(x_i · y_j) + Σ_k ln σ(-x_i · y_k)` over items `j` near `i` in a history and drawn items `k`, as likely as
//! `count^power`. Shapes: items `x` and contexts `y`, each `[n_items, factors]`. An answer is `Σ_k decay^k x_{i_k} · y_j` over the last
//! items, newest first: what stands near what was taken last.

use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{
    Checked, Embed, Fault, Fit, FitError, Histories, ItemId, Persist, PersistError, Recommender,
    Request, Saved, Scored, Shape, Similar, TrainData, seed,
};
use tastemaker_kernels::{axpy, dot};

use super::blocks::{Descent, Meeting};
use super::table::{Table, random_table};
use crate::distinct;
use crate::persist::{misfit, take_settings, with_settings};
use crate::recent::recent;

/// Pairs that are dealt and gone through at once: what an epoch needs memory for.
const PAIRS_AT_ONCE: usize = 4_000_000;
/// Share of the step that is left in the last epoch.
const LAST_STEP: f32 = 0.05;

/// Settings of [`Item2vec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Item2vecSettings {
    /// Numbers that describe an item; 1 to 4096.
    pub factors: usize,
    /// How often all histories are gone through; 1 to 10,000.
    pub epochs: usize,
    /// Length of a step in the first epoch, falling to a twentieth; above 0, up to 10.
    pub learning_rate: f32,
    /// How far apart two items of a history may stand, 1 to 1000; drawn anew for each item, up to this, so that near ones count more.
    pub window: usize,
    /// Items drawn against each pair; 1 to 1000.
    pub negatives: usize,
    /// How much more often popular items are drawn: 1 in proportion, 0 all alike, below 0 the rare ones more often; -1 to 1.
    pub power: f32,
    /// Share of all events above which an item is passed over at times, the more often the more frequent it is; 0 never, up to 1.
    pub subsample: f32,
    /// How many of the newest items count in an answer; 1 to 1000.
    pub last: usize,
    /// Weight of an item against that of the next newer one; 0 to 1.
    pub decay: f32,
}

impl Default for Item2vecSettings {
    fn default() -> Self {
        Self {
            factors: 64,
            epochs: 20,
            learning_rate: 0.05,
            window: 5,
            negatives: 10,
            power: 0.0,
            subsample: 0.0,
            last: 5,
            decay: 0.7,
        }
    }
}

impl Fit for Item2vecSettings {
    type Model = Item2vec;

    const SPACE: &'static [(&'static str, &'static str)] = &[
        ("factors", "32,64,128"),
        ("epochs", "10,20,40"),
        ("learning_rate", "log(0.01, 0.2)"),
        ("window", "2,5,10"),
        ("power", "-0.5,0.0,0.5,0.75"),
        ("decay", "0.5,0.7,0.9"),
    ];

    fn faults(&self) -> Vec<Fault> {
        let count = |field, n: usize, most: usize| {
            Fault::unless((1..=most).contains(&n), field, || format!("must be 1 to {most}, is {n}"))
        };
        let between = |field, x: f32, least: f32, most: f32| {
            Fault::unless((least..=most).contains(&x), field, || {
                format!("must be {least} to {most}, is {x}")
            })
        };
        [
            count("factors", self.factors, 4096),
            count("epochs", self.epochs, 10_000),
            between("learning_rate", self.learning_rate, 1e-8, 10.0),
            count("window", self.window, 1000),
            count("negatives", self.negatives, 1000),
            between("power", self.power, -1.0, 1.0),
            between("subsample", self.subsample, 0.0, 1.0),
            count("last", self.last, 1000),
            between("decay", self.decay, 0.0, 1.0),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn grid(&self, _shape: &Shape) -> Vec<Self> {
        let of = |window, power| Self { window, power, ..self.clone() };
        distinct(vec![self.clone(), of(5, 0.5), of(2, 0.0), of(2, 0.5), of(10, 0.0)])
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Item2vec, FitError> {
        data.require_events()?;
        let Self { factors, epochs, learning_rate, .. } = **settings;
        let counts = data.histories.item_counts(data.n_items);
        let mut rng = seed::stream(data.seed, "item2vec");
        let mut items = random_table(data.n_items, factors, 0.5 / factors as f32, &mut rng);
        let mut contexts = vec![0.0; data.n_items * factors];
        for epoch in 0..epochs {
            let left = 1.0 - epoch as f32 / epochs as f32;
            let rate = learning_rate * left.max(LAST_STEP);
            let mut rng = seed::stream(data.seed, &format!("item2vec pairs {epoch}"));
            let mut pairs = Pairs::new(settings, data.histories, &counts);
            // Each part of the pairs is dealt by a number of its own.
            let mut part = epoch << 20;
            while let Some(near) = pairs.next_part(&mut rng) {
                let mut descent = Descent::new(&near, data.seed, &items, contexts, factors);
                descent.epoch(part, |meeting| descend((settings, rate), &counts, meeting));
                if !descent.is_finite() {
                    let why = "its numbers ran away: lower `learning_rate`".into();
                    return Err(FitError::Diverged { model: "item2vec", why });
                }
                (items, contexts) = descent.finish();
                part += 1;
            }
            data.progress.report("item2vec", epoch + 1, epochs);
        }
        let (items, contexts) =
            (Table::new(factors, items), Table::new(factors, contexts).packed());
        Ok(Item2vec { settings: Self::clone(settings), items, contexts })
    }
}

/// Draws the pairs of items that stand near each other, some histories at a time.
struct Pairs<'a> {
    settings: &'a Item2vecSettings,
    histories: &'a Histories,
    /// [item] -> chance to be kept.
    kept: Vec<f32>,
    next: usize,
}

impl<'a> Pairs<'a> {
    fn new(settings: &'a Item2vecSettings, histories: &'a Histories, counts: &[u32]) -> Self {
        let total = histories.n_events() as f32;
        let keep = |&count: &u32| {
            let share = count as f32 / total;
            let most = settings.subsample;
            if most > 0.0 && share > most { (most / share).sqrt() } else { 1.0 }
        };
        Self { settings, histories, kept: counts.iter().map(keep).collect(), next: 0 }
    }

    /// Returns the items near each item, as if items were users and those near them their histories; `None` when all were gone through.
    fn next_part(&mut self, rng: &mut impl Rng) -> Option<Histories> {
        let mut pairs: Vec<(u32, ItemId)> = Vec::new();
        let first = self.next;
        let mut items = Vec::new();
        while self.next < self.histories.n_users() && pairs.len() < PAIRS_AT_ONCE {
            let all = self.histories.row(self.next).items.iter().copied();
            items.clear();
            items.extend(all.filter(|item| {
                let kept = self.kept[item.index()];
                kept >= 1.0 || rng.random_range(0.0..1.0f32) < kept
            }));
            for (at, item) in items.iter().enumerate() {
                let reach = rng.random_range(1..=self.settings.window);
                let from = at.saturating_sub(reach);
                let to = (at + reach + 1).min(items.len());
                let near = (from..to).filter(|&other| other != at);
                pairs.extend(near.map(|other| (item.0, items[other])));
            }
            self.next += 1;
        }
        if self.next == first {
            return None;
        }
        // By counting, so that the order of the histories is kept.
        let mut offsets = vec![0; self.kept.len() + 1];
        pairs.iter().for_each(|(item, _)| offsets[*item as usize + 1] += 1);
        for at in 1..offsets.len() {
            offsets[at] += offsets[at - 1];
        }
        let (mut places, mut near) = (offsets.clone(), vec![ItemId(0); pairs.len()]);
        for (item, other) in pairs {
            let place = &mut places[item as usize];
            near[*place] = other;
            *place += 1;
        }
        let n = near.len();
        Some(
            Histories::from_parts(offsets, near, vec![1.0; n], vec![0; n])
                .expect("every pair has its place"),
        )
    }
}

/// Goes through the pairs of a meeting, each against items drawn from the same block.
fn descend(
    (settings, rate): (&Item2vecSettings, f32),
    counts: &[u32],
    Meeting { users, items, events, mut rng }: Meeting<'_>,
) {
    let width = settings.factors;
    // Never taken, never drawn.
    let weight = |&item: &u32| match counts[item as usize] {
        0 => 0.0,
        count => f64::from(count).powf(f64::from(settings.power)),
    };
    let mut total = 0.0;
    let heap: Vec<f64> = items
        .members
        .iter()
        .map(|item| {
            total += weight(item);
            total
        })
        .collect();
    let mut moved = vec![0.0; width];
    for event in events {
        let centre = &mut users.rows[event.user as usize * width..][..width];
        moved.fill(0.0);
        let mut pair = |context: usize, wanted: f32| {
            let context = &mut items.rows[context * width..][..width];
            let pull = rate * (wanted - 1.0 / (1.0 + (-dot(centre, context)).exp()));
            axpy(pull, context, &mut moved);
            axpy(pull, centre, context);
        };
        pair(event.item as usize, 1.0);
        for _ in 0..settings.negatives {
            let drawn = rng.random_range(0.0..total);
            let other = heap.partition_point(|&end| end <= drawn);
            if other < heap.len() && other != event.item as usize {
                pair(other, 0.0);
            }
        }
        axpy(1.0, &moved, centre);
    }
}

/// Scores by the product of learnt vectors; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Item2vec {
    settings: Item2vecSettings,
    items: Table,
    contexts: Table,
}

impl Recommender for Item2vec {
    fn n_items(&self) -> usize {
        self.items.rows()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let mut rows = vec![0.0; requests.len() * self.items.width()];
        self.write_user_vectors(requests, &mut rows);
        self.contexts.multiply(&rows, scores);
    }
}

impl Embed for Item2vec {
    fn vector_dim(&self) -> usize {
        self.items.width()
    }

    fn write_item_vector(&self, item: ItemId, vector: &mut [f32]) -> bool {
        self.contexts.get(item.index()).map(|row| vector.copy_from_slice(row)).is_some()
    }

    fn write_user_vectors(&self, requests: &[Request<'_>], vectors: &mut [f32]) -> Vec<bool> {
        let reach = (self.settings.last, self.settings.decay);
        let rows = requests.iter().zip(vectors.chunks_exact_mut(self.items.width()));
        rows.map(|(request, row)| {
            row.fill(0.0);
            let mut is_known = false;
            for (item, weight) in recent(request.history, self.items.rows(), reach) {
                axpy(weight, self.items.row(item.index()), row);
                is_known = true;
            }
            is_known
        })
        .collect()
    }
}

impl Similar for Item2vec {
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        self.items.most_alike(item.index(), self.settings.factors, n)
    }
}

impl Persist for Item2vec {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        self.items.put("items", &mut saved);
        self.contexts.put("contexts", &mut saved);
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings: Item2vecSettings = take_settings(&mut saved)?;
        let items = Table::take("items", settings.factors, &mut saved)?;
        let contexts = Table::take("contexts", settings.factors, &mut saved)?.packed();
        if items.rows() != contexts.rows() {
            return Err(misfit("contexts"));
        }
        Ok(Self { settings, items, contexts })
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::HistoriesBuilder;
    use tastemaker_testkit::{assert_all_close, contract};

    use super::super::blocks::{Block, Event};
    use super::*;

    fn small() -> Item2vecSettings {
        Item2vecSettings { factors: 8, epochs: 100, learning_rate: 0.1, ..Default::default() }
    }

    #[test]
    fn keeps_the_contracts_and_learns_the_checkerboard() {
        contract::recommender(small);
        contract::similar(small);
        contract::embed(small);
        contract::learns_the_checkerboard(small);
    }

    #[test]
    fn one_pair_by_hand() {
        // x = (1, 0), y = (0, 0): σ(0) = .5, pull = .1 · (1 - .5) = .05. x moves by .05 y = 0, y by .05 x. One item alone draws itself,
        // which is no negative.
        let settings = Item2vecSettings { factors: 2, ..Default::default() };
        let block = |rows: &[f32]| Block { members: vec![0], rows: rows.to_vec() };
        let (mut users, mut items) = (block(&[1.0, 0.0]), block(&[0.0, 0.0]));
        let events = [Event { user: 0, item: 0, value: 1.0 }];
        let mut step = || {
            let rng = seed::stream(1, "test");
            let meeting = Meeting { users: &mut users, items: &mut items, events: &events, rng };
            descend((&settings, 0.1), &[3], meeting);
        };
        step();
        step();
        // Then x · y = .05: pull = .1 · (1 - σ(.05)) = .0487503; x moves by .0487503 · .05, y by .0487503.
        assert_all_close(&users.rows, &[1.0 + 0.0487503 * 0.05, 0.0], 1e-6);
        assert_all_close(&items.rows, &[0.05 + 0.0487503, 0.0], 1e-6);
    }

    #[test]
    fn pairs_are_the_neighbours_within_the_window_and_frequent_items_are_passed_over() {
        let mut builder = HistoriesBuilder::default();
        for item in [0, 1, 2] {
            builder.push(ItemId(item), 1.0, 0);
        }
        builder.end_user();
        builder.push(ItemId(1), 1.0, 0);
        builder.end_user();
        let histories = builder.build();
        let near = |settings: &Item2vecSettings| {
            let mut rng = seed::stream(1, "test");
            let counts = histories.item_counts(3);
            let mut pairs = Pairs::new(settings, &histories, &counts);
            let part = pairs.next_part(&mut rng).unwrap();
            assert!(pairs.next_part(&mut rng).is_none());
            (0..3).map(|item| part.row(item).items.to_vec()).collect::<Vec<_>>()
        };
        let one = Item2vecSettings { window: 1, ..Default::default() };
        let want = vec![vec![ItemId(1)], vec![ItemId(0), ItemId(2)], vec![ItemId(1)]];
        assert_eq!(near(&one), want);
        // Item 1 has half of all events: with a limit of next to nothing it is hardly ever kept.
        let rare = near(&Item2vecSettings { subsample: 1e-12, ..one });
        assert_eq!(rare.iter().map(Vec::len).sum::<usize>(), 0);
    }

    #[test]
    fn too_long_a_step_is_told() {
        let world = tastemaker_testkit::tiny(1);
        let wild = Item2vecSettings { learning_rate: 10.0, epochs: 3000, ..small() };
        match Checked::new(wild).unwrap().fit(&world.data()) {
            Err(FitError::Diverged { model: "item2vec", .. }) => {}
            Ok(model) => assert!(model.items.iter().flatten().all(|x| x.is_finite())),
            Err(other) => panic!("{other}"),
        }
    }
}
