//! Losses of positions against their target and `k` sampled negatives that all of them share, fused with the last
//! linear layer: a logit is `s = hidden · vector + shift`. With `s+` of the target and `s-` of the negatives:
//! softmax `-ln(e^s+ / (e^s+ + Σ e^s-))`, its shifts `-ln q` being the log-Q correction (Bengio & Senécal 2008);
//! BCE of `SASRec` (Kang & `McAuley` 2018); gBCE of gSASRec (Petrov & Macdonald 2023); BPR (Rendle et al. 2009); hinge.

use multiversion::{multiversion, target::target_cfg_f};

use super::lanes::{MASKED, Outcome, contrast, flush, map_sum, softplus, sum_of};
use crate::{Layout, axpy, dot, gemm};

/// What is made small, for one position. `m` counts its negatives that are not masked; a mean over none is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SampledLoss {
    /// `-ln(e^s+ / (e^s+ + Σ e^s-))`
    Softmax,
    /// `-ln σ(s+) - (1/m) Σ ln(1 - σ(s-))`: the loss of `SASRec`, which draws one negative, averaged over `m` draws.
    Bce,
    /// `-(β ln σ(s+) + Σ ln(1 - σ(s-))) / (m + 1)`
    GBce {
        /// Power of the target's probability, 1 for plain BCE; chosen by the sampling rate.
        beta: f32,
    },
    /// `-(1/m) Σ ln σ(s+ - s-)`
    Bpr,
    /// `(1/m) Σ max(0, margin - s+ + s-)`
    Hinge {
        /// How far the target should lie above a negative.
        margin: f32,
    },
}

/// One chunk of positions with what they are compared to.
#[derive(Clone, Copy, Debug)]
pub struct Sampled<'a> {
    /// What is made small.
    pub loss: SampledLoss,
    /// Vector of each position's target, `[positions, dim]`.
    pub targets: &'a [f32],
    /// Vectors of the negatives, `[k, dim]`.
    pub negatives: &'a [f32],
    /// Id of each position's target.
    pub target_ids: &'a [u32],
    /// Ids of the negatives. One equal to a position's target is a hit by accident: masked for that position.
    pub negative_ids: &'a [u32],
    /// Added to the logit of each position's target; empty for nothing.
    pub target_shift: &'a [f32],
    /// Added to the logit of each negative; empty for nothing.
    pub negative_shift: &'a [f32],
    /// Every position's loss and gradient is multiplied by this.
    pub weight: f32,
}

/// Where gradients go.
#[derive(Debug)]
pub struct SampledGradients<'a> {
    /// Of the hidden vectors, `[positions, dim]`: overwritten.
    pub hidden: &'a mut [f32],
    /// Of the targets, `[positions, dim]`: overwritten.
    pub targets: &'a mut [f32],
    /// Of the negatives, `[k, dim]`: added to what is there.
    pub negatives: &'a mut [f32],
}

/// Memory that a step needs; keep it from chunk to chunk.
#[derive(Clone, Debug, Default)]
pub struct SampledScratch {
    // [positions, k], first logits, then slopes
    logits: Vec<f32>,
    // [positions]
    target_slopes: Vec<f32>,
}

impl Sampled<'_> {
    /// Returns the sum of weighted losses of the rows `hidden: [positions, dim]` and computes all gradients.
    ///
    /// # Panics
    /// When a slice does not fill its shape.
    pub fn step(
        &self,
        hidden: &[f32],
        grads: SampledGradients<'_>,
        scratch: &mut SampledScratch,
    ) -> f64 {
        let (n, k) = (self.target_ids.len(), self.negative_ids.len());
        if n == 0 {
            return 0.0;
        }
        let dim = hidden.len() / n;
        self.check(hidden, &grads, dim);
        if k == 0 {
            grads.hidden.fill(0.0);
        }
        scratch.logits.clear();
        scratch.logits.resize(n * k, 0.0);
        scratch.target_slopes.clear();
        let logits = &mut scratch.logits;
        gemm(
            (n, k, dim),
            1.0,
            (hidden, Layout::Plain),
            (self.negatives, Layout::Transposed),
            0.0,
            logits,
        );
        let mut loss = 0.0;
        for (at, &id) in self.target_ids.iter().enumerate() {
            let place = at * dim..(at + 1) * dim;
            let target = dot(&hidden[place.clone()], &self.targets[place])
                + self.target_shift.get(at).copied().unwrap_or(0.0);
            let outcome = row_step(self, id, target, &mut logits[at * k..(at + 1) * k]);
            loss += outcome.loss;
            scratch.target_slopes.push(outcome.slope);
        }
        if k > 0 {
            let (plain, turned) = (Layout::Plain, Layout::Transposed);
            gemm((n, dim, k), 1.0, (logits, plain), (self.negatives, plain), 0.0, grads.hidden);
            gemm((k, dim, n), 1.0, (logits, turned), (hidden, plain), 1.0, grads.negatives);
        }
        for (at, &slope) in scratch.target_slopes.iter().enumerate() {
            let place = at * dim..(at + 1) * dim;
            axpy(slope, &self.targets[place.clone()], &mut grads.hidden[place.clone()]);
            for (to, x) in grads.targets[place.clone()].iter_mut().zip(&hidden[place]) {
                *to = slope * x;
            }
        }
        loss
    }

    fn check(&self, hidden: &[f32], grads: &SampledGradients<'_>, dim: usize) {
        let (n, k) = (self.target_ids.len(), self.negative_ids.len());
        assert!(
            hidden.len() == n * dim && self.targets.len() == n * dim,
            "every position has a hidden vector and a target"
        );
        assert_eq!(self.negatives.len(), k * dim, "every negative has a vector of the same width");
        assert!(
            grads.hidden.len() == n * dim
                && grads.targets.len() == n * dim
                && grads.negatives.len() == k * dim,
            "gradients have the shapes of their vectors"
        );
        let fits = |shift: &[f32], count| shift.is_empty() || shift.len() == count;
        assert!(
            fits(self.target_shift, n) && fits(self.negative_shift, k),
            "there is a shift for every logit or for none"
        );
    }
}

/// Turns the logits of one position's negatives into slopes.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn row_step(task: &Sampled<'_>, target_id: u32, target: f32, row: &mut [f32]) -> Outcome {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    for (x, shift) in row.iter_mut().zip(task.negative_shift) {
        *x += shift;
    }
    let mut masked = 0u32;
    for (x, &id) in row.iter_mut().zip(task.negative_ids) {
        let hit = id == target_id;
        *x = if hit { MASKED } else { *x };
        masked += u32::from(hit);
    }
    let open = (row.len() as u32 - masked) as f32;
    let mean = 1.0 / open.max(1.0);
    let weight = task.weight;
    match task.loss {
        SampledLoss::Softmax => contrast(fused, target, row, weight),
        SampledLoss::Bce => binary(fused, target, row, (weight, weight * mean)),
        SampledLoss::GBce { beta } => {
            let share = weight / (open + 1.0);
            binary(fused, target, row, (beta * share, share))
        }
        SampledLoss::Bpr => {
            let weight = weight * mean;
            let sum = map_sum(row, |x| {
                let miss = softplus(fused, x - target);
                (flush(weight * miss.up), miss.value)
            });
            Outcome { loss: f64::from(weight) * f64::from(sum), slope: -sum_of(row) }
        }
        SampledLoss::Hinge { margin } => {
            let weight = weight * mean;
            let sum = map_sum(row, |x| {
                let gap = margin + (x - target);
                if gap > 0.0 { (weight, gap) } else { (0.0, 0.0) }
            });
            Outcome { loss: f64::from(weight) * f64::from(sum), slope: -sum_of(row) }
        }
    }
}

/// `-up ln σ(target) - down Σ ln(1 - σ(x))`; the row becomes its slopes.
#[inline(always)]
fn binary(fused: bool, target: f32, row: &mut [f32], (up, down): (f32, f32)) -> Outcome {
    let miss = softplus(fused, -target);
    let sum = map_sum(row, |x| {
        let miss = softplus(fused, x);
        (flush(down * miss.up), miss.value)
    });
    let loss = f64::from(up) * f64::from(miss.value) + f64::from(down) * f64::from(sum);
    Outcome { loss, slope: -up * miss.up }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check;
    use super::*;

    const LOSSES: [SampledLoss; 5] = [
        SampledLoss::Softmax,
        SampledLoss::Bce,
        SampledLoss::GBce { beta: 0.3 },
        SampledLoss::Bpr,
        SampledLoss::Hinge { margin: 0.5 },
    ];

    /// All inputs of a step, owned.
    #[derive(Clone, Debug)]
    struct Case {
        loss: SampledLoss,
        hidden: Vec<f32>,
        targets: Vec<f32>,
        negatives: Vec<f32>,
        target_ids: Vec<u32>,
        negative_ids: Vec<u32>,
        target_shift: Vec<f32>,
        negative_shift: Vec<f32>,
        weight: f32,
    }

    struct Got {
        loss: f64,
        hidden: Vec<f32>,
        targets: Vec<f32>,
        negatives: Vec<f32>,
    }

    impl Case {
        fn scattered(loss: SampledLoss, (n, k, dim): (usize, usize, usize), seed: u32) -> Self {
            let ids = |count, seed| -> Vec<u32> {
                check::scattered(count, seed).iter().map(|x| (x.abs() * 6.0) as u32).collect()
            };
            Self {
                loss,
                hidden: check::scattered(n * dim, seed),
                targets: check::scattered(n * dim, seed + 1),
                negatives: check::scattered(k * dim, seed + 2),
                target_ids: ids(n, seed + 3),
                negative_ids: ids(k, seed + 4),
                target_shift: check::scattered(
                    if seed.is_multiple_of(2) { n } else { 0 },
                    seed + 5,
                ),
                negative_shift: check::scattered(
                    if seed.is_multiple_of(3) { k } else { 0 },
                    seed + 6,
                ),
                weight: 0.7,
            }
        }

        /// One position and dimension, so that vectors are logits.
        fn logits(loss: SampledLoss, target: f32, negatives: &[f32]) -> Self {
            Self {
                loss,
                hidden: vec![1.0],
                targets: vec![target],
                negatives: negatives.to_vec(),
                target_ids: vec![0],
                negative_ids: (1..).take(negatives.len()).collect(),
                target_shift: Vec::new(),
                negative_shift: Vec::new(),
                weight: 1.0,
            }
        }

        fn step(&self) -> Got {
            let mut got = Got {
                loss: 0.0,
                hidden: vec![f32::NAN; self.hidden.len()],
                targets: vec![f32::NAN; self.targets.len()],
                negatives: vec![10.0; self.negatives.len()],
            };
            let task = Sampled {
                loss: self.loss,
                targets: &self.targets,
                negatives: &self.negatives,
                target_ids: &self.target_ids,
                negative_ids: &self.negative_ids,
                target_shift: &self.target_shift,
                negative_shift: &self.negative_shift,
                weight: self.weight,
            };
            let grads = SampledGradients {
                hidden: &mut got.hidden,
                targets: &mut got.targets,
                negatives: &mut got.negatives,
            };
            let mut scratch =
                SampledScratch { logits: vec![f32::NAN; 3], target_slopes: vec![f32::NAN; 9] };
            got.loss = task.step(&self.hidden, grads, &mut scratch);
            for x in &mut got.negatives {
                *x -= 10.0;
            }
            got
        }

        fn naive(&self, hidden: &[f64], targets: &[f64], negatives: &[f64]) -> f64 {
            let n = self.target_ids.len();
            let dim = hidden.len() / n;
            let shift =
                |shifts: &[f32], at: usize| shifts.get(at).map_or(0.0, |shift| f64::from(*shift));
            let one = |at: usize| {
                let h = &hidden[at * dim..][..dim];
                let s = check::dot(h, &targets[at * dim..][..dim]) + shift(&self.target_shift, at);
                let others: Vec<f64> = (0..self.negative_ids.len())
                    .filter(|j| self.negative_ids[*j] != self.target_ids[at])
                    .map(|j| {
                        check::dot(h, &negatives[j * dim..][..dim]) + shift(&self.negative_shift, j)
                    })
                    .collect();
                let m = others.len() as f64;
                let sum = |f: &dyn Fn(f64) -> f64| others.iter().map(|x| f(*x)).sum::<f64>();
                match self.loss {
                    SampledLoss::Softmax => check::log_sum_exp(&[&others[..], &[s]].concat()) - s,
                    SampledLoss::Bce => check::softplus(-s) + sum(&check::softplus) / m.max(1.0),
                    SampledLoss::GBce { beta } => {
                        (f64::from(beta) * check::softplus(-s) + sum(&check::softplus)) / (m + 1.0)
                    }
                    SampledLoss::Bpr => sum(&|x| check::softplus(x - s)) / m.max(1.0),
                    SampledLoss::Hinge { margin } => {
                        sum(&|x| (f64::from(margin) - s + x).max(0.0)) / m.max(1.0)
                    }
                }
            };
            f64::from(self.weight) * (0..n).map(one).sum::<f64>()
        }

        fn assert_equals_the_naive_version(&self, with_gradients: bool) {
            let got = self.step();
            let [h, t, g] = [&self.hidden, &self.targets, &self.negatives].map(|x| check::widen(x));
            check::assert_loss(got.loss, self.naive(&h, &t, &g));
            if with_gradients {
                let want = check::numeric_gradient(|h| self.naive(h, &t, &g), &self.hidden);
                check::assert_near(&got.hidden, &want);
                let want = check::numeric_gradient(|t| self.naive(&h, t, &g), &self.targets);
                check::assert_near(&got.targets, &want);
                let want = check::numeric_gradient(|g| self.naive(&h, &t, g), &self.negatives);
                check::assert_near(&got.negatives, &want);
            }
        }
    }

    #[test]
    fn three_logits_by_hand() {
        let (target, negatives) = (3f32.ln(), [0.0, 3f32.ln()]);
        let run = |loss| Case::logits(loss, target, &negatives).step();
        // Softmax of 3 : 1 : 3. The loss is ln(7/3), slopes are 3/7 - 1, 1/7 and 3/7, and the hidden value's is
        // their sum weighted by the logits: ln 3 (-4/7 + 3/7).
        let got = run(SampledLoss::Softmax);
        check::assert_loss(got.loss, (7f64 / 3.0).ln());
        check::assert_near(&got.targets, &[-4.0 / 7.0]);
        check::assert_near(&got.negatives, &[1.0 / 7.0, 3.0 / 7.0]);
        check::assert_near(&got.hidden, &[-(3f64.ln()) / 7.0]);
        // sigmoid(ln 3) = 3/4 and sigmoid(0) = 1/2: ln(4/3) + (ln 2 + ln 4) / 2.
        let got = run(SampledLoss::Bce);
        check::assert_loss(got.loss, (4f64 / 3.0).ln() + 8f64.ln() / 2.0);
        check::assert_near(&got.targets, &[-0.25]);
        check::assert_near(&got.negatives, &[0.25, 0.375]);
        // The same parts: (ln(4/3) / 2 + ln 2 + ln 4) / 3.
        let got = run(SampledLoss::GBce { beta: 0.5 });
        check::assert_loss(got.loss, ((4f64 / 3.0).ln() / 2.0 + 8f64.ln()) / 3.0);
        check::assert_near(&got.targets, &[-0.125 / 3.0]);
        check::assert_near(&got.negatives, &[0.5 / 3.0, 0.25]);
        // Differences ln 3 and 0: (ln(4/3) + ln 2) / 2, slopes (1 - 3/4) / 2 and (1 - 1/2) / 2.
        let got = run(SampledLoss::Bpr);
        check::assert_loss(got.loss, (8f64 / 3.0).ln() / 2.0);
        check::assert_near(&got.targets, &[-0.375]);
        check::assert_near(&got.negatives, &[0.125, 0.25]);
        // With a margin of 1 the first negative is 0.0986 too far to count: (0 + 1) / 2.
        let got = run(SampledLoss::Hinge { margin: 1.0 });
        check::assert_loss(got.loss, 0.5);
        check::assert_near(&got.targets, &[-0.5]);
        check::assert_near(&got.negatives, &[0.0, 0.5]);
    }

    #[test]
    fn a_position_whose_negatives_are_all_hits_keeps_only_its_target() {
        for loss in LOSSES {
            let mut case = Case::logits(loss, 0.0, &[5.0, -2.0]);
            case.negative_ids = vec![0, 0];
            let got = case.step();
            // -ln sigmoid(0) = ln 2; gBCE divides by the one logit that is left.
            let want = match loss {
                SampledLoss::Bce => 2f64.ln(),
                SampledLoss::GBce { .. } => 0.3 * 2f64.ln(),
                _ => 0.0,
            };
            check::assert_loss(got.loss, want);
            check::assert_near(&got.negatives, &[0.0, 0.0]);
            assert!(got.hidden[0].is_finite() && got.targets[0].is_finite());
        }
    }

    #[test]
    fn no_positions_or_no_negatives_are_no_trouble() {
        for loss in LOSSES {
            let none = Case::scattered(loss, (0, 4, 0), 1).step();
            assert!(none.loss.abs() < 1e-9);
            Case::scattered(loss, (3, 0, 2), 1).assert_equals_the_naive_version(true);
        }
    }

    #[test]
    fn huge_logits_give_finite_numbers() {
        for loss in LOSSES {
            for (target, negatives) in [(1e4, [-1e4, 1e4]), (-1e4, [1e4, 0.0]), (1e4, [-1e4, 0.0])]
            {
                let case = Case::logits(loss, target, &negatives);
                let got = case.step();
                let [h, t, g] =
                    [&case.hidden, &case.targets, &case.negatives].map(|x| check::widen(x));
                check::assert_loss(got.loss, case.naive(&h, &t, &g));
                let all = [&got.hidden[..], &got.targets, &got.negatives].concat();
                assert!(all.iter().all(|x| x.is_finite()), "{loss:?}: {all:?}");
            }
        }
    }

    #[test]
    fn a_broken_hidden_vector_shows_in_the_gradient() {
        for loss in LOSSES {
            let mut case = Case::scattered(loss, (2, 3, 4), 8);
            case.hidden[1] = f32::NAN;
            assert!(case.step().targets.iter().any(|x| x.is_nan()), "{loss:?}");
        }
    }

    #[test]
    fn every_loss_equals_the_naive_version_with_gradients() {
        for loss in LOSSES {
            for (seed, shape) in [(6, (5, 37, 4)), (12, (1, 1, 1)), (1, (3, 16, 19))] {
                Case::scattered(loss, shape, seed).assert_equals_the_naive_version(true);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_shape_equals_the_naive_version(
            (n, k, dim) in (1usize..6, 1usize..40, 1usize..9), loss in 0usize..5, seed in 0u32..1000,
        ) {
            // The hinge has kinks, where a difference is no slope.
            let smooth = !matches!(LOSSES[loss], SampledLoss::Hinge { .. });
            Case::scattered(LOSSES[loss], (n, k, dim), seed).assert_equals_the_naive_version(smooth);
        }
    }
}
