//! What a score means: log-odds of a yes, a standardised rating, or the place on a scale of rating levels.

use serde::{Deserialize, Serialize};
use tastemaker_core::{FitError, Histories};
use tastemaker_kernels::{Multiclass, Pointwise, PointwiseLoss, softmax};

use super::settings::{Interaction, Objective, RankerSettings};
use crate::params::{Init, Layout, Span};

/// Most rating levels that are told apart.
const MOST_LEVELS: usize = 100;

/// Where the numbers of a head come from, besides its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(super) enum Scale {
    /// A yes or a no.
    Binary,
    /// Ratings with this mean and deviation, within these bounds.
    Rating { mean: f32, deviation: f32, low: f32, high: f32 },
    /// Ratings of these levels, rising.
    Levels { levels: Vec<f32> },
}

/// The end of the network.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    pub(super) scale: Scale,
    /// Rating from which on something counts as liked.
    positive_at: f32,
    objective: Objective,
    /// `a` and `b` of the levels.
    slopes: Span,
    shifts: Span,
}

impl Scale {
    /// Reads the scale of ratings off the training events.
    pub(super) fn new<V: Interaction>(
        settings: &RankerSettings<V>,
        histories: &Histories,
    ) -> Result<Self, FitError> {
        let mut levels: Vec<f32> = histories.events().values.to_vec();
        if settings.objective != Objective::Click && !levels.iter().all(|x| x.is_finite()) {
            let why = "a rating is not a finite number: correct it".into();
            return Err(FitError::Unsuited { model: V::NAME, why });
        }
        match settings.objective {
            Objective::Click | Objective::Like => Ok(Self::Binary),
            Objective::Rating => {
                let n = levels.len().max(1) as f64;
                let mean = levels.iter().copied().map(f64::from).sum::<f64>() / n;
                let variance =
                    levels.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
                let deviation = if variance > 1e-12 { variance.sqrt() } else { 1.0 };
                Ok(Self::Rating {
                    mean: mean as f32,
                    deviation: deviation as f32,
                    low: levels.iter().copied().fold(f32::INFINITY, f32::min),
                    high: levels.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                })
            }
            Objective::Levels => {
                levels.sort_by(f32::total_cmp);
                levels.dedup_by(|a, b| a.total_cmp(b).is_eq());
                if levels.len() <= MOST_LEVELS {
                    return Ok(Self::Levels { levels });
                }
                let why = format!(
                    "{} different ratings are more than the {MOST_LEVELS} levels that can be told apart: set `objective` to \"rating\"",
                    levels.len()
                );
                Err(FitError::Unsuited { model: V::NAME, why })
            }
        }
    }
}

impl Head {
    pub(super) fn new<V: Interaction>(
        layout: &mut Layout,
        settings: &RankerSettings<V>,
        scale: Scale,
    ) -> Self {
        let n = if let Scale::Levels { levels } = &scale { levels.len() } else { 0 };
        let slopes = layout.add("levels.slopes".into(), n, Init::Constant(0.0));
        let shifts = layout.add("levels.shifts".into(), n, Init::Constant(0.0));
        let (positive_at, objective) = (settings.positive_at, settings.objective);
        Self { scale, positive_at, objective, slopes, shifts }
    }

    /// Sets the parameters so that a score of 0 says what the labels are on average; `bias` is added to every score.
    pub(super) fn start(&self, labels: &[f32], bias: Span, parameters: &mut [f32]) {
        let n = labels.len().max(1) as f32;
        match &self.scale {
            Scale::Binary => {
                let positive: f32 = labels.iter().map(|&label| self.target(label)).sum();
                // Half an example more of each keeps the odds finite.
                bias.of_mut(parameters)[0] = ((positive + 0.5) / (n - positive + 0.5)).ln();
            }
            Scale::Rating { .. } => {}
            Scale::Levels { levels } => {
                let most = (levels.len().max(2) - 1) as f32;
                let places = self.slopes.of_mut(parameters).iter_mut().enumerate();
                places.for_each(|(at, a)| *a = 2.0 * at as f32 / most - 1.0);
                let mut counts = vec![0.5f32; levels.len()];
                labels.iter().for_each(|&label| counts[level(levels, label)] += 1.0);
                let shifts = self.shifts.of_mut(parameters).iter_mut().zip(counts);
                shifts.for_each(|(b, count)| *b = (count / n).ln());
            }
        }
    }

    /// Returns the label that a yes or a no is learnt from.
    fn target(&self, label: f32) -> f32 {
        let is_positive = match self.objective {
            Objective::Like => label >= self.positive_at,
            Objective::Click | Objective::Rating | Objective::Levels => label > 0.0,
        };
        f32::from(u8::from(is_positive))
    }

    /// Returns the sum of losses times `weight`, writes the slopes of the scores, and adds the gradients of the parameters.
    pub(super) fn step(
        &self,
        (parameters, gradients): (&[f32], &mut [f32]),
        (scores, labels): (&[f32], &[f32]),
        weight: f32,
        slopes: &mut [f32],
    ) -> f64 {
        let pointwise = |loss, labels: &[f32], slopes: &mut [f32]| {
            Pointwise { loss, labels, example_weights: &[], weight }.step(scores, slopes)
        };
        match &self.scale {
            Scale::Binary => {
                let labels: Vec<f32> = labels.iter().map(|&label| self.target(label)).collect();
                pointwise(PointwiseLoss::Logistic, &labels, slopes)
            }
            Scale::Rating { mean, deviation, .. } => {
                let labels: Vec<f32> = labels.iter().map(|y| (y - mean) / deviation).collect();
                pointwise(PointwiseLoss::Squared, &labels, slopes)
            }
            Scale::Levels { levels } => {
                let labels: Vec<u32> =
                    labels.iter().map(|&label| level(levels, label) as u32).collect();
                let logits = self.logits(parameters, scores);
                let task = Multiclass { labels: &labels, classes: levels.len(), weight };
                let mut d = vec![0.0; logits.len()];
                let loss = task.step(&logits, &mut d);
                let a = self.slopes.of(parameters);
                let [d_a, d_b] = self.slopes.both(self.shifts, gradients);
                let rows = d.chunks_exact(levels.len()).zip(scores).zip(slopes);
                for ((d, s), slope) in rows {
                    *slope = d.iter().zip(a).map(|(d, a)| d * a).sum();
                    d_a.iter_mut().zip(d).for_each(|(d_a, d)| *d_a += d * s);
                    d_b.iter_mut().zip(d).for_each(|(d_b, d)| *d_b += d);
                }
                loss
            }
        }
    }

    fn logits(&self, parameters: &[f32], scores: &[f32]) -> Vec<f32> {
        let (a, b) = (self.slopes.of(parameters), self.shifts.of(parameters));
        scores.iter().flat_map(|s| a.iter().zip(b).map(move |(a, b)| a * s + b)).collect()
    }

    /// Turns scores into what items are ranked by: log-odds or expected ratings.
    pub(super) fn rank(&self, parameters: &[f32], scores: &mut [f32]) {
        match &self.scale {
            Scale::Binary => {}
            Scale::Rating { mean, deviation, .. } => {
                scores.iter_mut().for_each(|s| *s = mean + deviation * *s);
            }
            Scale::Levels { levels } => {
                let n = levels.len();
                let mut shares = self.logits(parameters, scores);
                softmax(&mut shares, n, n, 1.0);
                for (s, shares) in scores.iter_mut().zip(shares.chunks_exact(n)) {
                    *s = shares.iter().zip(levels).map(|(p, level)| p * level).sum();
                }
            }
        }
    }

    /// Returns the expected rating of something ranked by `rank`, where ratings were learnt.
    pub(super) fn rating(&self, rank: f32) -> Option<f32> {
        match &self.scale {
            Scale::Binary => None,
            Scale::Rating { low, high, .. } => Some(rank.clamp(*low, *high)),
            Scale::Levels { .. } => Some(rank),
        }
    }

    /// Returns how likely each score stands for a rating of at least `positive_at`, where levels were learnt.
    pub(super) fn reaches(&self, parameters: &[f32], scores: &[f32]) -> Option<Vec<f32>> {
        let Scale::Levels { levels } = &self.scale else { return None };
        let n = levels.len();
        let mut shares = self.logits(parameters, scores);
        softmax(&mut shares, n, n, 1.0);
        let from = levels.partition_point(|&level| level < self.positive_at);
        Some(
            shares
                .chunks_exact(n)
                .map(|shares| shares[from..].iter().sum::<f32>().min(1.0))
                .collect(),
        )
    }
}

/// Returns the place of a rating among the levels, the nearest one for a rating that is none.
fn level(levels: &[f32], rating: f32) -> usize {
    let above = levels.partition_point(|&level| level < rating).min(levels.len() - 1);
    let below = above.saturating_sub(1);
    if (levels[below] - rating).abs() < (levels[above] - rating).abs() { below } else { above }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rankers::settings::LinearSettings;

    fn levels() -> (Head, Vec<f32>, Span) {
        let settings = LinearSettings { objective: Objective::Levels, ..Default::default() };
        let mut layout = Layout::default();
        let bias = layout.add("bias".into(), 1, Init::Constant(0.0));
        let scale = Scale::Levels { levels: vec![1.0, 3.0, 4.0, 5.0] };
        let head = Head::new(&mut layout, &settings, scale);
        let mut parameters = layout.start(1);
        head.start(&[1.0, 3.0, 3.0, 5.0], bias, &mut parameters);
        (head, parameters, bias)
    }

    #[test]
    fn a_score_of_nought_says_how_often_each_level_was_given() {
        let (head, parameters, _) = levels();
        // Counts 1, 2, 0, 1 and half of one more each: shares 1.5, 2.5, .5 and 1.5 of 6.
        let mut rank = [0.0];
        head.rank(&parameters, &mut rank);
        let want = (1.5 + 2.5 * 3.0 + 0.5 * 4.0 + 1.5 * 5.0) / 6.0;
        assert!((rank[0] - want).abs() < 1e-5, "{rank:?} {want}");
        let above = head.reaches(&parameters, &[0.0]).unwrap();
        assert!((above[0] - 2.0 / 6.0).abs() < 1e-5);
    }

    #[test]
    fn slopes_of_levels_equal_numeric_ones() {
        let (head, mut parameters, _) = levels();
        parameters.iter_mut().enumerate().for_each(|(i, x)| *x += (i as f32).sin());
        let (mut scores, labels) = ([0.3, -1.2, 2.0], [1.0, 5.0, 4.0]);
        let (mut slopes, mut gradients) = ([0.0; 3], vec![0.0; parameters.len()]);
        head.step((&parameters, &mut gradients), (&scores, &labels), 0.5, &mut slopes);
        let loss = |parameters: &[f32], scores: &[f32]| {
            let mut none = vec![0.0; parameters.len()];
            head.step((parameters, &mut none), (scores, &labels), 0.5, &mut [0.0; 3])
        };
        let step = 1e-2;
        for i in 0..3 {
            let mut at = |by: f32| {
                scores[i] += by;
                let loss = loss(&parameters, &scores);
                scores[i] -= by;
                loss
            };
            let want = (at(step) - at(-step)) / f64::from(2.0 * step);
            assert!((f64::from(slopes[i]) - want).abs() < 1e-3, "{i}");
        }
        for i in 0..parameters.len() {
            let mut at = |by: f32| {
                parameters[i] += by;
                let loss = loss(&parameters, &scores);
                parameters[i] -= by;
                loss
            };
            let want = (at(step) - at(-step)) / f64::from(2.0 * step);
            assert!((f64::from(gradients[i]) - want).abs() < 1e-3, "parameter {i}");
        }
    }

    #[test]
    fn ratings_between_levels_go_to_the_nearest() {
        let levels = [1.0, 3.0, 4.0];
        assert_eq!([0.0, 1.9, 2.1, 3.6, 9.0].map(|x| level(&levels, x)), [0, 0, 1, 2, 2]);
    }
}
