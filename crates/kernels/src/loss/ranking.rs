//! Losses of the scores `s` of one list with grades `y`. Pairs with `y_i > y_j`: `RankNet` `ln(1 + e^(s_j - s_i))`
//! (Burges et al. 2005); times what swapping the two would change of NDCG: `LambdaRank` (Burges et al. 2006).
//! Lists: `ListNet` `-Σ softmax(y)_i ln softmax(s)_i` (Cao et al. 2007), `ApproxNDCG` `1 - NDCG` of the smooth ranks
//! `1 + Σ σ((s_j - s_i) / T)` (Qin et al. 2010). NDCG has gains `2^y - 1` and discounts `1 / log2(1 + rank)`.

use multiversion::{multiversion, target::target_cfg_f};

use super::lanes::{flush, max_of, softplus, sum_of};
use crate::exp::exp_lane;

/// What is made small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RankingLoss {
    /// The mean of `ln(1 + e^(s_j - s_i))` over pairs with `y_i > y_j`; zero without a pair.
    RankNet,
    /// The sum of `RankNet`'s pairs, each times `|ΔNDCG|` of a swap in the present ranking, which counts as constant.
    LambdaRank,
    /// `-Σ softmax(y)_i ln softmax(s)_i`
    ListNet,
    /// `1 - NDCG` of smooth ranks; zero without a positive grade.
    ApproxNdcg {
        /// Width of the step from one rank to the next; small is close to true ranks, large is easy to climb.
        temperature: f32,
    },
}

/// A list of documents or items with grades.
#[derive(Clone, Copy, Debug)]
pub struct GradedList<'a> {
    /// What is made small.
    pub loss: RankingLoss,
    /// How good each item is, higher is better; where NDCG takes part not below zero.
    pub grades: &'a [f32],
    /// The loss and its gradient are multiplied by this.
    pub weight: f32,
}

/// Memory that a step needs; keep it from list to list.
#[derive(Clone, Debug, Default)]
pub struct RankingScratch {
    // one value per item each
    order: Vec<u32>,
    gains: Vec<f32>,
    discounts: Vec<f32>,
    // of one item against all
    terms: Vec<f32>,
    pulls: Vec<f32>,
}

impl GradedList<'_> {
    /// Returns the weighted loss of `scores` and overwrites `slopes` with its gradient. Time grows with the square of
    /// the list's length, except for [`RankingLoss::ListNet`].
    ///
    /// # Panics
    /// When scores, slopes and grades differ in number.
    pub fn step(&self, scores: &[f32], slopes: &mut [f32], scratch: &mut RankingScratch) -> f64 {
        assert!(
            scores.len() == self.grades.len() && slopes.len() == scores.len(),
            "every item has a score, a grade and a slope"
        );
        slopes.fill(0.0);
        scratch.resize(scores.len());
        let (loss, scale) = match self.loss {
            RankingLoss::ListNet => (list_net(scores, self.grades, slopes), 1.0),
            RankingLoss::RankNet => {
                let Pairs { loss, count } = rank_net(scores, self.grades, slopes, scratch);
                (loss, 1.0 / count.max(1.0))
            }
            RankingLoss::LambdaRank => {
                let ideal = scratch.ideal_dcg(self.grades);
                scratch.rank(scores);
                (lambda_rank(scores, self.grades, slopes, scratch), inverse(ideal))
            }
            RankingLoss::ApproxNdcg { temperature } => {
                let ideal = scratch.ideal_dcg(self.grades);
                (approx_dcg(scores, temperature, slopes, scratch), inverse(ideal))
            }
        };
        let scale = self.weight * scale;
        for slope in slopes {
            *slope = flush(scale * *slope);
        }
        let loss = f64::from(scale) * loss;
        // A list without gains has no NDCG to improve.
        let smooth = matches!(self.loss, RankingLoss::ApproxNdcg { .. });
        if smooth && scale.abs() > 0.0 { f64::from(self.weight) - loss } else { loss }
    }
}

/// Returns `1 / x`, or zero when there is nothing to divide by.
fn inverse(x: f32) -> f32 {
    if x > 0.0 { 1.0 / x } else { 0.0 }
}

impl RankingScratch {
    fn resize(&mut self, n: usize) {
        for values in [&mut self.gains, &mut self.discounts, &mut self.terms, &mut self.pulls] {
            values.clear();
            values.resize(n, 0.0);
        }
    }

    /// Writes the discount of every item's rank by falling `keys`, ties by position.
    fn rank(&mut self, keys: &[f32]) {
        self.order.clear();
        self.order.extend(0..keys.len() as u32);
        let key = |at: u32| keys[at as usize];
        self.order.sort_unstable_by(|a, b| key(*b).total_cmp(&key(*a)).then(a.cmp(b)));
        for (rank, &item) in self.order.iter().enumerate() {
            self.discounts[item as usize] = 1.0 / (rank as f32 + 2.0).log2();
        }
    }

    /// Writes gains and returns their greatest discounted sum.
    fn ideal_dcg(&mut self, grades: &[f32]) -> f32 {
        self.rank(grades);
        for (gain, grade) in self.gains.iter_mut().zip(grades) {
            *gain = grade.exp2() - 1.0;
        }
        self.gains.iter().zip(&self.discounts).map(|(gain, discount)| gain * discount).sum()
    }
}

/// Moves item `i` up and all others down by their pulls.
#[inline(always)]
fn pull(i: usize, pulls: &[f32], slopes: &mut [f32]) {
    for (slope, pull) in slopes.iter_mut().zip(pulls) {
        *slope += pull;
    }
    slopes[i] -= sum_of(pulls);
}

struct Pairs {
    loss: f64,
    count: f32,
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn rank_net(s: &[f32], y: &[f32], slopes: &mut [f32], scratch: &mut RankingScratch) -> Pairs {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let RankingScratch { terms, pulls, .. } = scratch;
    let mut pairs = Pairs { loss: 0.0, count: 0.0 };
    for i in 0..s.len() {
        let mut count = 0u32;
        let others = s.iter().zip(y).zip(terms.iter_mut().zip(pulls.iter_mut()));
        for ((s_j, y_j), (term, pull)) in others {
            let better = y[i] > *y_j;
            let miss = softplus(fused, s_j - s[i]);
            *term = if better { miss.value } else { 0.0 };
            *pull = if better { miss.up } else { 0.0 };
            count += u32::from(better);
        }
        pairs.loss += f64::from(sum_of(terms));
        pairs.count += count as f32;
        pull(i, pulls, slopes);
    }
    pairs
}

/// Returns the loss before division by the ideal DCG.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn lambda_rank(s: &[f32], y: &[f32], slopes: &mut [f32], scratch: &mut RankingScratch) -> f64 {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let RankingScratch { gains, discounts, terms, pulls, .. } = scratch;
    let mut loss = 0.0;
    for i in 0..s.len() {
        let places = gains.iter().zip(&*discounts);
        let others = s.iter().zip(y).zip(places).zip(terms.iter_mut().zip(pulls.iter_mut()));
        for (((s_j, y_j), (gain, discount)), (term, pull)) in others {
            let change = (gains[i] - gain) * (discounts[i] - discount).abs();
            let change = if y[i] > *y_j { change } else { 0.0 };
            let miss = softplus(fused, s_j - s[i]);
            *term = change * miss.value;
            *pull = change * miss.up;
        }
        loss += f64::from(sum_of(terms));
        pull(i, pulls, slopes);
    }
    loss
}

/// Returns the DCG of smooth ranks; slopes are those of its negative.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn approx_dcg(
    s: &[f32],
    temperature: f32,
    slopes: &mut [f32],
    scratch: &mut RankingScratch,
) -> f64 {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let RankingScratch { gains, terms, pulls, .. } = scratch;
    let sharpness = 1.0 / temperature;
    let mut dcg = 0.0;
    for (i, gain) in gains.iter().enumerate() {
        for ((s_j, term), pull) in s.iter().zip(terms.iter_mut()).zip(pulls.iter_mut()) {
            let above = softplus(fused, sharpness * (s_j - s[i]));
            *term = above.up;
            *pull = above.up * above.down;
        }
        // The item itself is half above itself, so that its rank is this and a half; one more goes into the logarithm.
        let place = 1.5 + sum_of(terms);
        let log = place.ln();
        dcg += f64::from(gain * std::f32::consts::LN_2 / log);
        let steepness = gain * std::f32::consts::LN_2 / (place * log * log) * sharpness;
        for pull in &mut *pulls {
            *pull *= steepness;
        }
        pull(i, pulls, slopes);
    }
    dcg
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn list_net(s: &[f32], y: &[f32], slopes: &mut [f32]) -> f64 {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let (max_s, max_y) = (max_of(s), max_of(y));
    // slopes hold shares of the grades, then of the scores
    for (slope, y) in slopes.iter_mut().zip(y) {
        *slope = exp_lane(fused, y - max_y);
    }
    let grades = sum_of(slopes);
    let mut expected = 0.0;
    for (slope, s) in slopes.iter_mut().zip(s) {
        expected += f64::from(*slope) * f64::from(max_s - s);
        *slope = exp_lane(fused, s - max_s);
    }
    let scores = sum_of(slopes);
    let (to_score, to_grade) = (1.0 / scores, 1.0 / grades);
    for (slope, y) in slopes.iter_mut().zip(y) {
        *slope = *slope * to_score - exp_lane(fused, y - max_y) * to_grade;
    }
    // An empty list has no shares.
    if s.is_empty() { 0.0 } else { expected / f64::from(grades) + f64::from(scores).ln() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check;
    use super::*;

    const LOSSES: [RankingLoss; 4] = [
        RankingLoss::RankNet,
        RankingLoss::LambdaRank,
        RankingLoss::ListNet,
        RankingLoss::ApproxNdcg { temperature: 0.5 },
    ];

    fn run(loss: RankingLoss, grades: &[f32], scores: &[f32], weight: f32) -> (f64, Vec<f32>) {
        let mut slopes = vec![f32::NAN; scores.len()];
        let list = GradedList { loss, grades, weight };
        (list.step(scores, &mut slopes, &mut RankingScratch::default()), slopes)
    }

    fn discounts(keys: &[f64]) -> Vec<f64> {
        let rank = |i: usize| {
            let ahead = |j: &usize| keys[*j] > keys[i] || (keys[*j] >= keys[i] && *j < i);
            (0..keys.len()).filter(ahead).count() as f64 + 1.0
        };
        (0..keys.len()).map(|i| 1.0 / (1.0 + rank(i)).log2()).collect()
    }

    /// The loss of scores `s` where `LambdaRank` takes its ranks from `present`.
    fn naive(loss: RankingLoss, y: &[f64], present: &[f64], s: &[f64]) -> f64 {
        let n = y.len();
        let gains: Vec<f64> = y.iter().map(|y| y.exp2() - 1.0).collect();
        let ideal = check::dot(&gains, &discounts(y));
        let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| y[*i] > y[*j]);
        let costs = pairs.clone().map(|(i, j)| check::softplus(s[j] - s[i]));
        match loss {
            RankingLoss::RankNet => costs.sum::<f64>() / (pairs.count().max(1) as f64),
            RankingLoss::LambdaRank => {
                let d = discounts(present);
                let changes = pairs.map(|(i, j)| (gains[i] - gains[j]) * (d[i] - d[j]).abs());
                let sum: f64 = changes.zip(costs).map(|(change, cost)| change * cost).sum();
                if ideal > 0.0 { sum / ideal } else { 0.0 }
            }
            RankingLoss::ListNet => {
                let (all_y, all_s) = (check::log_sum_exp(y), check::log_sum_exp(s));
                y.iter().zip(s).map(|(y, s)| (y - all_y).exp() * (all_s - s)).sum()
            }
            RankingLoss::ApproxNdcg { temperature } => {
                let sigmoid = |x: f64| (-check::softplus(-x)).exp();
                let above = |i: usize, j: usize| sigmoid((s[j] - s[i]) / f64::from(temperature));
                let rank = |i| 1.0 + (0..n).filter(|j| *j != i).map(|j| above(i, j)).sum::<f64>();
                let dcg: f64 = (0..n).map(|i| gains[i] / (1.0 + rank(i)).log2()).sum();
                if ideal > 0.0 { 1.0 - dcg / ideal } else { 0.0 }
            }
        }
    }

    #[test]
    fn two_items_by_hand() {
        // The better item is behind by ln 3: ln(1 + 3) = ln 4 with slope sigmoid(ln 3) = 3/4.
        let (grades, scores) = ([1.0, 0.0], [0.0, 3f32.ln()]);
        let (loss, slopes) = run(RankingLoss::RankNet, &grades, &scores, 1.0);
        check::assert_loss(loss, 4f64.ln());
        check::assert_near(&slopes, &[-0.75, 0.75]);
        // A swap takes the gain of 1 from rank 2 to rank 1, and the ideal is 1: 1 - 1 / log2 3 times as much.
        let change = 1.0 - 1.0 / 3f64.log2();
        let (loss, slopes) = run(RankingLoss::LambdaRank, &grades, &scores, 1.0);
        check::assert_loss(loss, change * 4f64.ln());
        check::assert_near(&slopes, &[-0.75 * change, 0.75 * change]);
        // Shares of the grades e : 1, of the scores 1 : 3.
        let e = std::f64::consts::E;
        let (loss, slopes) = run(RankingLoss::ListNet, &grades, &scores, 1.0);
        check::assert_loss(loss, (e * 4f64.ln() + (4f64 / 3.0).ln()) / (e + 1.0));
        check::assert_near(&slopes, &[0.25 - e / (e + 1.0), 0.75 - 1.0 / (e + 1.0)]);
        // The smooth rank of the better item is 1 + 3/4, and the ideal is 1.
        let approximate = RankingLoss::ApproxNdcg { temperature: 1.0 };
        let (loss, slopes) = run(approximate, &grades, &scores, 1.0);
        check::assert_loss(loss, 1.0 - 1.0 / 2.75f64.log2());
        // d rank / d s = 3/4 · 1/4, d (-1 / log2 p) / d p = ln 2 / (p ln² p) at p = 2.75.
        let slope = 3.0 / 16.0 * 2f64.ln() / (2.75 * 2.75f64.ln().powi(2));
        check::assert_near(&slopes, &[-slope, slope]);
    }

    #[test]
    fn nothing_to_order_is_no_trouble() {
        for loss in LOSSES {
            assert!(run(loss, &[], &[], 1.0).0.abs() < 1e-9);
            let (one, slopes) = run(loss, &[1.0], &[3.0], 1.0);
            assert!(one.abs() < 1e-6 && slopes[0].abs() < 1e-6, "{loss:?}: {one} {slopes:?}");
            let (none, slopes) = run(loss, &[0.0, 0.0], &[0.5, 0.5], 1.0);
            let want = if loss == RankingLoss::ListNet { 2f64.ln() } else { 0.0 };
            check::assert_loss(none, want);
            check::assert_near(&slopes, &[0.0, 0.0]);
        }
    }

    #[test]
    fn huge_scores_give_finite_numbers() {
        let (grades, scores) = ([0.0, 2.0, 1.0], [1e4, -1e4, 0.0]);
        for loss in LOSSES {
            let (got, slopes) = run(loss, &grades, &scores, 1.0);
            let wide = check::widen(&scores);
            check::assert_loss(got, naive(loss, &check::widen(&grades), &wide, &wide));
            assert!(slopes.iter().all(|x| x.is_finite()), "{loss:?}: {slopes:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_shows() {
        for loss in LOSSES {
            let (got, slopes) = run(loss, &[1.0, 0.0], &[f32::NAN, 0.0], 1.0);
            assert!(
                got.is_nan() || slopes.iter().any(|x| x.is_nan()),
                "{loss:?}: {got} {slopes:?}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_list_equals_the_naive_version(n in 1usize..40, seed in 0u32..1000, loss in 0usize..4) {
            let loss = LOSSES[loss];
            let scores: Vec<f32> = check::scattered(n, seed).iter().map(|x| x * 3.0).collect();
            let grades: Vec<f32> =
                check::scattered(n, seed + 1).iter().map(|x| (x.abs() * 4.0).floor()).collect();
            let (got, slopes) = run(loss, &grades, &scores, 0.5);
            let (y, s) = (check::widen(&grades), check::widen(&scores));
            check::assert_loss(got, 0.5 * naive(loss, &y, &s, &s));
            let want = check::numeric_gradient(|x| 0.5 * naive(loss, &y, &s, x), &scores);
            check::assert_near(&slopes, &want);
        }

        #[test]
        fn slopes_add_up_to_nothing(n in 1usize..40, seed in 0u32..1000, loss in 0usize..4) {
            let grades: Vec<f32> = check::scattered(n, seed).iter().map(|x| x.abs()).collect();
            let (_, slopes) = run(LOSSES[loss], &grades, &check::scattered(n, seed + 1), 1.0);
            prop_assert!(slopes.iter().sum::<f32>().abs() < 1e-5);
        }
    }
}
