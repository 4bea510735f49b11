//! Stacking (Wolpert 1992): weights by logistic regression of what came next on the scores of the parts.
//!
//! The conditional logit (McFadden, 1974): `max_w Σ_cases [w·x_0 - ln Σ_j exp(w·x_j)] - RIDGE |w|² / 2` over `w ≥ 0`, with `x_j` the
//! normalised scores of candidate `j` and 0 the one that came next. Convex; solved by Newton's method.

use rayon::prelude::*;
use tastemaker_kernels::spd_inverse;

use crate::learn::Case;

/// Keeps weights finite where a part tells the cases apart without a fault.
const RIDGE: f64 = 1.0;
const STEPS: usize = 50;
/// Cases summed by one task; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 128;

/// Loss, slope `[parts]` and curvature `[parts, parts]`.
struct Point {
    loss: f64,
    slope: Vec<f64>,
    curvature: Vec<f64>,
}

impl Point {
    fn zero(width: usize) -> Self {
        Self { loss: 0.0, slope: vec![0.0; width], curvature: vec![0.0; width * width] }
    }

    fn add(mut self, other: &Self) -> Self {
        self.loss += other.loss;
        let sum = |to: &mut [f64], from: &[f64]| to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        sum(&mut self.slope, &other.slope);
        sum(&mut self.curvature, &other.curvature);
        self
    }

    /// Adds one case: the target is its first row.
    fn add_case(&mut self, rows: &[Vec<f64>], weights: &[f64]) {
        let width = weights.len();
        let scores: Vec<f64> =
            rows.iter().map(|row| row.iter().zip(weights).map(|(x, w)| x * w).sum()).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|score| (score - most).exp()).sum();
        let Some(target) = scores.first() else { return };
        self.loss += most + total.ln() - target;
        let mut mean = vec![0.0; width];
        for (place, (row, score)) in rows.iter().zip(&scores).enumerate() {
            let chance = (score - most).exp() / total;
            let wanted = if place == 0 { 1.0 } else { 0.0 };
            for (a, x) in row.iter().enumerate() {
                mean[a] += chance * x;
                self.slope[a] += (chance - wanted) * x;
                for (b, y) in row.iter().enumerate().take(a + 1) {
                    self.curvature[a * width + b] += chance * x * y;
                }
            }
        }
        for a in 0..width {
            for b in 0..=a {
                self.curvature[a * width + b] -= mean[a] * mean[b];
            }
        }
    }
}

/// Finds weights for parts with `width` scores a candidate; they sum to 1. `None` where no part tells what comes next.
pub(crate) fn stacked(cases: &[&Case], width: usize) -> Option<Vec<f32>> {
    let mut parts: Vec<usize> = (0..width).collect();
    while !parts.is_empty() {
        let weights = logit(cases, &parts, width);
        let worst = (0..parts.len()).min_by(|&a, &b| weights[a].total_cmp(&weights[b]))?;
        if weights[worst] >= 0.0 {
            let total: f64 = weights.iter().sum();
            let mut all = vec![0.0; width];
            parts.iter().zip(&weights).for_each(|(&part, w)| all[part] = (w / total) as f32);
            return Some(all).filter(|_| total > 0.0 && total.is_finite());
        }
        // A part that would speak against what it lists is silent instead.
        parts.remove(worst);
    }
    None
}

/// Fits the weights of some parts, of either sign.
fn logit(cases: &[&Case], parts: &[usize], width: usize) -> Vec<f64> {
    let n = parts.len();
    let at = |weights: &[f64]| {
        let sums: Vec<Point> = cases
            .par_chunks(CHUNK)
            .map(|chunk| {
                let mut sum = Point::zero(n);
                for case in chunk {
                    let row = |row: &[f32]| parts.iter().map(|&p| f64::from(row[p])).collect();
                    let rows: Vec<Vec<f64>> = case.scores.chunks_exact(width).map(row).collect();
                    sum.add_case(&rows, weights);
                }
                sum
            })
            .collect();
        let mut point = sums.iter().fold(Point::zero(n), Point::add);
        for (a, w) in weights.iter().enumerate() {
            point.loss += RIDGE * w * w / 2.0;
            point.slope[a] += RIDGE * w;
            point.curvature[a * n + a] += RIDGE;
        }
        point
    };
    let mut weights = vec![0.0; n];
    let mut now = at(&weights);
    for _ in 0..STEPS {
        if spd_inverse(n, &mut now.curvature).is_err() {
            break;
        }
        let rows = now.curvature.chunks_exact(n);
        let step: Vec<f64> =
            rows.map(|row| row.iter().zip(&now.slope).map(|(c, s)| c * s).sum()).collect();
        let length = step.iter().fold(0.0, |most: f64, s| most.max(s.abs()));
        // Newton's step is too long only far from the optimum.
        let tried = (0..20).map(|half| 0.5f64.powi(half)).find_map(|share| {
            let next: Vec<f64> = weights.iter().zip(&step).map(|(w, s)| w - share * s).collect();
            let point = at(&next);
            (point.loss < now.loss).then_some((next, point))
        });
        let Some((next, point)) = tried else { break };
        (weights, now) = (next, point);
        if length < 1e-6 {
            break;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(rows: &[&[f32]]) -> Case {
        Case { length: 1, scores: rows.concat() }
    }

    #[test]
    fn one_part_s_weight_is_that_of_the_closed_form() {
        // Of 4 cases with candidates x = 1 and 0 the one with 1 came next 3 times: without a ridge, logit(3/4) = ln 3.
        // With it, 4 σ(w) - 3 + w = 0, so w = .3713 (σ = .5918).
        let (hit, miss) = (case(&[&[1.0], &[0.0]]), case(&[&[0.0], &[1.0]]));
        let cases = [&hit, &hit, &hit, &miss];
        let w = logit(&cases, &[0], 1)[0];
        let left = 4.0 / (1.0 + (-w).exp()) - 3.0 + w;
        assert!(left.abs() < 1e-9, "{w}: {left}");
    }

    #[test]
    fn a_better_part_weighs_more_and_one_that_misleads_is_silent() {
        // Part 0 always knows, part 1 every other time, part 2 always points elsewhere.
        let (a, b) = (
            case(&[&[1.0, 1.0, 0.0], &[0.0, 0.0, 1.0]]),
            case(&[&[1.0, 0.0, 0.0], &[0.0, 1.0, 1.0]]),
        );
        let cases: Vec<&Case> = (0..40).map(|i| if i % 2 == 0 { &a } else { &b }).collect();
        let weights = stacked(&cases, 3).unwrap();
        assert!(weights[0] > 0.9 && weights[1] >= 0.0 && weights[2].abs() < 1e-9, "{weights:?}");
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn nothing_is_found_where_no_part_tells() {
        let same = case(&[&[1.0, 1.0], &[1.0, 1.0]]);
        assert!(stacked(&[&same], 2).is_none() && stacked(&[], 2).is_none());
    }
}
