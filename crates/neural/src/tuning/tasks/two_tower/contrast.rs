//! The loss of a batch: in-batch softmax over cosines of the user's side and all items that are to be found.
//!
//! The user's side is what `text-knn` makes of a history, `p = Σ decay^k u_k / |…|` over the newest items, with `u` the vectors at
//! length 1; `-ln(e^(p·u / t - c ln q) / Σ …)` with the log-Q correction of Yi et al. 2019. Events of one user do not compete, since
//! each is in the other's history or follows from it, nor do events of one item.

use tastemaker_kernels::{Direction, InBatch, InBatchGradients, InBatchScratch, axpy, dot};

use super::batch::{Batch, Sequences};
use crate::tuning::settings::TuneSettings;

/// Keeps a vector of nothing from being divided by 0.
const SHORTEST: f32 = 1e-12;

/// Memory of a loss, kept from batch to batch.
#[derive(Default)]
pub(super) struct Contrast {
    /// Row of every item among the batch's vectors.
    place: Vec<u32>,
    lengths: Vec<f32>,
    profiles: Vec<f32>,
    profile_lengths: Vec<f32>,
    targets: Vec<f32>,
    d_profiles: Vec<f32>,
    d_targets: Vec<f32>,
    scratch: InBatchScratch,
}

/// Brings rows to length 1, and keeps their lengths.
pub(in crate::tuning) fn normalise(rows: &mut [f32], width: usize, lengths: &mut Vec<f32>) {
    lengths.clear();
    for row in rows.chunks_exact_mut(width) {
        let length = dot(row, row).sqrt().max(SHORTEST);
        row.iter_mut().for_each(|x| *x /= length);
        lengths.push(length);
    }
}

/// Turns the gradients of rows at length 1 into those of the rows: `(d - u (u·d)) / length`.
pub(in crate::tuning) fn normalise_back(
    d: &mut [f32],
    units: &[f32],
    (width, lengths): (usize, &[f32]),
) {
    let rows = d.chunks_exact_mut(width).zip(units.chunks_exact(width));
    for ((d, unit), length) in rows.zip(lengths) {
        let along = dot(d, unit);
        d.iter_mut().zip(unit).for_each(|(d, u)| *d = (*d - along * u) / length);
    }
}

impl Contrast {
    /// Returns the mean loss of the examples and writes the gradient of `vectors: [items, width]` to `d`; leaves `vectors` at
    /// length 1.
    pub(super) fn step(
        &mut self,
        (batch, sequences): (&Batch, &Sequences),
        (settings, shifts): (&TuneSettings, &[f32]),
        vectors: &mut [f32],
        d: &mut Vec<f32>,
    ) -> f64 {
        d.clear();
        d.resize(vectors.len(), 0.0);
        let n = batch.examples.len();
        if n == 0 {
            return 0.0;
        }
        let width = vectors.len() / batch.items.len();
        self.place.resize(shifts.len(), 0);
        (0..).zip(&batch.items).for_each(|(row, &item)| self.place[item as usize] = row);
        let place = |event: usize| self.place[sequences.item(event) as usize] as usize * width;
        normalise(vectors, width, &mut self.lengths);
        let fading = |age: usize| settings.decay.powi(i32::try_from(age).unwrap_or(i32::MAX));
        self.profiles.clear();
        self.profiles.resize(n * width, 0.0);
        self.targets.clear();
        for (example, profile) in batch.examples.iter().zip(self.profiles.chunks_exact_mut(width)) {
            for (age, event) in example.before.clone().rev().enumerate() {
                axpy(fading(age), &vectors[place(event)..][..width], profile);
            }
            self.targets.extend_from_slice(&vectors[place(example.target)..][..width]);
        }
        normalise(&mut self.profiles, width, &mut self.profile_lengths);
        let of = |f: &dyn Fn(u32) -> f32| -> Vec<f32> {
            batch.examples.iter().map(|example| f(sequences.item(example.target))).collect()
        };
        let ids: Vec<u32> =
            batch.examples.iter().map(|example| sequences.item(example.target)).collect();
        let users: Vec<u32> = batch.examples.iter().map(|example| example.user).collect();
        let task = InBatch {
            direction: Direction::Forward,
            ids: &ids,
            groups: &users,
            shift: &of(&|item| shifts[item as usize]),
            temperature: settings.temperature,
            weight: 1.0 / n as f32,
        };
        self.d_profiles.resize(n * width, 0.0);
        self.d_targets.resize(n * width, 0.0);
        let into = InBatchGradients { a: &mut self.d_profiles, b: &mut self.d_targets };
        let loss = task.step(n, (&self.profiles, &self.targets), into, &mut self.scratch);
        normalise_back(&mut self.d_profiles, &self.profiles, (width, &self.profile_lengths));
        let gradients = self.d_profiles.chunks_exact(width).zip(self.d_targets.chunks_exact(width));
        for (example, (d_profile, d_target)) in batch.examples.iter().zip(gradients) {
            for (age, event) in example.before.clone().rev().enumerate() {
                axpy(fading(age), d_profile, &mut d[place(event)..][..width]);
            }
            axpy(1.0, d_target, &mut d[place(example.target)..][..width]);
        }
        normalise_back(d, vectors, (width, &self.lengths));
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{histories, texts};
    use super::*;

    #[test]
    fn the_gradient_of_every_vector_equals_the_numeric_one() {
        let rows: [&[u32]; 3] = [&[0, 1, 2, 4], &[2, 0, 4], &[4, 1]];
        let sequences = Sequences::new(&histories(&rows), &texts());
        let settings = TuneSettings { history: 2, temperature: 0.3, ..TuneSettings::default() };
        let batch = sequences.batch(0, (&settings, &texts()), 1);
        let shifts = [0.3, -0.2, 0.5, 0.0, 0.1];
        let width = 3;
        let mut vectors: Vec<f32> =
            (0..batch.items.len() * width).map(|i| (i as f32 * 0.9).sin() + 0.2).collect();
        let loss = |vectors: &[f32], d: &mut Vec<f32>| {
            let (sides, rules) = ((&batch, &sequences), (&settings, &shifts[..]));
            Contrast::default().step(sides, rules, &mut vectors.to_vec(), d)
        };
        let (mut d, mut spare) = (Vec::new(), Vec::new());
        assert!(loss(&vectors, &mut d) > 0.1);
        for (at, got) in d.iter().enumerate() {
            let old = vectors[at];
            vectors[at] = old + 1e-2;
            let above = loss(&vectors, &mut spare);
            vectors[at] = old - 1e-2;
            let want = (above - loss(&vectors, &mut spare)) / 2e-2;
            vectors[at] = old;
            let error = (f64::from(*got) - want).abs();
            assert!(error < 2e-3 * (1.0 + want.abs()), "{at}: {got} {want}");
        }
    }

    #[test]
    fn two_users_by_hand() {
        // Users (0, 1) and (2, 4) with vectors on two axes: cosines [1, 0; 0, 1], so both lose ln(1 + e^-1) at temperature 1.
        let sequences = Sequences::new(&histories(&[&[0, 1], &[2, 4]]), &texts());
        let settings = TuneSettings { temperature: 1.0, ..TuneSettings::default() };
        let batch = sequences.batch(0, (&settings, &texts()), 1);
        let axis = |item: &u32| if *item < 2 { [2.0, 0.0] } else { [0.0, 0.5] };
        let mut vectors: Vec<f32> = batch.items.iter().flat_map(axis).collect();
        let (sides, rules) = ((&batch, &sequences), (&settings, &[0.0; 5][..]));
        let loss = Contrast::default().step(sides, rules, &mut vectors, &mut Vec::new());
        assert!((loss - (-1f64).exp().ln_1p()).abs() < 1e-5, "{loss}");
    }
}
