//! Scale and weights from validation events: coordinate ascent on the mean NDCG of held-back items, or stacking; for all users first, then
//! for each bucket of history lengths where that proves better on users it was not chosen on.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::Serialize;
use tastemaker_core::{Histories, Progress, Recommender, Request, UserId, seed, top_k};

use crate::stack::stacked;
use crate::{Bucket, Forest, Fused, FusionSettings, Gate, Method, Normalise};

/// Best items of every part that can reach the fused top ten; all others are left out of the search.
const CANDIDATES_PER_PART: usize = 100;
/// Requests scored at a time.
pub(crate) const BATCH: usize = 16;
/// A bucket needs this many users before it may have weights of its own.
const MIN_BUCKET_USERS: usize = 200;

/// Events held back to choose weights on; row = case.
#[derive(Clone, Copy)]
pub struct Cases<'a> {
    /// Who is asked for.
    pub users: &'a [UserId],
    /// What is known when asked.
    pub histories: &'a Histories,
    /// What happened next.
    pub targets: &'a Histories,
}

/// Starts of the search that are followed to the end.
const CLIMBS: usize = 3;

/// The weights and how good they were.
#[derive(Clone, Debug, Serialize)]
pub struct Learned {
    /// The scale on which scores are added.
    pub normalise: Normalise,
    /// Weights by history length.
    pub gate: Gate,
    /// Names of the parts, in the order of the weights.
    pub parts: Vec<String>,
    /// Users they were chosen on.
    pub users: usize,
    /// Mean NDCG@10 on them with these weights; an optimistic figure.
    pub ndcg: f64,
    /// What trees make of it, for [`Method::Boosted`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trees: Option<Grown>,
}

/// The trees that order the head of the list, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grown {
    /// How many; none where they did not prove better.
    pub trees: usize,
    /// Share of each feature in what they have learnt, the greatest first.
    pub importance: Vec<(String, f32)>,
}

impl From<&Forest> for Grown {
    fn from(forest: &Forest) -> Self {
        let named = |(name, share): (&str, f32)| (name.to_owned(), share);
        let importance = forest.importance().into_iter().map(named).collect();
        Self { trees: forest.n_trees(), importance }
    }
}

/// One validation case: normalised scores `[candidates, parts]`, the target first.
pub(crate) struct Case {
    pub(crate) length: usize,
    pub(crate) scores: Vec<f32>,
}

/// How weights are found: those of all users, or of some of them beginning with everybody's.
type Find<'a> = &'a dyn Fn(&[&Case], Option<&[f32]>) -> (f64, Vec<f32>);

/// Finds the weights of fitted `parts`, which must not have learnt from `cases`.
///
/// The result depends on `seed` alone, not on the number of threads. With no usable case, or with
/// [`Method::Vote`], every part has the same weight.
pub fn learn<M: Recommender>(
    fused: &Fused<M>,
    cases: &Cases<'_>,
    settings: &FusionSettings,
    seed: u64,
    progress: &dyn Progress,
) -> Learned {
    let width = fused.parts().len();
    let parts: Vec<String> = fused.parts().iter().map(|p| p.name.clone()).collect();
    let equal = vec![1.0 / width as f32; width];
    let scales = settings.scales();
    let gate = Gate::same(equal);
    let voted = Learned { normalise: scales[0], gate, parts, users: 0, ndcg: 0.0, trees: None };
    if settings.method == Method::Vote {
        return voted;
    }
    let gathered = gather(fused, cases, (settings.users, seed), &scales, progress);
    let climb = |cases: &[&Case], from: Option<&[f32]>| {
        ascend(cases, from.map_or_else(|| starts(width), |from| vec![from.to_vec()]))
    };
    let stack = |cases: &[&Case], from: Option<&[f32]>| {
        let otherwise = || from.map_or_else(|| vec![1.0 / width as f32; width], <[f32]>::to_vec);
        let weights = stacked(cases, width).unwrap_or_else(otherwise);
        (mean_gain(cases, &weights), weights)
    };
    let find: Find<'_> = if settings.method == Method::Stacked { &stack } else { &climb };
    let mut best: Option<(f64, usize, Vec<f32>)> = None;
    for (scale, cases) in gathered.iter().enumerate() {
        let all: Vec<&Case> = cases.iter().collect();
        let (value, weights) = find(&all, None);
        if best.as_ref().is_none_or(|(other, ..)| value > *other) {
            best = Some((value, scale, weights));
        }
    }
    let Some((_, scale, weights)) = best.filter(|_| !gathered[0].is_empty()) else { return voted };
    let all: Vec<&Case> = gathered[scale].iter().collect();
    let buckets = by_length(&all, &weights, &settings.gate, find);
    let gate = Gate::new(buckets).unwrap_or_else(|| Gate::same(weights));
    let total: f64 = all.iter().map(|case| gain(case, gate.weights(case.length))).sum();
    let (users, ndcg) = (all.len(), total / all.len() as f64);
    Learned { normalise: scales[scale], gate, users, ndcg, ..voted }
}

/// Chooses up to `users` cases that have a target to find, rising.
pub(crate) fn rows(cases: &Cases<'_>, n_items: usize, (users, seed): (usize, u64)) -> Vec<usize> {
    let usable = |&row: &usize| {
        let (history, targets) = (cases.histories.row(row), cases.targets.row(row));
        targets.items.iter().any(|t| t.index() < n_items && !history.items.contains(t))
    };
    let mut rows: Vec<usize> = (0..cases.users.len()).filter(usable).collect();
    rows.shuffle(&mut seed::stream(seed, "fusion/users"));
    rows.truncate(users);
    rows.sort_unstable();
    rows
}

/// Scores the cases once and puts the scores on every scale: one list of cases per scale.
fn gather<M: Recommender>(
    fused: &Fused<M>,
    cases: &Cases<'_>,
    (users, seed): (usize, u64),
    scales: &[Normalise],
    progress: &dyn Progress,
) -> Vec<Vec<Case>> {
    let rows = rows(cases, fused.n_items(), (users, seed));
    let n_batches = rows.len().div_ceil(BATCH);
    let done = AtomicUsize::new(0);
    let batches: Vec<Vec<Vec<Case>>> = rows
        .par_chunks(BATCH)
        .map(|rows| {
            let out = gather_batch(fused, cases, rows, scales);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            progress.report("weighing the parts", done, n_batches);
            out
        })
        .collect();
    let mut gathered: Vec<Vec<Case>> =
        scales.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for batch in batches {
        for (all, some) in gathered.iter_mut().zip(batch) {
            all.extend(some);
        }
    }
    gathered
}

fn gather_batch<M: Recommender>(
    fused: &Fused<M>,
    cases: &Cases<'_>,
    rows: &[usize],
    scales: &[Normalise],
) -> Vec<Vec<Case>> {
    let (n, width) = (fused.n_items(), fused.parts().len());
    let requests: Vec<Request<'_>> = rows
        .iter()
        .map(|&row| Request::new(Some(cases.users[row]), cases.histories.row(row)))
        .collect();
    let mut scores = vec![0.0; width * rows.len() * n]; // [parts, requests, items]
    fused.part_scores(&requests, &mut scores);
    let mut out: Vec<Vec<Case>> = scales.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    let mut own = vec![0.0; width * n]; // [parts, items] of one request
    for (b, (&row, request)) in rows.iter().zip(&requests).enumerate() {
        let raw = |p: usize| &scores[(p * rows.len() + b) * n..][..n];
        let candidates = candidates(width, raw, request);
        for (scale, out) in scales.iter().zip(&mut out) {
            for (p, own) in own.chunks_exact_mut(n).enumerate() {
                own.copy_from_slice(raw(p));
                scale.apply(own, request.history.items);
            }
            let targets = cases.targets.row(row).items.iter();
            for target in targets.filter(|t| t.index() < n && !request.history.items.contains(t)) {
                let rivals = candidates.iter().copied().filter(|&i| i != target.index());
                let items = std::iter::once(target.index()).chain(rivals);
                let scores =
                    items.flat_map(|i| (0..width).map(|p| own[p * n + i]).collect::<Vec<_>>());
                out.push(Case { length: request.history.len(), scores: scores.collect() });
            }
        }
    }
    out
}

/// Lists the items that any part ranks near the top.
fn candidates<'a>(
    width: usize,
    raw: impl Fn(usize) -> &'a [f32],
    request: &Request<'_>,
) -> Vec<usize> {
    let mut candidates = Vec::with_capacity(width * CANDIDATES_PER_PART);
    for p in 0..width {
        let mut masked = raw(p).to_vec();
        request.mask(&mut masked);
        candidates.extend(top_k(&masked, CANDIDATES_PER_PART).iter().map(|s| s.item.index()));
    }
    candidates.sort_unstable();
    candidates.dedup();
    candidates
}

/// NDCG@10 of the target among the candidates; ties count half.
fn gain(case: &Case, weights: &[f32]) -> f64 {
    let sum = |scores: &[f32]| scores.iter().zip(weights).map(|(s, w)| s * w).sum::<f32>();
    let mut rows = case.scores.chunks_exact(weights.len());
    let target = rows.next().map_or(0.0, sum);
    let (mut better, mut equal) = (0u32, 0u32);
    for row in rows {
        let score = sum(row);
        better += u32::from(score > target);
        equal += u32::from(score.total_cmp(&target).is_eq());
    }
    let rank = f64::from(better) + f64::from(equal) / 2.0;
    if rank < 10.0 { 1.0 / (rank + 2.0).log2() } else { 0.0 }
}

/// Mean gain; fixed chunks summed in order, so that the sum does not depend on the number of threads.
fn mean_gain(cases: &[&Case], weights: &[f32]) -> f64 {
    let sums: Vec<f64> = cases
        .par_chunks(128)
        .map(|chunk| chunk.iter().map(|case| gain(case, weights)).sum())
        .collect();
    sums.iter().sum::<f64>() / cases.len().max(1) as f64
}

/// Where the search begins: all parts alike, and each of them leading.
fn starts(width: usize) -> Vec<Vec<f32>> {
    let lead = |p: usize| (0..width).map(|q| if p == q { 1.0 } else { 0.2 }).collect();
    std::iter::once(vec![1.0; width]).chain((0..width).map(lead)).map(scaled).collect()
}

fn scaled(mut weights: Vec<f32>) -> Vec<f32> {
    let total: f32 = weights.iter().sum();
    if total > 0.0 {
        weights.iter_mut().for_each(|w| *w /= total);
    }
    weights
}

/// Climbs from the best starts by scaling one weight at a time, in ever finer steps; returns gain and weights.
fn ascend(cases: &[&Case], starts: Vec<Vec<f32>>) -> (f64, Vec<f32>) {
    let mut tried: Vec<(f64, Vec<f32>)> =
        starts.into_iter().map(|start| (mean_gain(cases, &start), start)).collect();
    tried.sort_by(|a, b| b.0.total_cmp(&a.0));
    tried.truncate(CLIMBS);
    let climbed = tried.into_iter().map(|start| climb(cases, start));
    climbed.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default()
}

fn climb(cases: &[&Case], mut best: (f64, Vec<f32>)) -> (f64, Vec<f32>) {
    /// A weight that is 0 begins to grow from here.
    const FLOOR: f32 = 0.02;
    for step in [3.0f32, 1.7, 1.3, 1.15] {
        for _ in 0..4 {
            let before = best.0;
            for p in 0..best.1.len() {
                for factor in [step, 1.0 / step, 0.0] {
                    let mut trial = best.1.clone();
                    trial[p] = if factor > 0.0 { trial[p].max(FLOOR) * factor } else { 0.0 };
                    if trial.iter().sum::<f32>() <= 0.0 {
                        continue;
                    }
                    let trial = scaled(trial);
                    let value = mean_gain(cases, &trial);
                    if value > best.0 + 1e-9 {
                        best = (value, trial);
                    }
                }
            }
            if best.0 <= before {
                break;
            }
        }
    }
    best
}

/// Weights of each bucket: its own where they win on the half they were not chosen on, else everybody's.
fn by_length(cases: &[&Case], overall: &[f32], ends: &[usize], find: Find<'_>) -> Vec<Bucket> {
    let mut buckets = Vec::with_capacity(ends.len() + 1);
    let mut from = 0;
    for up_to in ends.iter().copied().map(Some).chain([None]) {
        let inside =
            |case: &&&Case| case.length >= from && up_to.is_none_or(|end| case.length <= end);
        let members: Vec<&Case> = cases.iter().filter(inside).copied().collect();
        buckets.push(Bucket { up_to, weights: bucket_weights(&members, overall, find) });
        from = up_to.map_or(usize::MAX, |end| end + 1);
    }
    buckets
}

fn bucket_weights(members: &[&Case], overall: &[f32], find: Find<'_>) -> Vec<f32> {
    if members.len() < MIN_BUCKET_USERS {
        return overall.to_vec();
    }
    let half =
        |odd: usize| -> Vec<&Case> { members.iter().skip(odd).step_by(2).copied().collect() };
    let halves = [half(0), half(1)];
    let mut differences = Vec::with_capacity(members.len());
    for (chosen_on, tested_on) in [(0, 1), (1, 0)] {
        let (_, weights) = find(&halves[chosen_on], Some(overall));
        differences.extend(
            halves[tested_on].iter().map(|case| gain(case, &weights) - gain(case, overall)),
        );
    }
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n;
    if mean > (variance / n).sqrt() { find(members, Some(overall)).1 } else { overall.to_vec() }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId, Silent};

    use super::*;
    use crate::{Cold, Part};

    /// Scores item `(user + shift) % n` highest.
    struct Oracle {
        n: usize,
        shift: usize,
    }

    impl Recommender for Oracle {
        fn n_items(&self) -> usize {
            self.n
        }

        fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
            let user = request.user.map_or(0, UserId::index) % self.n;
            for (i, score) in scores.iter_mut().enumerate() {
                *score = -(((i + 2 * self.n - user - self.shift) % self.n) as f32);
            }
        }
    }

    /// Users with short histories follow one oracle, the others another one.
    fn world(n_users: usize, n_items: usize) -> (Vec<UserId>, Histories, Histories) {
        let (mut histories, mut targets) =
            (HistoriesBuilder::default(), HistoriesBuilder::default());
        for user in 0..n_users {
            let is_short = user % 2 == 0;
            for _ in 0..if is_short { 1 } else { 3 } {
                // The same item each time, so that the same items are unseen and one weight cannot serve both.
                histories.push(ItemId::from_index((user + 20) % n_items), 1.0, 0);
            }
            histories.end_user();
            targets.push(
                ItemId::from_index((user + if is_short { 5 } else { 11 }) % n_items),
                1.0,
                1,
            );
            targets.end_user();
        }
        ((0..n_users).map(UserId::from_index).collect(), histories.build(), targets.build())
    }

    fn learned(gate: Vec<usize>) -> Learned {
        learned_by(Method::Weighted, gate)
    }

    fn learned_by(method: Method, gate: Vec<usize>) -> Learned {
        let n_items = 40;
        let (users, histories, targets) = world(1000, n_items);
        let part = |shift: usize| Part {
            name: shift.to_string(),
            model: Oracle { n: n_items, shift },
            reads_text: false,
            ignores_order: false,
        };
        let settings = FusionSettings { method, gate, ..FusionSettings::default() };
        let equal = Gate::same(vec![0.5, 0.5]);
        let fused =
            Fused::new(vec![part(5), part(11)], n_items, Normalise::ZScore, equal, Cold::default())
                .unwrap();
        let cases = Cases { users: &users, histories: &histories, targets: &targets };
        learn(&fused, &cases, &settings, 1, &Silent)
    }

    #[test]
    fn the_gate_learns_whom_to_trust_for_short_and_long_histories() {
        for method in [Method::Weighted, Method::Stacked] {
            let learned = learned_by(method, vec![2]);
            let (short, long) = (learned.gate.weights(1), learned.gate.weights(3));
            assert!(short[0] > long[0] && long[1] > short[1], "{learned:?}");
            assert!(learned.ndcg > 0.99, "{}", learned.ndcg);
        }
    }

    #[test]
    fn weights_sum_to_one_and_repeat() {
        let (a, b) = (learned(vec![]), learned(vec![]));
        assert_eq!(a.gate, b.gate);
        assert!((a.gate.weights(0).iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn one_thread_and_two_find_the_same_weights() {
        let on = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                [Method::Weighted, Method::Stacked].map(|m| learned_by(m, vec![2]).gate)
            })
        };
        assert_eq!(on(1), on(2));
    }
}
