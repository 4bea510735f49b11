//! How many trees, and which: chosen by what they do for lists they were not grown on.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Fault, Progress};

use super::bins::Binned;
use super::forest::Forest;
use super::grow::{Grown, Shape, Slope, grow};
use super::lambda;

/// Parts the lists are dealt into; each is judged by trees grown on the others.
const FOLDS: usize = 3;
/// Fewer lists than this teach nothing.
const MIN_LISTS: usize = 300;
/// Trees without a better list after which a fold is given up.
const PATIENCE: usize = 25;
/// What the score a list was ordered by may be multiplied with at the start.
const STARTS: [f32; 10] = [0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// One in how many rows a leaf has at least, unless it is set.
const LEAF_SHARE: usize = 400;
/// Lists for each 1 added to a leaf's curvature, unless it is set.
const LISTS_PER_L2: f64 = 150.0;

/// Settings of the trees that order the head of a fused list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BoostSettings {
    /// Items at the head of the weighted list that are ordered anew, 10 to 1000.
    pub depth: usize,
    /// Validation users whose lists the trees learn from.
    pub users: usize,
    /// Trees at most; how many are grown is chosen on lists that they have not seen. 1 to 2000.
    pub trees: usize,
    /// Leaves of a tree at most, 2 to 256.
    pub leaves: usize,
    /// Items a leaf has at least; left out: one in 400 of all.
    pub leaf_items: Option<usize>,
    /// How far a tree goes, above 0 and at most 1.
    pub rate: f32,
    /// Draws leaves towards 0: added to their curvature, 0 to 1000000; left out: one for every 150 lists.
    pub l2: Option<f32>,
}

impl Default for BoostSettings {
    fn default() -> Self {
        Self {
            depth: 100,
            users: 20_000,
            trees: 300,
            leaves: 16,
            leaf_items: None,
            rate: 0.05,
            l2: None,
        }
    }
}

impl BoostSettings {
    /// Lists every impossible value.
    pub fn faults(&self) -> Vec<Fault> {
        let within = |field, value: usize, (least, most): (usize, usize)| {
            Fault::unless((least..=most).contains(&value), field, || {
                format!("must be {least} to {most}, is {value}")
            })
        };
        let is_rate = self.rate > 0.0 && self.rate <= 1.0;
        [
            within("boost.depth", self.depth, (10, 1000)),
            within("boost.users", self.users, (1, 10_000_000)),
            within("boost.trees", self.trees, (1, 2000)),
            within("boost.leaves", self.leaves, (2, 256)),
            self.leaf_items.and_then(|n| within("boost.leaf_items", n, (1, 1_000_000))),
            Fault::unless(is_rate, "boost.rate", || {
                format!("must be above 0 and at most 1, is {}", self.rate)
            }),
            Fault::unless((0.0..=1e6).contains(&self.l2.unwrap_or(0.0)), "boost.l2", || {
                format!("must be 0 to 1000000, is {}", self.l2.unwrap_or(0.0))
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Lists of which one row each is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    /// What a feature is called.
    pub(crate) features: Vec<String>,
    /// `[rows, features]`.
    pub(crate) rows: Vec<f32>,
    /// `[rows]`: what the lists are ordered by so far.
    pub(crate) before: Vec<f32>,
    /// `[lists + 1]`: where each begins.
    pub(crate) offsets: Vec<usize>,
    /// `[lists]`: which of its rows is wanted.
    pub(crate) targets: Vec<usize>,
}

impl Lists {
    fn len(&self) -> usize {
        self.targets.len()
    }

    fn row(&self, row: usize) -> &[f32] {
        let width = self.features.len();
        &self.rows[row * width..][..width]
    }

    fn span(&self, list: usize) -> std::ops::Range<usize> {
        self.offsets[list]..self.offsets[list + 1]
    }

    fn ndcg(&self, list: usize, margins: &[f32]) -> f64 {
        lambda::ndcg(&margins[self.span(list)], self.targets[list])
    }

    /// Finds the multiple of the scores so far under which the wanted rows are likeliest (softmax over each list).
    fn start(&self) -> f32 {
        let loss = |start: f32| -> f64 {
            let of = |list: usize| {
                let scores = &self.before[self.span(list)];
                let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let odds = |score: f32| f64::from(start * (score - top)).exp();
                let all: f64 = scores.iter().map(|&score| odds(score)).sum();
                all.ln() - f64::from(start * (scores[self.targets[list]] - top))
            };
            (0..self.len()).map(of).sum()
        };
        let losses = STARTS.map(loss);
        let best = (0..STARTS.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        STARTS[best.unwrap_or(0)]
    }
}

/// Trees while they grow.
struct Growing<'a> {
    lists: &'a Lists,
    binned: &'a Binned,
    settings: &'a BoostSettings,
    /// Rows to learn from.
    rows: Vec<u32>,
    /// Lists to learn from.
    members: Vec<usize>,
    /// `[rows]`: of all rows, learnt from or not.
    margins: Vec<f32>,
    forest: Forest,
    gains: Vec<f64>,
}

impl<'a> Growing<'a> {
    fn new(
        lists: &'a Lists,
        binned: &'a Binned,
        settings: &'a BoostSettings,
        is_member: impl Fn(usize) -> bool,
    ) -> Self {
        let members: Vec<usize> = (0..lists.len()).filter(|&list| is_member(list)).collect();
        let rows = members.iter().flat_map(|&list| lists.span(list)).map(|row| row as u32);
        let start = lists.start();
        Self {
            lists,
            binned,
            settings,
            rows: rows.collect(),
            members,
            margins: lists.before.iter().map(|score| start * score).collect(),
            forest: Forest { features: lists.features.clone(), start, ..Forest::default() },
            gains: vec![0.0; lists.features.len()],
        }
    }

    /// Adds a tree; false when there is nothing left to learn.
    fn grow(&mut self) -> bool {
        let mut slopes: Vec<Slope> = vec![[0.0; 2]; self.margins.len()];
        let found: Vec<Vec<Slope>> = self
            .members
            .par_iter()
            .map(|&list| {
                let span = self.lists.span(list);
                let mut own = vec![[0.0; 2]; span.len()];
                lambda::slopes(&self.margins[span], self.lists.targets[list], &mut own);
                own
            })
            .collect();
        for (&list, own) in self.members.iter().zip(found) {
            slopes[self.lists.span(list)].copy_from_slice(&own);
        }
        let BoostSettings { leaves, leaf_items, l2, rate, .. } = *self.settings;
        let usual = self.members.len() as f64 / LISTS_PER_L2;
        let shape = Shape {
            leaves,
            rows: leaf_items.unwrap_or(self.rows.len() / LEAF_SHARE).max(1),
            l2: l2.map_or(usual, f64::from),
        };
        let Grown { tree, gains } = grow(self.binned, &slopes, self.rows.clone(), (shape, rate));
        if tree.forks.is_empty() {
            return false;
        }
        let lists = self.lists;
        self.margins
            .par_iter_mut()
            .enumerate()
            .for_each(|(row, margin)| *margin += tree.value(lists.row(row)));
        self.gains.iter_mut().zip(gains).for_each(|(sum, gain)| *sum += gain);
        self.forest.trees.push(tree);
        true
    }

    fn done(mut self) -> Forest {
        let total: f64 = self.gains.iter().sum();
        let share = |gain: &f64| (gain / total.max(f64::MIN_POSITIVE)) as f32;
        self.forest.importance = self.gains.iter().map(share).collect();
        self.forest
    }
}

/// Grows trees, as many as order unseen lists best; none when they do not do so clearly.
///
/// The result does not depend on the number of threads.
pub(crate) fn train(lists: &Lists, settings: &BoostSettings, progress: &dyn Progress) -> Forest {
    const TASK: &str = "growing trees";
    let none = Forest {
        features: lists.features.clone(),
        start: 1.0,
        trees: Vec::new(),
        importance: vec![0.0; lists.features.len()],
    };
    if lists.len() < MIN_LISTS {
        return none;
    }
    let binned = Binned::new(&lists.rows, lists.features.len());
    let most = settings.trees * (FOLDS + 1);
    let mut curve = vec![0.0; settings.trees + 1];
    let mut courses: Vec<Vec<f64>> = vec![Vec::new(); lists.len()];
    for fold in 0..FOLDS {
        let mut growing = Growing::new(lists, &binned, settings, |list| list % FOLDS != fold);
        let held: Vec<usize> = (fold..lists.len()).step_by(FOLDS).collect();
        let mut best = (f64::NEG_INFINITY, 0);
        for trees in 0..=settings.trees {
            let is_over = trees > best.1 + PATIENCE || (trees > 0 && !growing.grow());
            let mut sum = 0.0;
            for &list in &held {
                let last = courses[list].last().copied();
                let value = last.filter(|_| is_over);
                let value = value.unwrap_or_else(|| lists.ndcg(list, &growing.margins));
                courses[list].push(value);
                sum += value;
            }
            if is_over {
                // What comes later counts as it stands.
                let rest = settings.trees - trees;
                held.iter().for_each(|&list| {
                    let last = courses[list].last().copied().unwrap_or_default();
                    courses[list].extend(std::iter::repeat_n(last, rest));
                });
                curve[trees..].iter_mut().for_each(|at| *at += sum);
                break;
            }
            curve[trees] += sum;
            if sum > best.0 {
                best = (sum, trees);
            }
            progress.report(TASK, fold * settings.trees + trees, most);
        }
    }
    let best = (0..curve.len()).max_by(|&a, &b| curve[a].total_cmp(&curve[b]).then(b.cmp(&a)));
    let n_trees = best.unwrap_or(0);
    let gains: Vec<f64> = courses.iter().map(|course| course[n_trees] - course[0]).collect();
    if n_trees == 0 || !is_clear(&gains) {
        progress.report(TASK, most, most);
        return none;
    }
    let mut growing = Growing::new(lists, &binned, settings, |_| true);
    for tree in 0..n_trees {
        progress.report(TASK, FOLDS * settings.trees + tree, most);
        if !growing.grow() {
            break;
        }
    }
    progress.report(TASK, most, most);
    growing.done()
}

/// Tells whether a mean lies more than its standard error above 0.
fn is_clear(gains: &[f64]) -> bool {
    let n = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / n;
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / n;
    mean > (variance / n).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;
    use tastemaker_core::{Silent, seed};

    use super::*;

    /// Lists of 20; the target is drawn by `1.0 * first + second-is-high`, and the score so far knows the first alone.
    fn lists(n: usize, has_more: bool) -> Lists {
        let mut random = seed::stream(7, "test");
        let mut lists = Lists {
            features: vec!["first".into(), "second".into(), "noise".into()],
            offsets: vec![0],
            ..Lists::default()
        };
        for _ in 0..n {
            let mut best = (f32::NEG_INFINITY, 0);
            for place in 0..20 {
                let [first, second, noise, luck]: [f32; 4] =
                    std::array::from_fn(|_| random.random());
                lists.rows.extend([first, second, noise]);
                lists.before.push(first);
                let bonus = if has_more && second > 0.7 { 0.8 } else { 0.0 };
                let worth = first + bonus + 0.3 * luck;
                best = if worth > best.0 { (worth, place) } else { best };
            }
            lists.targets.push(best.1);
            lists.offsets.push(lists.rows.len() / 3);
        }
        lists
    }

    fn settings() -> BoostSettings {
        BoostSettings { trees: 80, leaves: 8, ..BoostSettings::default() }
    }

    fn mean_ndcg(lists: &Lists, forest: &Forest) -> f64 {
        let margin = |row| forest.margin(lists.before[row], lists.row(row));
        let margins: Vec<f32> = (0..lists.before.len()).map(margin).collect();
        (0..lists.len()).map(|list| lists.ndcg(list, &margins)).sum::<f64>() / lists.len() as f64
    }

    #[test]
    fn what_the_score_does_not_know_is_learnt() {
        let all = lists(1200, true);
        let forest = train(&all, &settings(), &Silent);
        let before = mean_ndcg(&all, &Forest { start: 1.0, ..Forest::default() });
        let after = mean_ndcg(&all, &forest);
        assert!(after > before + 0.1, "{before} {after}");
        assert_eq!(forest.importance()[0].0, "second", "{:?}", forest.importance());
        assert!(forest.fits(&all.features));
    }

    #[test]
    fn without_anything_to_learn_lists_stay_as_they_are() {
        assert!(train(&lists(600, false), &settings(), &Silent).is_empty());
        assert!(train(&lists(20, true), &settings(), &Silent).is_empty());
    }

    #[test]
    fn one_thread_and_two_grow_the_same_forest() {
        let all = lists(600, true);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train(&all, &settings(), &Silent))
        };
        assert_eq!(on(1), on(2));
    }

    #[test]
    fn impossible_settings_are_named() {
        let settings = BoostSettings { depth: 9, rate: 0.0, leaves: 1, ..BoostSettings::default() };
        let fields: Vec<&str> = settings.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["boost.depth", "boost.leaves", "boost.rate"]);
    }
}
