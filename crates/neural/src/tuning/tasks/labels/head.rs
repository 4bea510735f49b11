//! The head that gives labels: `logits = V f(W x + b) + c` of the first token's vector, `f` tanh or, for `DistilBERT`, a cut below 0.
//!
//! `W: [dim, dim]`, `b: [dim]`, `V: [labels, dim]`, `c: [labels]`.

use rand::RngExt;
use tastemaker_core::seed;
use tastemaker_kernels::{Multiclass, Pointwise, PointwiseLoss};

use crate::tuning::tasks::wide::{dense, dense_back};

/// Spread of new numbers, as BERT's are drawn.
const SPREAD: f32 = 0.02;

/// Sizes of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelHead {
    pub(super) dim: usize,
    pub(super) labels: usize,
    /// `f` cuts off below 0, rather than being the hyperbolic tangent.
    pub(super) cuts_off: bool,
}

/// What outputs should have been.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// Yes (1) or no (0).
    Odds(&'a [f32]),
    Numbers(&'a [f32]),
    Labels(&'a [u32]),
}

impl LabelHead {
    /// Returns the numbers of a head: what a checkpoint has, the rest drawn, and `bias` for all last ones.
    pub(super) fn start(self, found: &[Option<Vec<f32>>], bias: f32, seed: u64) -> Vec<f32> {
        let Self { dim, labels, .. } = self;
        let given = |at: usize| found.get(at).cloned().flatten();
        let mut rng = seed::stream(seed, "tune/label-head");
        // Uniform, of BERT's deviation.
        let reach = SPREAD * 3f32.sqrt();
        let mut drawn =
            |n: usize| (0..n).map(|_| rng.random_range(-reach..reach)).collect::<Vec<f32>>();
        let (weight, last) = (drawn(dim * dim), drawn(labels * dim));
        let both = |a: usize, weight: Vec<f32>, bias: Vec<f32>| match (given(a), given(a + 1)) {
            (Some(weight), Some(bias)) => [weight, bias].concat(),
            _ => [weight, bias].concat(),
        };
        [both(0, weight, vec![0.0; dim]), both(2, last, vec![bias; labels])].concat()
    }

    fn parts(self, head: &[f32]) -> [(&[f32], &[f32]); 2] {
        let Self { dim, labels, .. } = self;
        let (first, last) = head.split_at(dim * dim + dim);
        [first.split_at(dim * dim), last.split_at(labels * dim)]
    }

    fn bend(self, z: &[f32]) -> Vec<f32> {
        z.iter().map(|&z| if self.cuts_off { z.max(0.0) } else { z.tanh() }).collect()
    }

    /// Returns the outputs of rows, `[rows, labels]`.
    pub(super) fn outputs(self, vectors: &[f32], head: &[f32]) -> Vec<f32> {
        let [first, last] = self.parts(head);
        dense(&self.bend(&dense(vectors, first)), last)
    }

    /// Returns the mean loss of rows, overwrites the gradient of their vectors and adds that of the head.
    pub(super) fn step(
        self,
        (vectors, wanted): (&[f32], Wanted<'_>),
        head: &[f32],
        (d_vectors, d_head): (&mut Vec<f32>, &mut [f32]),
    ) -> f64 {
        let Self { dim, labels, .. } = self;
        d_vectors.clear();
        let rows = vectors.len() / dim;
        if rows == 0 {
            return 0.0;
        }
        let [first, last] = self.parts(head);
        let bent = self.bend(&dense(vectors, first));
        let outputs = dense(&bent, last);
        let mut slopes = vec![0.0; outputs.len()];
        let weight = 1.0 / rows as f32;
        let pointwise = |loss, labels| Pointwise { loss, labels, example_weights: &[], weight };
        let loss = match wanted {
            Wanted::Odds(labels) => {
                pointwise(PointwiseLoss::Logistic, labels).step(&outputs, &mut slopes)
            }
            Wanted::Numbers(labels) => {
                pointwise(PointwiseLoss::Squared, labels).step(&outputs, &mut slopes)
            }
            Wanted::Labels(labels) => {
                Multiclass { labels, classes: self.labels, weight }.step(&outputs, &mut slopes)
            }
        };
        let (d_first, d_last) = d_head.split_at_mut(dim * dim + dim);
        let into = d_last.split_at_mut(labels * dim);
        let mut d_bent = dense_back(&bent, &slopes, last.0, into);
        for (d, y) in d_bent.iter_mut().zip(&bent) {
            *d *= if self.cuts_off { f32::from(u8::from(*y > 0.0)) } else { 1.0 - y * y };
        }
        let into = d_first.split_at_mut(dim * dim);
        d_vectors.extend(dense_back(vectors, &d_bent, first.0, into));
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_equal_numeric_ones_for_every_loss() {
        let wave = |n: usize, f: f32| (0..n).map(|i| (i as f32 * f).sin()).collect::<Vec<f32>>();
        let numbers = [0.0, 1.0, 1.0];
        let cases = [
            (1, false, Wanted::Odds(&numbers)),
            (1, true, Wanted::Numbers(&numbers)),
            (4, false, Wanted::Labels(&[3, 0, 1])),
        ];
        for (labels, cuts_off, wanted) in cases {
            let head = LabelHead { dim: 3, labels, cuts_off };
            let mut all = [wave(9, 0.7), wave(12 + 4 * labels, 1.3)];
            let run = |all: &[Vec<f32>; 2]| {
                let (mut d, mut d_head) = (Vec::new(), vec![0.0; all[1].len()]);
                let loss = head.step((&all[0], wanted), &all[1], (&mut d, &mut d_head));
                (loss, [d, d_head])
            };
            let (_, got) = run(&all);
            for part in 0..2 {
                for at in 0..all[part].len() {
                    let old = all[part][at];
                    all[part][at] = old + 4e-3;
                    let above = run(&all).0;
                    all[part][at] = old - 4e-3;
                    let want = (above - run(&all).0) / 8e-3;
                    all[part][at] = old;
                    let got = f64::from(got[part][at]);
                    let error = (got - want).abs();
                    assert!(
                        error < 2e-3 * (1.0 + want.abs()),
                        "{labels} {part} {at}: {got} {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_a_checkpoint_has_is_kept() {
        let head = LabelHead { dim: 2, labels: 1, cuts_off: false };
        let found = [Some(vec![1.0, 2.0, 3.0, 4.0]), Some(vec![5.0, 6.0]), None, None];
        let start = head.start(&found, 3.5, 1);
        assert_eq!((start.len(), &start[..6]), (9, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
        assert!((start[8] - 3.5).abs() < 1e-9 && start[6].abs() < 0.04);
        // Half a layer is none.
        assert!(head.start(&found[1..], 0.0, 1)[..4].iter().all(|x| x.abs() < 0.04));
    }
}
