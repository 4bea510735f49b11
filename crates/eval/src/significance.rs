//! How sure a number is: bootstrap intervals over users, paired sign-flip tests between models, Holm's correction.
//! All randomness is seeded; results do not depend on the number of threads.

use rand::Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::seed::stream;

use crate::{Error, Name, Run};

/// A mean and its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stat {
    /// The mean over users.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Stat {
    /// Puts the central 95 % of `resampled` around `mean`.
    pub(crate) fn around(mean: f64, mut resampled: Vec<f64>) -> Self {
        resampled.sort_unstable_by(f64::total_cmp);
        let low = quantile(&resampled, 0.025).unwrap_or(mean);
        let high = quantile(&resampled, 0.975).unwrap_or(mean);
        Self { mean, low: low.min(mean), high: high.max(mean) }
    }
}

/// Linear interpolation between the neighbours of a quantile of sorted numbers.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let at = q * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

/// Returns the mean of each column with its 95 % percentile bootstrap interval over rows; columns have equal length.
pub fn bootstrap(columns: &[&[f64]], rounds: usize, seed: u64) -> Vec<Stat> {
    let sums = resampled_sums(columns, rounds, seed);
    let stat = |(j, column): (usize, &&[f64])| {
        let n = column.len().max(1) as f64;
        let means = sums.iter().map(|round| round[j] / n).collect();
        Stat::around(column.iter().sum::<f64>() / n, means)
    };
    columns.iter().enumerate().map(stat).collect()
}

/// Draws as many rows as there are, with replacement, `rounds` times; returns each round's sum of each column.
pub(crate) fn resampled_sums(columns: &[&[f64]], rounds: usize, seed: u64) -> Vec<Vec<f64>> {
    let n = columns.first().map_or(0, |column| column.len());
    let round = |weights: &mut Vec<f64>, round: usize| {
        let mut rng = stream(seed, &format!("bootstrap/{round}"));
        weights.clear();
        weights.resize(n, 0.0);
        for _ in 0..n {
            // Multiply and shift: uniform to within n / 2^64.
            let row = (u128::from(rng.next_u64()) * n as u128) >> 64;
            weights[row as usize] += 1.0;
        }
        columns.iter().map(|column| dot(weights, column)).collect()
    };
    (0..rounds).into_par_iter().map_init(Vec::new, round).collect()
}

/// Eight running sums, which the compiler keeps in vector registers.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Groups left out in turn by [`jackknife`].
const GROUPS: usize = 20;

/// Returns `full` with a 95 % interval from leaving out each of `groups` groups of users in turn.
///
/// For measures over all lists at once, which a bootstrap would bias: a resample repeats users.
pub(crate) fn jackknife(full: f64, n: usize, without: impl Fn(usize, usize) -> f64) -> Stat {
    let groups = n.min(GROUPS);
    if groups < 2 {
        return Stat { mean: full, low: full, high: full };
    }
    let left: Vec<f64> = (0..groups).map(|group| without(group, groups)).collect();
    let mean = left.iter().sum::<f64>() / groups as f64;
    let squares: f64 = left.iter().map(|x| (x - mean).powi(2)).sum();
    let error = ((groups - 1) as f64 / groups as f64 * squares).sqrt();
    let half = 1.96 * error;
    Stat { mean: full, low: (full - half).max(0.0), high: (full + half).min(1.0) }
}

/// One model against another on one metric, user by user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The model.
    pub model: String,
    /// The model it is compared with.
    pub against: String,
    /// Canonical name of the metric.
    pub metric: String,
    /// Mean over users of the paired difference; above 0 where `model` has more.
    pub difference: f64,
    /// Lower end of the difference's 95 % bootstrap interval.
    pub low: f64,
    /// Upper end of the difference's 95 % bootstrap interval.
    pub high: f64,
    /// Two-sided p of the paired sign-flip test.
    pub p: f64,
    /// The same after Holm's correction for all comparisons of the table.
    pub p_holm: f64,
    /// Tells whether the corrected p is below 0.05.
    pub significant: bool,
    /// Users compared.
    pub users: usize,
    /// Users whose number is higher with `model`.
    pub higher: usize,
    /// Users whose number is lower with `model`.
    pub lower: usize,
}

/// Compares every model with `against`, or with the best by mean when none is named; one row per other model.
///
/// Name the best *single* model to judge a fused one by it.
pub fn compare(
    runs: &[(&str, &Run)],
    metric: &str,
    against: Option<&str>,
) -> Result<Vec<Comparison>, Error> {
    let metric: Name = metric.parse()?;
    let columns: Vec<&[f64]> = runs
        .iter()
        .map(|(model, run)| run.column(metric).ok_or_else(|| run.missing(metric, model)))
        .collect::<Result<_, _>>()?;
    let best = match against {
        Some(given) => position(runs, given)?,
        None => match best(&columns, metric.kind.higher_is_better()) {
            Some(best) => best,
            None => return Ok(Vec::new()),
        },
    };
    let (against, reference) = runs[best];
    let mut rows = Vec::new();
    for (j, (model, run)) in runs.iter().enumerate().filter(|(j, _)| *j != best) {
        if !run.pairs_with(reference) {
            return Err(Error::Unpaired { model: (*model).into(), against: against.into() });
        }
        let difference: Vec<f64> =
            columns[j].iter().zip(columns[best]).map(|(a, b)| a - b).collect();
        let settings = reference.settings();
        let stat = bootstrap(&[&difference], settings.bootstrap, settings.seed)[0];
        rows.push(Comparison {
            model: (*model).into(),
            against: against.into(),
            metric: metric.to_string(),
            difference: stat.mean,
            low: stat.low,
            high: stat.high,
            p: sign_flip(&difference, settings.seed),
            p_holm: 1.0,
            significant: false,
            users: difference.len(),
            higher: difference.iter().filter(|d| **d > 0.0).count(),
            lower: difference.iter().filter(|d| **d < 0.0).count(),
        });
    }
    let corrected = holm(&rows.iter().map(|row| row.p).collect::<Vec<_>>());
    for (row, p) in rows.iter_mut().zip(corrected) {
        row.p_holm = p;
        row.significant = p < 0.05;
    }
    Ok(rows)
}

fn best(columns: &[&[f64]], higher: bool) -> Option<usize> {
    let mean = |column: &[f64]| column.iter().sum::<f64>() / column.len().max(1) as f64;
    let goodness = |j: &usize| if higher { mean(columns[*j]) } else { -mean(columns[*j]) };
    // The first of equals, so that the order of the models decides.
    (0..columns.len()).rev().max_by(|a, b| goodness(a).total_cmp(&goodness(b)))
}

fn position(runs: &[(&str, &Run)], given: &str) -> Result<usize, Error> {
    runs.iter().position(|(name, _)| *name == given).ok_or_else(|| {
        let closeness = |name: &&str| strsim::jaro_winkler(given, name);
        let nearest = runs.iter().map(|(name, _)| *name);
        let nearest = nearest.max_by(|a, b| closeness(a).total_cmp(&closeness(b)));
        Error::UnknownModel { given: given.into(), nearest: nearest.unwrap_or_default().into() }
    })
}

/// Sign flips behind a p, as long as the work stays small.
const FLIPS: usize = 9999;
/// Fewest sign flips, however many users there are.
const FEWEST_FLIPS: usize = 999;
/// Additions one test may cost.
const WORK: usize = 200_000_000;
/// Flips that share one random stream: fixed, so that threads do not matter.
const CHUNK: usize = 64;

/// Returns the two-sided p of the hypothesis that every difference could as well have had the other sign.
///
/// Exact up to sampling: `(1 + flips at least as extreme) / (1 + flips)`. Users without a difference say nothing.
fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    let differences: Vec<f64> = differences.iter().copied().filter(|d| d.abs() > 0.0).collect();
    if differences.is_empty() {
        return 1.0;
    }
    let flips = (WORK / differences.len()).clamp(FEWEST_FLIPS, FLIPS);
    let observed = differences.iter().sum::<f64>().abs();
    let slack = 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    let extreme: usize = (0..flips.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let mut rng = stream(seed, &format!("sign-flip/{chunk}"));
            let flips = CHUNK.min(flips - chunk * CHUNK);
            (0..flips).filter(|_| flipped_sum(&differences, &mut rng) >= observed - slack).count()
        })
        .sum();
    (1 + extreme) as f64 / (1 + flips) as f64
}

/// Returns the absolute sum of the differences under random signs.
fn flipped_sum(differences: &[f64], rng: &mut impl Rng) -> f64 {
    let mut sums = [0.0; 8];
    for block in differences.chunks(64) {
        let mut signs = rng.next_u64();
        for eight in block.chunks(8) {
            for (lane, x) in eight.iter().enumerate() {
                sums[lane] += f64::from_bits(x.to_bits() ^ ((signs >> lane) << 63));
            }
            signs >>= 8;
        }
    }
    sums.iter().sum::<f64>().abs()
}

/// Corrects p-values for their number (Holm 1979): the smallest times n, the next times n - 1, …, never falling.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![1.0; p.len()];
    let mut highest = 0.0f64;
    for (step, &j) in order.iter().enumerate() {
        highest = highest.max((p[j] * (p.len() - step) as f64).min(1.0));
        corrected[j] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn holm_by_hand() {
        // sorted .01 .02 .03 .04: times 4, 3, 2, 1 = .04 .06 .06 .04, never falling: .04 .06 .06 .06
        let corrected = holm(&[0.04, 0.01, 0.03, 0.02]);
        for (got, want) in corrected.iter().zip([0.06, 0.04, 0.06, 0.06]) {
            assert!((got - want).abs() < 1e-12, "{corrected:?}");
        }
        assert!(holm(&[0.9, 0.8]).iter().all(|p| *p <= 1.0));
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn quantiles_interpolate() {
        assert!((quantile(&[1.0, 2.0, 4.0], 0.75).unwrap() - 3.0).abs() < 1e-12);
        assert!(quantile(&[], 0.5).is_none());
    }

    #[test]
    fn three_equal_differences_are_extreme_in_a_quarter_of_all_flips() {
        // of the 8 sign patterns, +++ and --- are as extreme: p = 2/8
        let p = sign_flip(&[1.0, 1.0, 1.0, 0.0, 0.0], 7);
        assert!((p - 0.25).abs() < 0.02, "{p}");
        assert!((sign_flip(&[0.0; 9], 7) - 1.0).abs() < 1e-12);
        let clear: Vec<f64> = (0..200).map(|j| f64::from(j % 7) / 10.0).collect();
        assert!(sign_flip(&clear, 7) < 1e-3);
    }

    #[test]
    fn the_interval_of_many_coin_tosses_is_that_of_the_binomial() {
        let tosses: Vec<f64> = (0..2000).map(|j| f64::from(u8::from(j % 4 == 0))).collect();
        let stat = bootstrap(&[&tosses], 2000, 3)[0];
        let half = 1.96 * (0.25 * 0.75 / 2000f64).sqrt();
        assert!(
            (stat.high - 0.25 - half).abs() < 0.002 && (0.25 - stat.low - half).abs() < 0.002,
            "{stat:?}"
        );
    }

    #[test]
    fn leaving_out_groups_finds_the_error_of_a_mean() {
        // 20 groups of one: the jackknife of a mean is s / sqrt(n)
        let x: Vec<f64> = (0..20).map(|j| f64::from(j) / 20.0).collect();
        let mean = x.iter().sum::<f64>() / 20.0;
        let stat = jackknife(mean, 20, |out, _| (x.iter().sum::<f64>() - x[out]) / 19.0);
        let s = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 19.0).sqrt();
        assert!((stat.high - mean - 1.96 * s / 20f64.sqrt()).abs() < 1e-9);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn an_interval_contains_its_mean_and_repeats(x in prop::collection::vec(0.0..1.0f64, 1..60), seed in 0u64..9) {
            let stat = bootstrap(&[&x], 100, seed)[0];
            prop_assert!(stat.low <= stat.mean && stat.mean <= stat.high);
            prop_assert_eq!(stat, bootstrap(&[&x], 100, seed)[0]);
        }

        #[test]
        fn corrected_p_keep_their_order_and_never_shrink(p in prop::collection::vec(0.0..1.0f64, 1..12)) {
            let corrected = holm(&p);
            for (a, ca) in p.iter().zip(&corrected) {
                prop_assert!(ca >= a && *ca <= 1.0);
                prop_assert!(p.iter().zip(&corrected).all(|(b, cb)| a > b || ca <= cb));
            }
        }
    }
}
