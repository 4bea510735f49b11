//! The head of BERT that names words: `logits = norm(gelu(W x + b)) · words + c` (Devlin et al. 2019).
//!
//! `W: [dim, dim]`, `b`, gain and bias of the norm `[dim]`, `c: [vocabulary]`; the words are the encoder's own table.

use tastemaker_kernels::{Activation, Norm, NormGradients};

use crate::tuning::tasks::wide::{Found, OfTable, Wide, dense, dense_back};

/// Takes the parts of the head's numbers apart.
fn parts(head: &[f32], dim: usize) -> [&[f32]; 5] {
    let (weight, rest) = head.split_at(dim * dim);
    let (bias, rest) = rest.split_at(dim);
    let (gain, rest) = rest.split_at(dim);
    let (shift, words) = rest.split_at(dim);
    [weight, bias, gain, shift, words]
}

fn parts_mut(head: &mut [f32], dim: usize) -> [&mut [f32]; 5] {
    let (weight, rest) = head.split_at_mut(dim * dim);
    let (bias, rest) = rest.split_at_mut(dim);
    let (gain, rest) = rest.split_at_mut(dim);
    let (shift, words) = rest.split_at_mut(dim);
    [weight, bias, gain, shift, words]
}

/// Returns the numbers of a head that says what the vectors of tokens are nearest to, and how often words come: what a checkpoint has,
/// and for the rest the identity and the logarithms of shares of words.
pub(super) fn start(
    found: &[Option<Vec<f32>>],
    dim: usize,
    counts: impl Iterator<Item = u32>,
) -> Vec<f32> {
    let given = |at: usize| found.get(at).cloned().flatten();
    let identity = || {
        let mut weight = vec![0.0; dim * dim];
        weight.iter_mut().step_by(dim + 1).for_each(|x| *x = 1.0);
        weight
    };
    // The transform and its norm belong together.
    let whole: Option<Vec<Vec<f32>>> = (0..4).map(given).collect();
    let mut head = match whole {
        Some(parts) => parts.concat(),
        None => [identity(), vec![0.0; dim], vec![1.0; dim], vec![0.0; dim]].concat(),
    };
    let frequencies = || {
        let counts: Vec<f32> = counts.map(|n| n as f32 + 0.1).collect();
        let sum: f32 = counts.iter().sum();
        counts.into_iter().map(|n| (n / sum).ln()).collect()
    };
    head.extend(given(4).unwrap_or_else(frequencies));
    head
}

/// Rows of the encoder's outputs, and what stood there.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// `[rows, dim]`
    pub(super) vectors: &'a [f32],
    pub(super) targets: &'a [u32],
    pub(super) dim: usize,
    /// Of the norm.
    pub(super) epsilon: f32,
}

/// Where gradients go.
pub(super) struct Slopes<'a> {
    /// Is overwritten.
    pub(super) vectors: &'a mut [f32],
    /// Is added to.
    pub(super) head: &'a mut [f32],
    /// Is added to, where it is wanted.
    pub(super) words: Option<&'a mut [f32]>,
}

/// Returns the sum of losses and of hits, and the gradients of the mean loss.
pub(super) fn step(rows: Rows<'_>, head: &[f32], words: &[f32], slopes: Slopes<'_>) -> Found {
    let Rows { vectors, targets, dim, epsilon } = rows;
    let [weight, bias, gain, shift, of_words] = parts(head, dim);
    let z = dense(vectors, (weight, bias));
    let mut bent = vec![0.0; z.len()];
    Activation::Gelu.forward(&z, &mut bent);
    let norm = Norm { gain, bias: shift, epsilon };
    let (mut y, mut stats) = (vec![0.0; z.len()], vec![0.0; 2 * targets.len()]);
    norm.forward(&bent, &mut y, &mut stats);
    let wide = Wide { table: words, bias: of_words, dim, targets, excluded: &[] };
    let mut dy = vec![0.0; y.len()];
    let [d_weight, d_bias, d_gain, d_shift, d_words] = parts_mut(slopes.head, dim);
    let d_table = slopes.words.map_or(OfTable::None, OfTable::All);
    let share = 1.0 / targets.len().max(1) as f32;
    let found = wide.step((&y, share), &mut dy, d_words, d_table);
    let mut d = vec![0.0; y.len()];
    norm.backward(&bent, &stats, &dy, NormGradients { x: &mut d, gain: d_gain, bias: d_shift });
    Activation::Gelu.backward(&z, &mut d);
    slopes.vectors.copy_from_slice(&dense_back(vectors, &d, weight, (d_weight, d_bias)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_of_vectors_head_and_words_equal_numeric_ones() {
        let (dim, n) = (4, 6);
        let wave = |n: usize, f: f32| (0..n).map(|i| (i as f32 * f).sin()).collect::<Vec<f32>>();
        let mut all = [wave(3 * dim, 0.7), wave(dim * dim + 3 * dim + n, 1.1), wave(n * dim, 0.9)];
        let run = |all: &[Vec<f32>; 3]| {
            let [vectors, head, words] = all;
            let mut d = [vec![0.0; vectors.len()], vec![0.0; head.len()], vec![0.0; words.len()]];
            let [dv, dh, dw] = &mut d;
            let rows = Rows { vectors, targets: &[5, 0, 2], dim, epsilon: 1e-6 };
            let slopes = Slopes { vectors: dv, head: dh, words: Some(dw) };
            (step(rows, head, words, slopes).loss / 3.0, d)
        };
        let (_, got) = run(&all);
        for part in 0..3 {
            for at in 0..all[part].len() {
                let old = all[part][at];
                all[part][at] = old + 1e-2;
                let above = run(&all).0;
                all[part][at] = old - 1e-2;
                let want = (above - run(&all).0) / 2e-2;
                all[part][at] = old;
                let got = f64::from(got[part][at]);
                assert!(
                    (got - want).abs() < 2e-3 * (1.0 + want.abs()),
                    "{part} {at}: {got} {want}"
                );
            }
        }
    }

    #[test]
    fn a_new_head_knows_how_often_words_come() {
        let head = start(&[], 2, [3, 0, 1].into_iter());
        assert_eq!(head[..10], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        // Counts 3.1, .1 and 1.1 of 4.3.
        assert!((head[10] - (3.1f32 / 4.3).ln()).abs() < 1e-6);
        let found = [None, None, None, None, Some(vec![7.0; 3])];
        assert_eq!(start(&found, 2, [1, 1, 1].into_iter())[10..], [7.0; 3]);
    }
}
