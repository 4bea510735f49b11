//! One model on one set of cases: every candidate ranked for every user, in batches over all cores.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;
use tastemaker_core::{ItemId, Progress, Recommender, Request, Scored, UserId, top_k};

use crate::{
    Bucket, Candidates, Cases, Context, Error, Kind, Metric, Name, Ranked, Settings, Stat,
    bootstrap,
    buckets::{HISTORY, Observed, POPULARITY},
    metrics::{
        calibration::Miscalibration,
        coverage::{coverage, exposure, gini},
        diversity::Diversity,
        hit::{Hit, Precision, Recall},
        novelty::{ListMean, Popularity},
        ranking::{Auc, Map, Mrr, Ndcg},
    },
    rank::{Mask, batch_rows, positions, score_rows},
    significance::jackknife,
};

/// What came of one model: numbers per user, their means with intervals, and the lists themselves.
#[derive(Clone, Debug)]
pub struct Run {
    settings: Settings,
    users: Vec<UserId>,
    columns: BTreeMap<Name, Vec<f64>>,
    lists: Vec<Vec<Scored>>,
    summary: BTreeMap<String, Stat>,
    by_history: Vec<Bucket>,
    by_popularity: Vec<Bucket>,
}

/// One user's part of a run.
struct Judged {
    values: Vec<f64>,
    list: Vec<Scored>,
    targets: Vec<(ItemId, f64)>,
}

/// Ranks every candidate for every case and measures the ranking.
pub fn run(
    model: &dyn Recommender,
    cases: &Cases<'_>,
    ctx: &Context<'_>,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Run, Error> {
    let faults = settings.faults();
    if !faults.is_empty() {
        return Err(Error::Settings(faults));
    }
    ctx.check()?;
    cases.check(ctx.n_items)?;
    if model.n_items() != ctx.n_items {
        let (what, rows, n_items) = ("the model's scores", model.n_items(), ctx.n_items);
        return Err(Error::WrongCatalogue { what, rows, n_items });
    }
    let popularity = Popularity::new(ctx.train.item_counts(ctx.n_items));
    let cutoffs = settings.sorted_cutoffs();
    let metrics = metrics(&cutoffs, &popularity, ctx);
    let judge = Judge {
        mask: Mask { candidates: settings.candidates, allowed: ctx.allowed, seed: settings.seed },
        metrics: &metrics,
        k: cutoffs.last().copied().unwrap_or(0),
    };
    let judged = judge.all(model, cases, progress)?;
    let (by_history, by_popularity) = by_buckets(&judged, cases, &popularity.counts, settings);
    let mut columns: BTreeMap<Name, Vec<f64>> =
        metrics.iter().map(|m| (m.name(), Vec::with_capacity(judged.len()))).collect();
    let mut lists = Vec::with_capacity(judged.len());
    for user in judged {
        for (metric, value) in metrics.iter().zip(user.values) {
            // An empty sum is -0.0 in Rust; nobody wants to read that.
            columns.entry(metric.name()).or_default().push(value + 0.0);
        }
        lists.push(user.list);
    }
    let slices: Vec<&[f64]> = columns.values().map(Vec::as_slice).collect();
    let stats = bootstrap(&slices, settings.bootstrap, settings.seed);
    let mut summary: BTreeMap<String, Stat> =
        columns.keys().map(Name::to_string).zip(stats).collect();
    for k in cutoffs {
        summary.extend(over_lists(&lists, k, ctx.n_items));
    }
    let users = cases.users.to_vec();
    let settings = settings.clone();
    Ok(Run { settings, users, columns, lists, summary, by_history, by_popularity })
}

/// Lists every metric with a number per user.
fn metrics<'a>(
    cutoffs: &[usize],
    popularity: &'a Popularity,
    ctx: &Context<'a>,
) -> Vec<Box<dyn Metric + 'a>> {
    let mut metrics: Vec<Box<dyn Metric + 'a>> =
        vec![Box::new(Ndcg::new(None)), Box::new(Map(None)), Box::new(Mrr(None)), Box::new(Auc)];
    for &k in cutoffs {
        metrics.push(Box::new(Hit(k)));
        metrics.push(Box::new(Recall(k)));
        metrics.push(Box::new(Precision(k)));
        metrics.push(Box::new(Ndcg::new(Some(k))));
        metrics.push(Box::new(Map(Some(k))));
        metrics.push(Box::new(Mrr(Some(k))));
        metrics.push(Box::new(ListMean::novelty(k, popularity)));
        metrics.push(Box::new(ListMean::percentile(k, popularity)));
        metrics.push(Box::new(ListMean::arp(k, popularity)));
        if let Some(vectors) = ctx.vectors {
            metrics.push(Box::new(Diversity { k, vectors }));
        }
        if let Some(labels) = ctx.labels {
            metrics.push(Box::new(Miscalibration { k, labels }));
        }
    }
    metrics
}

/// Measures all lists at once.
fn over_lists(lists: &[Vec<Scored>], k: usize, n_items: usize) -> [(String, Stat); 2] {
    let shown = exposure(lists.iter().map(Vec::as_slice), k, n_items);
    let stat = |measure: fn(&[u32]) -> f64| {
        jackknife(measure(&shown), lists.len(), |out, groups| {
            let group = lists.iter().skip(out).step_by(groups).map(Vec::as_slice);
            let group = exposure(group, k, n_items);
            let rest: Vec<u32> = shown.iter().zip(group).map(|(all, part)| all - part).collect();
            measure(&rest)
        })
    };
    [
        (Name::at(Kind::Coverage, k).to_string(), stat(coverage)),
        (Name::at(Kind::Gini, k).to_string(), stat(gini)),
    ]
}

/// Judges users one by one.
struct Judge<'a> {
    mask: Mask<'a>,
    metrics: &'a [Box<dyn Metric + 'a>],
    /// Length of the lists kept.
    k: usize,
}

impl Judge<'_> {
    fn all(
        &self,
        model: &dyn Recommender,
        cases: &Cases<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<Judged>, Error> {
        let (n_users, n_items) = (cases.users.len(), model.n_items());
        let batch = batch_rows(n_items);
        let done = AtomicUsize::new(0);
        progress.report("evaluate", 0, n_users);
        let batches: Vec<Result<Vec<Judged>, Error>> = (0..n_users.div_ceil(batch))
            .into_par_iter()
            .map_init(Vec::new, |scores, number| {
                let rows = number * batch..n_users.min((number + 1) * batch);
                let requests = score_rows(model, cases, rows.clone(), scores);
                let judged = rows
                    .clone()
                    .zip(&requests)
                    .zip(scores.chunks_exact_mut(n_items))
                    .map(|((row, request), scores)| {
                        self.one(request, cases.targets.row(row).items, scores)
                    })
                    .collect();
                let before = done.fetch_add(rows.len(), Ordering::Relaxed);
                progress.report("evaluate", before + rows.len(), n_users);
                judged
            })
            .collect();
        let mut all = Vec::with_capacity(n_users);
        for batch in batches {
            all.extend(batch?);
        }
        Ok(all)
    }

    fn one(
        &self,
        request: &Request<'_>,
        targets: &[ItemId],
        scores: &mut [f32],
    ) -> Result<Judged, Error> {
        let n_candidates = self.mask.apply(request, targets, scores)?;
        let targets = positions(scores, targets);
        let ranks: Vec<f64> = targets.iter().map(|(_, rank)| *rank).collect();
        let list = top_k(scores, self.k);
        let history = request.history.items;
        let ranked = Ranked { ranks: &ranks, n_candidates, list: &list, history };
        let values = self.metrics.iter().map(|metric| metric.of(&ranked)).collect();
        Ok(Judged { values, list, targets })
    }
}

/// Splits users by the length of their history, and targets by their popularity.
///
/// A target is judged as if it were its user's only one: the user's other targets are taken from above it.
fn by_buckets(
    judged: &[Judged],
    cases: &Cases<'_>,
    counts: &[u32],
    settings: &Settings,
) -> (Vec<Bucket>, Vec<Bucket>) {
    let (rounds, seed) = (settings.bootstrap, settings.seed);
    let (mut metrics, mut names) = (Vec::<Box<dyn Metric>>::new(), Vec::new());
    for k in settings.sorted_cutoffs() {
        metrics.push(Box::new(Hit(k)));
        metrics.push(Box::new(Ndcg::new(Some(k))));
    }
    names.extend(metrics.iter().map(|metric| metric.name().to_string()));
    let split = |sizes: &[usize], ranks: &[Vec<f64>], ends: &[usize]| {
        let column = |metric: &dyn Metric| -> Vec<f64> {
            let of = |ranks: &Vec<f64>| {
                metric.of(&Ranked { ranks, n_candidates: 0, list: &[], history: &[] }) + 0.0
            };
            ranks.iter().map(of).collect()
        };
        let columns: Vec<(String, Vec<f64>)> =
            names.iter().cloned().zip(metrics.iter().map(|m| column(m.as_ref()))).collect();
        Observed { sizes, columns: &columns, rounds, seed }.split(ends)
    };
    let lengths: Vec<usize> = cases.histories.iter().map(|history| history.len()).collect();
    let ranks: Vec<Vec<f64>> =
        judged.iter().map(|user| user.targets.iter().map(|(_, rank)| *rank).collect()).collect();
    let (events, alone): (Vec<usize>, Vec<Vec<f64>>) = judged
        .iter()
        .flat_map(|user| user.targets.iter().enumerate())
        .map(|(above, (item, rank))| (counts[item.index()] as usize, vec![rank - above as f64]))
        .unzip();
    (split(&lengths, &ranks, HISTORY), split(&events, &alone, POPULARITY))
}

impl Run {
    /// Returns the settings of the run.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns which items competed with the targets.
    pub const fn candidates(&self) -> Candidates {
        self.settings.candidates
    }

    /// Returns the user of each row.
    pub fn users(&self) -> &[UserId] {
        &self.users
    }

    /// Returns the canonical names of the metrics with a number per user.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        self.columns.keys().copied()
    }

    /// Returns a metric's number for every user, by its canonical name or an alias.
    pub fn per_user(&self, metric: &str) -> Result<&[f64], Error> {
        let name: Name = metric.parse()?;
        self.column(name).ok_or_else(|| self.missing(name, "this run"))
    }

    /// Returns the list of each row, as long as the largest cutoff, best first.
    pub fn lists(&self) -> &[Vec<Scored>] {
        &self.lists
    }

    /// Returns each metric's mean over users with its 95 % interval, by canonical name.
    pub const fn summary(&self) -> &BTreeMap<String, Stat> {
        &self.summary
    }

    /// Returns a metric's mean, by its canonical name or an alias.
    pub fn mean(&self, metric: &str) -> Result<f64, Error> {
        let name: Name = metric.parse()?;
        let stat = self.summary.get(&name.to_string());
        stat.map(|stat| stat.mean).ok_or_else(|| self.missing(name, "this run"))
    }

    /// Returns the quality by length of the user's history.
    pub fn by_history(&self) -> &[Bucket] {
        &self.by_history
    }

    /// Returns the quality by training events of the target.
    pub fn by_popularity(&self) -> &[Bucket] {
        &self.by_popularity
    }

    pub(crate) fn column(&self, name: Name) -> Option<&[f64]> {
        self.columns.get(&name).map(Vec::as_slice)
    }

    pub(crate) fn missing(&self, metric: Name, model: &str) -> Error {
        let names: Vec<&str> = self.summary.keys().map(String::as_str).collect();
        let (metric, model) = (metric.to_string(), model.to_owned());
        Error::MissingMetric { metric, model, has: names.join(", ") }
    }

    pub(crate) fn pairs_with(&self, other: &Self) -> bool {
        self.users == other.users && self.candidates() == other.candidates()
    }
}

/// Returns the NDCG@k of one list, from the places of its targets, counted from 0 and in order; infinity for a target that is not in it.
pub fn ndcg_of(ranks: &[f64], k: usize) -> f64 {
    Ndcg::new(Some(k)).of_ranks(ranks)
}

/// Returns the mean NDCG@k over some rows of the cases, for searches on validation: every item up to `n_items` a
/// candidate, no lists, no intervals. A row beyond the cases counts as a miss.
pub fn quick_ndcg(
    model: &dyn Recommender,
    cases: &Cases<'_>,
    n_items: usize,
    k: usize,
    rows: &[usize],
) -> f64 {
    let width = model.n_items().max(1);
    let ndcg = Ndcg::new(Some(k));
    let one = |row: usize, request: &Request<'_>, scores: &mut [f32]| {
        let scores = &mut scores[..n_items.min(width)];
        request.mask(scores);
        let placed = positions(scores, cases.targets.row(row).items);
        ndcg.of_ranks(&placed.iter().map(|(_, rank)| *rank).collect::<Vec<_>>())
    };
    let sums: Vec<f64> = rows
        .par_chunks(batch_rows(width))
        .map_init(Vec::new, |scores, rows| {
            let requests = score_rows(model, cases, rows.iter().copied(), scores);
            let each = rows.iter().zip(&requests).zip(scores.chunks_exact_mut(width));
            each.map(|((row, request), scores)| one(*row, request, scores)).sum()
        })
        .collect();
    sums.iter().sum::<f64>() / rows.len().max(1) as f64
}
