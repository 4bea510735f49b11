//! Alignment: an item's own vector `e` and its projected text `t` are to find one another among those of other items.
//!
//! `-ln softmax_j(cos(e_i, t_j) / τ)[i]`, the mean with the same from `t` to `e` (InfoNCE: van den Oord et al. 2018; both ways:
//! Radford et al. 2021), over the items of a step that have a text, in blocks drawn anew in every step. Shapes: `e, t: [items, width]`.

use rand::seq::SliceRandom;
use rayon::prelude::*;
use tastemaker_core::seed;
use tastemaker_kernels::{Direction, InBatch, InBatchGradients, InBatchScratch, axpy, dot};

use super::Tower;

/// τ.
const TEMPERATURE: f32 = 0.1;
/// Items that are set against one another, at most.
pub(in crate::sequence) const LONGEST: usize = 512;
/// A vector counts as at least this long.
const SHORTEST: f32 = 1e-9;

/// The alignment of a step, with its memory.
#[derive(Clone, Debug, Default)]
pub(in crate::sequence) struct Align {
    /// Of the items of the step, in the order of the blocks.
    own: Vec<f32>,
    texts: Vec<f32>,
    d_own: Vec<f32>,
    d_texts: Vec<f32>,
    blocks: Vec<Block>,
}

/// The memory of one block.
#[derive(Clone, Debug, Default)]
struct Block {
    /// Lengths of own vectors and of texts.
    lengths: [Vec<f32>; 2],
    scratch: InBatchScratch,
}

impl Align {
    /// Adds the gradients of the alignment of some items to those of their own vectors, `rows[place[item]]`, and of the
    /// parameters, and returns its mean loss times its weight.
    pub(in crate::sequence) fn step(
        &mut self,
        tower: &mut Tower,
        (parameters, own): (&[f32], &[f32]),
        (mut items, weight, key): (Vec<u32>, f32, u64),
        (place, rows, gradients): (&[u32], &mut [f32], &mut [f32]),
    ) -> f64 {
        items.sort_unstable();
        items.dedup();
        items.retain(|&item| tower.has_text(item));
        items.shuffle(&mut seed::stream(key, "align"));
        let n = items.len();
        if n < 2 {
            return 0.0;
        }
        tower.texts(parameters, &items, &mut self.texts);
        let width = self.texts.len() / n;
        self.own.clear();
        for &item in &items {
            self.own.extend_from_slice(&own[item as usize * width..][..width]);
        }
        self.d_own.resize(n * width, 0.0);
        self.d_texts.resize(n * width, 0.0);
        let each = n.div_ceil(n.div_ceil(LONGEST));
        self.blocks.resize_with(n.div_ceil(each), Block::default);
        let vectors = self.own.par_chunks_mut(each * width);
        let vectors = vectors.zip(self.texts.par_chunks_mut(each * width));
        let gradient = self.d_own.par_chunks_mut(each * width);
        let gradient = gradient.zip(self.d_texts.par_chunks_mut(each * width));
        let losses: Vec<f64> = self
            .blocks
            .par_iter_mut()
            .zip(vectors)
            .zip(gradient)
            .map(|((block, vectors), gradient)| {
                block.step(width, weight / n as f32, vectors.into(), gradient.into())
            })
            .collect();
        for (&item, d) in items.iter().zip(self.d_own.chunks_exact(width)) {
            axpy(1.0, d, &mut rows[place[item as usize] as usize * width..][..width]);
        }
        tower.backward_texts(parameters, &items, &self.d_texts, gradients);
        losses.iter().sum()
    }
}

impl Block {
    /// Returns the loss of own vectors and texts, which it brings to length 1, and writes the gradients of what they were.
    fn step(
        &mut self,
        width: usize,
        weight: f32,
        vectors: [&mut [f32]; 2],
        gradients: [&mut [f32]; 2],
    ) -> f64 {
        let [own, texts] = vectors;
        let Self { lengths: [of_own, of_texts], scratch } = self;
        normalise(own, width, of_own);
        normalise(texts, width, of_texts);
        let task = InBatch {
            direction: Direction::Both,
            ids: &[],
            groups: &[],
            shift: &[],
            temperature: TEMPERATURE,
            weight,
        };
        let [d_own, d_texts] = gradients;
        let into = InBatchGradients { a: &mut *d_own, b: &mut *d_texts };
        let loss = task.step(of_own.len(), (own, texts), into, scratch);
        normalise_back(d_own, own, of_own);
        normalise_back(d_texts, texts, of_texts);
        loss
    }
}

/// Brings rows to length 1, and keeps their lengths.
fn normalise(rows: &mut [f32], width: usize, lengths: &mut Vec<f32>) {
    lengths.clear();
    for row in rows.chunks_exact_mut(width) {
        let length = dot(row, row).sqrt().max(SHORTEST);
        row.iter_mut().for_each(|x| *x /= length);
        lengths.push(length);
    }
}

/// Turns the gradients of rows at length 1 into those of the rows: `(d - u (u·d)) / length`.
fn normalise_back(d: &mut [f32], units: &[f32], lengths: &[f32]) {
    let width = (units.len() / lengths.len().max(1)).max(1);
    let rows = d.chunks_exact_mut(width).zip(units.chunks_exact(width));
    for ((d, unit), length) in rows.zip(lengths) {
        let along = dot(d, unit);
        d.iter_mut().zip(unit).for_each(|(d, u)| *d = (*d - along * u) / length);
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::Vectors;
    use tastemaker_testkit::assert_close;

    use super::super::Parts;
    use super::*;
    use crate::params::Layout;

    const WIDTH: usize = 3;

    fn tower(items: usize, experts: usize) -> (Tower, Vec<f32>, Vec<f32>) {
        let mut features = Vectors::zeros(items, 2);
        for item in (0..items).filter(|item| item % 7 != 4) {
            let angle = item as f32;
            features.row_mut(item).copy_from_slice(&[angle.sin(), angle.cos()]);
        }
        let all: Vec<u32> = (0..items as u32).collect();
        let parts = Parts { dim: WIDTH, own: WIDTH, text: WIDTH };
        let mut layout = Layout::default();
        let tower = Tower::new(&mut layout, parts, experts, (&features, &all));
        let mut parameters = layout.start(1);
        parameters.iter_mut().enumerate().for_each(|(i, x)| *x += (i as f32 * 1.7).sin());
        (tower, parameters, (0..items * WIDTH).map(|i| (i as f32 * 0.9).cos()).collect())
    }

    /// Aligns some items, each of which stands where its number says.
    fn align(
        (tower, parameters, own): (&mut Tower, &[f32], &[f32]),
        items: &[u32],
        weight: f32,
    ) -> (f64, Vec<f32>, Vec<f32>) {
        let place: Vec<u32> = (0..(own.len() / WIDTH) as u32).collect();
        let (mut rows, mut gradients) = (vec![0.0; own.len()], vec![0.0; parameters.len()]);
        let into = (&place[..], &mut rows[..], &mut gradients[..]);
        let drawn = (items.to_vec(), weight, 3);
        let loss = Align::default().step(tower, (parameters, own), drawn, into);
        (loss, rows, gradients)
    }

    #[test]
    fn two_items_by_hand() {
        let (mut tower, mut parameters, mut own) = tower(2, 1);
        // Texts (sin 0, cos 0) and (sin 1, cos 1); both are projected to the first axis and the second, but for their length.
        parameters.fill(0.0);
        [parameters[0], parameters[3]] = [3.0, 3.0];
        own.copy_from_slice(&[0.0, 5.0, 0.0, 2.0, 0.0, 0.0]);
        let (loss, ..) = align((&mut tower, &parameters, &own), &[0, 1, 0], 0.5);
        // Cosines of own vectors (rows) with texts: [1, cos 1; 0, sin 1].
        let (sin, cos) = 1f64.sin_cos();
        let find = |own: f64, other: f64| (1.0 + ((other - own) / 0.1).exp()).ln();
        let there = find(1.0, cos) + find(sin, 0.0);
        let back = find(1.0, 0.0) + find(sin, cos);
        assert_close(loss, 0.5 * 0.5 * f64::midpoint(there, back), 1e-4);
    }

    #[test]
    fn gradients_equal_numeric_ones() {
        let items: Vec<u32> = vec![8, 1, 2, 4, 5, 6, 1];
        for experts in [1, 2] {
            let (mut tower, mut parameters, mut own) = tower(9, experts);
            let (_, rows, gradients) = align((&mut tower, &parameters, &own), &items, 0.7);
            let agree = |got: f32, above: f64, below: f64| {
                let want = ((above - below) / 4e-3) as f32;
                assert!((got - want).abs() < 2e-2 * (1.0 + want.abs()), "{got} {want}");
            };
            for at in 0..parameters.len() {
                let old = parameters[at];
                let [above, below] = [2e-3, -2e-3].map(|by| {
                    parameters[at] = old + by;
                    align((&mut tower, &parameters, &own), &items, 0.7).0
                });
                parameters[at] = old;
                agree(gradients[at], above, below);
            }
            for at in 0..own.len() {
                let old = own[at];
                let [above, below] = [2e-3, -2e-3].map(|by| {
                    own[at] = old + by;
                    align((&mut tower, &parameters, &own), &items, 0.7).0
                });
                own[at] = old;
                agree(rows[at], above, below);
            }
            assert!(rows[4 * WIDTH..5 * WIDTH].iter().all(|d| d.abs() < 1e-12), "no text, no pull");
        }
    }

    #[test]
    fn one_item_or_none_with_a_text_has_nothing_to_find() {
        let (mut tower, parameters, own) = tower(9, 1);
        for items in [&[][..], &[3], &[4, 3]] {
            let (loss, rows, gradients) = align((&mut tower, &parameters, &own), items, 1.0);
            assert!(loss.abs() < 1e-12 && rows.iter().chain(&gradients).all(|d| d.abs() < 1e-12));
        }
    }

    #[test]
    fn blocks_give_the_same_bits_with_any_number_of_threads() {
        let (mut tower, parameters, own) = tower(3 * LONGEST + 5, 2);
        let items: Vec<u32> = (0..3 * LONGEST as u32 + 5).collect();
        let mut with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| align((&mut tower, &parameters, &own), &items, 1.0))
        };
        let (loss, rows, gradients) = with(1);
        assert!(loss > 0.0 && loss.is_finite());
        let again = with(2);
        assert!(loss.to_bits() == again.0.to_bits() && rows == again.1 && gradients == again.2);
    }
}
