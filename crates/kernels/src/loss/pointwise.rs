//! Losses of scores that stand alone: squared error `(s - y)²`, binary cross-entropy of a logit
//! `-y ln σ(s) - (1 - y) ln(1 - σ(s))` with labels in [0, 1], and multi-class cross-entropy `-ln softmax(s)_label`.

use multiversion::{multiversion, target::target_cfg_f};

use super::lanes::{MASKED, Outcome, contrast, flush, softplus, sum_of};

/// What is made small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointwiseLoss {
    /// `(s - y)²`
    Squared,
    /// `-y ln σ(s) - (1 - y) ln(1 - σ(s))`
    Logistic,
}

/// What scores should have been.
#[derive(Clone, Copy, Debug)]
pub struct Pointwise<'a> {
    /// What is made small.
    pub loss: PointwiseLoss,
    /// A label for each score, between 0 and 1 for [`PointwiseLoss::Logistic`].
    pub labels: &'a [f32],
    /// Weights of the single examples; empty when all are 1.
    pub example_weights: &'a [f32],
    /// Every example's loss and slope is multiplied by this, too.
    pub weight: f32,
}

/// Scores summed in f32 before going on in f64.
const BLOCK: usize = 256;

impl Pointwise<'_> {
    /// Returns the sum of weighted losses of `scores` and overwrites `slopes` with its gradient.
    ///
    /// # Panics
    /// When scores, slopes, labels or weights differ in number.
    pub fn step(&self, scores: &[f32], slopes: &mut [f32]) -> f64 {
        assert!(
            scores.len() == slopes.len() && scores.len() == self.labels.len(),
            "every score has a label and a slope"
        );
        assert!(
            self.example_weights.is_empty() || self.example_weights.len() == scores.len(),
            "there is a weight for every example or for none"
        );
        slopes.copy_from_slice(scores);
        let ones = [1.0; BLOCK];
        let mut loss = 0.0;
        let blocks = slopes.chunks_mut(BLOCK).zip(self.labels.chunks(BLOCK));
        for (at, (block, labels)) in blocks.enumerate() {
            let weights = if self.example_weights.is_empty() {
                &ones[..block.len()]
            } else {
                &self.example_weights[at * BLOCK..][..block.len()]
            };
            loss += f64::from(match self.loss {
                PointwiseLoss::Squared => squared(block, labels, weights, self.weight),
                PointwiseLoss::Logistic => logistic(block, labels, weights, self.weight),
            });
        }
        f64::from(self.weight) * loss
    }
}

/// Returns the losses of at most `BLOCK` scores before `scale`, and turns the scores into slopes.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn squared(scores: &mut [f32], labels: &[f32], weights: &[f32], scale: f32) -> f32 {
    let mut losses = [0.0f32; BLOCK];
    let given = scores.iter_mut().zip(labels).zip(weights);
    for (((x, y), w), loss) in given.zip(&mut losses) {
        let error = *x - y;
        *loss = w * error * error;
        *x = flush(2.0 * scale * w * error);
    }
    sum_of(&losses)
}

/// As [`squared`], for logits.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn logistic(scores: &mut [f32], labels: &[f32], weights: &[f32], scale: f32) -> f32 {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let mut losses = [0.0f32; BLOCK];
    let given = scores.iter_mut().zip(labels).zip(weights);
    for (((x, y), w), loss) in given.zip(&mut losses) {
        let (up, down) = (softplus(fused, *x), softplus(fused, -*x));
        *loss = w * ((1.0 - y) * up.value + y * down.value);
        *x = flush(scale * w * ((1.0 - y) * up.up - y * up.down));
    }
    sum_of(&losses)
}

/// Labels of rows of logits, one per class.
#[derive(Clone, Copy, Debug)]
pub struct Multiclass<'a> {
    /// The right class of each row.
    pub labels: &'a [u32],
    /// Number of classes.
    pub classes: usize,
    /// Every row's loss and slopes are multiplied by this.
    pub weight: f32,
}

impl Multiclass<'_> {
    /// Returns the sum of weighted losses of `logits: [rows, classes]` and overwrites `slopes` with its gradient.
    ///
    /// # Panics
    /// When logits or slopes do not fill their shape, or a label names no class.
    pub fn step(&self, logits: &[f32], slopes: &mut [f32]) -> f64 {
        assert!(
            logits.len() == self.labels.len() * self.classes && slopes.len() == logits.len(),
            "every row has a label, and every logit a slope"
        );
        if logits.is_empty() {
            return 0.0;
        }
        slopes.copy_from_slice(logits);
        classify(slopes, self)
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn classify(logits: &mut [f32], task: &Multiclass<'_>) -> f64 {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let mut sum = 0.0;
    for (row, &label) in logits.chunks_exact_mut(task.classes).zip(task.labels) {
        let right = std::mem::replace(&mut row[label as usize], MASKED);
        let Outcome { loss, slope } = contrast(fused, right, row, task.weight);
        row[label as usize] = slope;
        sum += loss;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check;
    use super::*;

    fn naive(task: &Pointwise<'_>, scores: &[f64]) -> f64 {
        let one = |(i, x): (usize, &f64)| {
            let y = f64::from(task.labels[i]);
            let w = task.example_weights.get(i).map_or(1.0, |w| f64::from(*w));
            w * match task.loss {
                PointwiseLoss::Squared => (x - y).powi(2),
                PointwiseLoss::Logistic => {
                    y * check::softplus(-x) + (1.0 - y) * check::softplus(*x)
                }
            }
        };
        f64::from(task.weight) * scores.iter().enumerate().map(one).sum::<f64>()
    }

    fn naive_classes(task: &Multiclass<'_>, logits: &[f64]) -> f64 {
        let rows = logits.chunks_exact(task.classes).zip(task.labels);
        let one = |(row, label): (&[f64], &u32)| check::log_sum_exp(row) - row[*label as usize];
        f64::from(task.weight) * rows.map(one).sum::<f64>()
    }

    #[test]
    fn two_scores_by_hand() {
        let task = Pointwise {
            loss: PointwiseLoss::Squared,
            labels: &[1.0, 0.0],
            example_weights: &[1.0, 3.0],
            weight: 0.5,
        };
        let mut slopes = [f32::NAN; 2];
        // ((3 - 1)² + 3 · 1²) / 2 = 3.5, slopes 2 · 2 / 2 and 3 · 2 · 1 / 2
        check::assert_loss(task.step(&[3.0, 1.0], &mut slopes), 3.5);
        check::assert_near(&slopes, &[2.0, 3.0]);
        let task = Pointwise { loss: PointwiseLoss::Logistic, ..task };
        // sigmoid(ln 3) = 3/4: (ln 4/3 + 3 ln 2) / 2, slopes (3/4 - 1) / 2 and 3 (1/2 - 0) / 2
        let loss = task.step(&[3f32.ln(), 0.0], &mut slopes);
        check::assert_loss(loss, f64::midpoint((4f64 / 3.0).ln(), 8f64.ln()));
        check::assert_near(&slopes, &[-0.125, 0.75]);
    }

    #[test]
    fn three_classes_by_hand() {
        // Softmax of 2 : 1 : 1 with the second right: ln 4, slopes 1/2, 1/4 - 1 and 1/4.
        let task = Multiclass { labels: &[1], classes: 3, weight: 1.0 };
        let mut slopes = [f32::NAN; 3];
        check::assert_loss(task.step(&[2f32.ln(), 0.0, 0.0], &mut slopes), 4f64.ln());
        check::assert_near(&slopes, &[0.5, -0.75, 0.25]);
        let one_class = Multiclass { labels: &[0, 0], classes: 1, weight: 1.0 };
        assert!(one_class.step(&[3.0, -8.0], &mut slopes[..2]).abs() < 1e-12);
        assert!(
            Multiclass { labels: &[], classes: 3, weight: 1.0 }.step(&[], &mut []).abs() < 1e-12
        );
    }

    #[test]
    fn huge_logits_give_finite_numbers() {
        let scores = [1e4, -1e4, 1e4, -1e4];
        let mut slopes = [f32::NAN; 4];
        for loss in [PointwiseLoss::Squared, PointwiseLoss::Logistic] {
            let task = Pointwise {
                loss,
                labels: &[0.0, 1.0, 1.0, 0.3],
                example_weights: &[],
                weight: 1.0,
            };
            check::assert_loss(
                task.step(&scores, &mut slopes),
                naive(&task, &check::widen(&scores)),
            );
            assert!(slopes.iter().all(|x| x.is_finite()));
        }
        let task = Multiclass { labels: &[0, 1], classes: 2, weight: 1.0 };
        check::assert_loss(task.step(&scores, &mut slopes), 4e4 - 2e4 + 0.0);
        check::assert_near(&slopes, &[0.0, 0.0, 1.0, -1.0]);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let mut slopes = [0.0; 2];
        for loss in [PointwiseLoss::Squared, PointwiseLoss::Logistic] {
            let task = Pointwise { loss, labels: &[0.0, 1.0], example_weights: &[], weight: 1.0 };
            assert!(task.step(&[f32::NAN, 0.0], &mut slopes).is_nan());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_scores_equal_the_naive_version(n in 1usize..40, seed in 0u32..1000) {
            let spread = |seed, scale: f32| -> Vec<f32> {
                check::scattered(n, seed).iter().map(|x| x * scale).collect()
            };
            let scores = spread(seed, 9.0);
            let labels: Vec<f32> = spread(seed + 1, 0.5).iter().map(|x| x + 0.5).collect();
            let weights: Vec<f32> = spread(seed + 2, 1.0).iter().map(|x| x + 1.0).collect();
            let mut slopes = vec![f32::NAN; n];
            for loss in [PointwiseLoss::Squared, PointwiseLoss::Logistic] {
                let example_weights = if seed % 2 == 0 { &weights[..] } else { &[] };
                let task = Pointwise { loss, labels: &labels, example_weights, weight: 0.4 };
                check::assert_loss(task.step(&scores, &mut slopes), naive(&task, &check::widen(&scores)));
                check::assert_near(&slopes, &check::numeric_gradient(|x| naive(&task, x), &scores));
            }
        }

        #[test]
        fn scores_beyond_a_block_are_counted(n in 200usize..900, seed in 0u32..1000) {
            let (scores, weights) = (check::scattered(n, seed), check::scattered(n, seed + 1));
            let labels = vec![0.25; n];
            let task = Pointwise {
                loss: PointwiseLoss::Logistic, labels: &labels, example_weights: &weights, weight: 1.0,
            };
            let loss = task.step(&scores, &mut vec![0.0; n]);
            prop_assert!((loss - naive(&task, &check::widen(&scores))).abs() < 1e-3);
        }

        #[test]
        fn any_classes_equal_the_naive_version(n in 1usize..6, classes in 1usize..40, seed in 0u32..1000) {
            let logits: Vec<f32> = check::scattered(n * classes, seed).iter().map(|x| x * 5.0).collect();
            let labels: Vec<u32> = check::scattered(n, seed + 1)
                .iter()
                .map(|x| (x.abs() * classes as f32 * 0.999) as u32)
                .collect();
            let task = Multiclass { labels: &labels, classes, weight: 0.4 };
            let mut slopes = vec![f32::NAN; n * classes];
            check::assert_loss(task.step(&logits, &mut slopes), naive_classes(&task, &check::widen(&logits)));
            check::assert_near(&slopes, &check::numeric_gradient(|x| naive_classes(&task, x), &logits));
        }
    }
}
