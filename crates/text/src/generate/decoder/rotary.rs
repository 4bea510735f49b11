//! Rotary positions (Su et al. 2021): pairs of numbers are turned by an angle that grows with the place.

use super::architecture::{Architecture, Family};

/// Turns queries and keys.
pub(super) struct Rotary {
    /// Angle of a place for each pair.
    steps: Vec<f64>,
    dim: usize,
    /// Pairs are neighbours, not of the two halves.
    neighbours: bool,
}

impl Rotary {
    /// Makes the angles; `factors` divide them pair by pair, as Llama 3 does for long contexts.
    pub(super) fn new(architecture: &Architecture, factors: Option<&[f32]>) -> Self {
        let Architecture { turned, dim, base, stretch, .. } = *architecture;
        let step = |pair: usize| {
            let factor = factors.map_or(1.0, |factors| f64::from(factors[pair]));
            base.powf(-((2 * pair) as f64) / turned as f64) / (factor * stretch)
        };
        let steps = (0..turned / 2).map(step).collect();
        Self { steps, dim, neighbours: architecture.family == Family::Llama }
    }

    /// Writes the sines and cosines of a place.
    pub(super) fn angles(&self, place: usize, to: &mut Vec<(f32, f32)>) {
        to.clear();
        to.extend(self.steps.iter().map(|step| {
            let (sine, cosine) = (place as f64 * step).sin_cos();
            (sine as f32, cosine as f32)
        }));
    }

    /// Turns the heads of a row.
    pub(super) fn turn(&self, angles: &[(f32, f32)], row: &mut [f32]) {
        for head in row.chunks_exact_mut(self.dim) {
            let turned = &mut head[..2 * angles.len()];
            if self.neighbours {
                for (pair, angle) in turned.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                    let [a, b] = pair;
                    turn_pair(a, b, *angle);
                }
            } else {
                let (low, high) = turned.split_at_mut(angles.len());
                for ((a, b), angle) in low.iter_mut().zip(high).zip(angles) {
                    turn_pair(a, b, *angle);
                }
            }
        }
    }
}

fn turn_pair(a: &mut f32, b: &mut f32, (sine, cosine): (f32, f32)) {
    (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
}
