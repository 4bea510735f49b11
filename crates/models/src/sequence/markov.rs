//! Decayed Markov chain over the last few items: simple, fast and hard to beat.
//!
//! Objective: `score(j) = Σ_k decay^k · count(i_k → j) / ((total(i_k) + smoothing)^power · popularity(j)^target_power) +
//! ε · popularity(j)`, where `i_0` is the last item, `i_1` the one before it. A transition between events `d` apart counts
//! `1/d` for `d` up to `window`; the way back counts `reverse` times as much. Shapes: transitions `[n_items, n_items]`, sparse; popularity `[n_items]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{
    Checked, Contribution, Evidence, Fault, Fit, FitError, Histories, ItemId, Persist,
    PersistError, Recommender, Request, Saved, Scored, Shape, Similar, TrainData,
};

use crate::distinct;
use crate::persist::{misfit, take_settings, take_vector, with_settings};
use crate::recent::{contributions, recent};
use crate::sparse::{Csr, Sums};

/// Lets popularity decide between items the chain scores alike, and never more than that.
const TIE_BREAK: f32 = 1e-6;

/// Settings of [`Markov`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MarkovSettings {
    /// How many of the last items speak.
    pub last: usize,
    /// How much an item speaks compared with the one after it; 1 lets all speak alike.
    pub decay: f32,
    /// How far apart two events may be and still count as a transition, at weight 1/distance.
    pub window: usize,
    /// How much the way back counts: 0 keeps the direction, 1 ignores it.
    pub reverse: f32,
    /// How strongly items that much follows are damped: 0 leaves counts, 1 makes them probabilities.
    pub power: f32,
    /// Added to the total of what follows an item before it is damped, against items seen only a few times.
    pub smoothing: f32,
    /// How strongly popular items are damped as answers: 0 not at all, 1 in proportion.
    pub target_power: f32,
}

impl Default for MarkovSettings {
    fn default() -> Self {
        Self {
            last: 10,
            decay: 0.7,
            window: 8,
            reverse: 0.0,
            power: 0.8,
            smoothing: 30.0,
            target_power: 0.0,
        }
    }
}

impl Fit for MarkovSettings {
    type Model = Markov;

    fn faults(&self) -> Vec<Fault> {
        let share = |field, x: f32| {
            Fault::unless((0.0..=1.0).contains(&x), field, || format!("must be 0 to 1, is {x}"))
        };
        let count = |field, n: usize| {
            Fault::unless((1..=1000).contains(&n), field, || format!("must be 1 to 1000, is {n}"))
        };
        [
            count("last", self.last),
            share("decay", self.decay),
            count("window", self.window),
            share("reverse", self.reverse),
            share("power", self.power),
            Fault::unless((0.0..=1e9).contains(&self.smoothing), "smoothing", || {
                format!("must be 0 or more, is {}", self.smoothing)
            }),
            share("target_power", self.target_power),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn grid(&self, _shape: &Shape) -> Vec<Self> {
        let mut all = vec![self.clone()];
        for (last, decay) in [(5, 0.5), (10, 0.7)] {
            for reverse in [0.0, 0.2, 1.0] {
                for target_power in [0.0, 0.2] {
                    all.push(Self { last, decay, reverse, target_power, ..self.clone() });
                }
            }
        }
        distinct(all)
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Markov, FitError> {
        data.require_events()?;
        let counts = data.histories.item_counts(data.n_items);
        Ok(Markov {
            settings: Self::clone(settings),
            transitions: transitions(settings, data.histories, &counts),
            prior: counts.into_iter().map(|count| TIE_BREAK * count as f32).collect(),
        })
    }
}

/// Counts and scales the transitions, row by row, from the places where each item occurs.
fn transitions(settings: &MarkovSettings, histories: &Histories, counts: &[u32]) -> Csr {
    let n_items = counts.len();
    let items = histories.events().items;
    let places = Places::new(histories, counts);
    let weights: Vec<f32> = (1..=settings.window).map(|d| 1.0 / d as f32).collect();
    let mut matrix = Csr::build(
        (n_items, n_items),
        || Sums::new(n_items),
        |sums, row, sink| {
            for &place in places.of(row) {
                let place = place as usize;
                let (before, after) = places.room(place);
                for (d, weight) in (1..=after).zip(&weights) {
                    sums.add(items[place + d].0, *weight);
                }
                if settings.reverse > 0.0 {
                    for (d, weight) in (1..=before).zip(&weights) {
                        sums.add(items[place - d].0, settings.reverse * weight);
                    }
                }
            }
            let scale = (sums.total() + settings.smoothing).max(1e-9).powf(-settings.power);
            sums.drain(|column, sum| sink.push(column, scale * sum));
        },
    );
    if settings.target_power > 0.0 {
        let scales: Vec<f32> =
            counts.iter().map(|&n| (n.max(1) as f32).powf(-settings.target_power)).collect();
        matrix.scale_columns(&scales);
    }
    matrix
}

/// Where in the run of all events each item occurs, and how much of the same user's history lies around a place.
struct Places {
    offsets: Vec<usize>,
    places: Vec<u32>,
    room: Vec<(u32, u32)>,
}

impl Places {
    fn new(histories: &Histories, counts: &[u32]) -> Self {
        let mut offsets = vec![0; counts.len() + 1];
        for (at, &count) in counts.iter().enumerate() {
            offsets[at + 1] = offsets[at] + count as usize;
        }
        let mut next = offsets.clone();
        let mut places = vec![0; histories.n_events()];
        let mut room = Vec::with_capacity(histories.n_events());
        for history in histories.iter() {
            for (at, item) in history.items.iter().enumerate() {
                places[next[item.index()]] = room.len() as u32;
                next[item.index()] += 1;
                room.push((at as u32, (history.len() - 1 - at) as u32));
            }
        }
        Self { offsets, places, room }
    }

    fn of(&self, item: usize) -> &[u32] {
        &self.places[self.offsets[item]..self.offsets[item + 1]]
    }

    /// Counts the events of the same user before and after a place.
    fn room(&self, place: usize) -> (usize, usize) {
        let (before, after) = self.room[place];
        (before as usize, after as usize)
    }
}

/// Scores by what followed the last items elsewhere; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Markov {
    settings: MarkovSettings,
    transitions: Csr,
    prior: Vec<f32>,
}

impl Markov {
    /// Visits the items that speak, newest first, with their weights.
    fn speakers(&self, request: &Request<'_>) -> impl Iterator<Item = (ItemId, f32)> {
        recent(request.history, self.n_items(), (self.settings.last, self.settings.decay))
    }
}

impl Recommender for Markov {
    fn n_items(&self) -> usize {
        self.prior.len()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        scores.copy_from_slice(&self.prior);
        for (item, weight) in self.speakers(request) {
            self.transitions.add_row_to(item.index(), weight, scores);
        }
    }
}

impl Similar for Markov {
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        self.transitions.best_of_row(item.index(), n)
    }
}

impl Evidence for Markov {
    fn evidence(&self, request: &Request<'_>, item: ItemId) -> Vec<Contribution> {
        contributions(self.speakers(request).map(|(because, weight)| {
            (because, weight * self.transitions.at(because.index(), item.0))
        }))
    }
}

impl Persist for Markov {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        saved.put_f32("prior", &[self.prior.len()], self.prior.clone());
        self.transitions.put("transitions", &mut saved);
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings = take_settings(&mut saved)?;
        let prior = take_vector(&mut saved, "prior")?;
        let transitions = Csr::take("transitions", prior.len(), &mut saved)?;
        if transitions.n_rows() != prior.len() {
            return Err(misfit("transitions"));
        }
        Ok(Self { settings, transitions, prior })
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::HistoriesBuilder;
    use tastemaker_testkit::{assert_all_close, contract};

    use super::*;

    #[test]
    fn keeps_the_contracts_and_learns_the_checkerboard() {
        contract::recommender(MarkovSettings::default);
        contract::similar(MarkovSettings::default);
        contract::evidence(MarkovSettings::default);
        contract::learns_the_checkerboard(MarkovSettings::default);
        contract::learns_the_checkerboard(|| MarkovSettings { reverse: 1.0, ..Default::default() });
    }

    fn fitted(settings: MarkovSettings) -> Markov {
        let mut builder = HistoriesBuilder::default();
        for item in [0, 1, 2] {
            builder.push(ItemId(item), 1.0, 0);
        }
        builder.end_user();
        let histories = builder.build();
        let data = TrainData::new(&histories, 4);
        Checked::new(settings).unwrap().fit(&data).unwrap()
    }

    fn scores(model: &Markov, items: &[ItemId]) -> Vec<f32> {
        let blank = vec![0; items.len()];
        let ones = vec![1.0; items.len()];
        let history = tastemaker_core::History { items, values: &ones, times: &blank };
        let mut scores = vec![0.0; 4];
        model.score(&Request::new(None, history), &mut scores);
        scores
    }

    #[test]
    fn three_items_in_a_row_by_hand() {
        let base = MarkovSettings {
            last: 2,
            decay: 0.5,
            window: 2,
            reverse: 0.0,
            power: 1.0,
            smoothing: 0.0,
            target_power: 0.0,
        };
        // 0 → 1 counts 1 and 0 → 2 counts 1/2, so row 0 is [0, 2/3, 1/3]; row 1 is [0, 0, 1].
        let model = fitted(base.clone());
        assert_all_close(&scores(&model, &[ItemId(0)]), &[0.0, 2.0 / 3.0, 1.0 / 3.0, 0.0], 1e-5);
        // Last item 1 speaks at weight 1, item 0 at 1/2.
        let want = [0.0, 1.0 / 3.0, 1.0 + 1.0 / 6.0, 0.0];
        assert_all_close(&scores(&model, &[ItemId(0), ItemId(1)]), &want, 1e-5);
        // Smoothed by 1/2, row 0 is [0, 1, 1/2] / 2; items 1 and 2 were each taken once, so damping them changes nothing.
        let smooth = MarkovSettings { smoothing: 0.5, target_power: 0.5, ..base };
        assert_all_close(&scores(&fitted(smooth), &[ItemId(0)]), &[0.0, 0.5, 0.25, 0.0], 1e-5);
        // With the way back at 1/2, row 1 gets 1/2 for item 0: [1/2, 0, 1] / 1.5.
        let model = fitted(MarkovSettings { reverse: 0.5, ..base });
        assert_all_close(&scores(&model, &[ItemId(1)]), &[1.0 / 3.0, 0.0, 2.0 / 3.0, 0.0], 1e-5);
    }

    #[test]
    fn impossible_settings_are_all_named() {
        let bad = MarkovSettings {
            last: 0,
            decay: f32::NAN,
            window: 0,
            reverse: 2.0,
            power: -1.0,
            smoothing: -1.0,
            target_power: 7.0,
        };
        let fields: Vec<_> = bad.faults().iter().map(|fault| fault.field).collect();
        let all = ["last", "decay", "window", "reverse", "power", "smoothing", "target_power"];
        assert_eq!(fields, all);
    }
}
