//! Recurrent layers written plainly in `f64`, and gradients by central differences: what tests compare with.

use super::weights::{RecurrentGradients, RecurrentShape, RecurrentWeights};

/// Returns numbers between -1 and 1.
pub(crate) fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = u64::from(seed).wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..n + 3).map(|_| next()).skip(3).collect()
}

pub(crate) fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

pub(crate) fn offsets(lens: &[usize]) -> Vec<usize> {
    let mut end = 0;
    let ends = lens.iter().map(|len| {
        end += len;
        end
    });
    std::iter::once(0).chain(ends).collect()
}

/// Returns the gradient of `f` by central differences.
pub(crate) fn slopes(at: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut at = at.to_vec();
    (0..at.len())
        .map(|i| {
            let middle = at[i];
            at[i] = middle + STEP;
            let above = f(&at);
            at[i] = middle - STEP;
            let below = f(&at);
            at[i] = middle;
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

pub(crate) fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).sum()
}

pub(crate) fn assert_close(got: &[f32], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*got) - want).abs();
        assert!(error <= 2e-5 * (1.0 + want.abs()), "{what} {i}: {got}, not {want}");
    }
}

/// A random layer on random sequences.
pub(crate) struct Case {
    shape: RecurrentShape,
    gates: usize,
    pub(crate) offsets: Vec<usize>,
    pub(crate) dy: Vec<f32>,
    // x, then all weights
    values: Vec<f32>,
}

/// Gradients of a [`Case`]'s weights, one vector each.
pub(crate) struct Sums([Vec<f32>; 4]);

impl Sums {
    pub(crate) fn borrow(&mut self) -> RecurrentGradients<'_> {
        let [input, hidden, input_bias, hidden_bias] = &mut self.0;
        RecurrentGradients { input, hidden, input_bias, hidden_bias }
    }
}

/// Weighted sums of one step, in `f64`.
pub(crate) struct Naive<'a> {
    x: &'a [f64],
    weights: [&'a [f64]; 4],
}

impl Naive<'_> {
    fn sum(weights: &[f64], bias: &[f64], row: usize, x: &[f64]) -> f64 {
        let row_weights = &weights[row * x.len()..][..x.len()];
        bias[row] + row_weights.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()
    }

    pub(crate) fn input(&self, row: usize) -> f64 {
        Self::sum(self.weights[0], self.weights[2], row, self.x)
    }

    pub(crate) fn hidden(&self, row: usize, h: &[f64]) -> f64 {
        Self::sum(self.weights[1], self.weights[3], row, h)
    }
}

/// One step of a naive layer: changes the hidden state and, where there is one, the cell.
pub(crate) type Cell = fn(&Naive<'_>, &mut [f64], &mut [f64]);

impl Case {
    pub(crate) fn new(shape: RecurrentShape, gates: usize, lens: &[usize], seed: u32) -> Self {
        let offsets = offsets(lens);
        let positions = offsets[lens.len()];
        let n = Self::sizes(shape, gates, positions).iter().sum();
        let dy = numbers(positions * shape.hidden, seed + 5000);
        Self { shape, gates, offsets, dy, values: numbers(n, seed) }
    }

    fn sizes(shape: RecurrentShape, gates: usize, positions: usize) -> [usize; 5] {
        let rows = gates * shape.hidden;
        [positions * shape.input, rows * shape.input, rows * shape.hidden, rows, rows]
    }

    fn split<'a, T>(&self, mut values: &'a [T]) -> [&'a [T]; 5] {
        Self::sizes(self.shape, self.gates, self.offsets[self.offsets.len() - 1]).map(|n| {
            let (part, rest) = values.split_at(n);
            values = rest;
            part
        })
    }

    pub(crate) fn x(&self) -> &[f32] {
        self.split(&self.values)[0]
    }

    pub(crate) fn weights(&self) -> RecurrentWeights<'_> {
        let [_, input, hidden, input_bias, hidden_bias] = self.split(&self.values);
        RecurrentWeights { input, hidden, input_bias, hidden_bias }
    }

    /// Returns buffers for `y` and `dx`, filled with what must not survive.
    pub(crate) fn outputs(&self) -> (Vec<f32>, Vec<f32>) {
        (vec![f32::NAN; self.dy.len()], vec![f32::NAN; self.x().len()])
    }

    /// Returns gradients of one, to which the layer's are to be added.
    pub(crate) fn gradients(&self) -> Sums {
        let [_, a, b, c, d] = self.split(&self.values);
        Sums([a, b, c, d].map(|part| vec![1.0; part.len()]))
    }

    fn naive(&self, cell: Cell, values: &[f64]) -> Vec<f64> {
        let RecurrentShape { input, hidden } = self.shape;
        let [x, weights @ ..] = self.split(values);
        let mut y = Vec::new();
        for ends in self.offsets.windows(2) {
            let (mut h, mut c) = (vec![0.0; hidden], vec![0.0; hidden]);
            for position in ends[0]..ends[1] {
                let x = &x[position * input..][..input];
                cell(&Naive { x, weights }, &mut h, &mut c);
                y.extend_from_slice(&h);
            }
        }
        y
    }

    /// Compares outputs and gradients, which began as [`gradients`](Self::gradients), with the naive layer's.
    pub(crate) fn assert_agrees(&self, cell: Cell, y: &[f32], dx: &[f32], sums: &Sums) {
        let values = widen(&self.values);
        assert_close(y, &self.naive(cell, &values), "y");
        let slopes = slopes(&values, |values| dot(&self.naive(cell, values), &self.dy));
        let [want, rest @ ..] = self.split(&slopes);
        assert_close(dx, want, "dx");
        let names = ["input", "hidden", "input bias", "hidden bias"];
        for ((got, want), name) in sums.0.iter().zip(rest).zip(names) {
            let want: Vec<f64> = want.iter().map(|x| x + 1.0).collect();
            assert_close(got, &want, name);
        }
    }
}

/// Runs seven sequences together and one by one, and compares to the bit.
pub(crate) fn assert_alone_as_among_others(
    gates: usize,
    mut forward: impl FnMut(RecurrentShape, &RecurrentWeights<'_>, &[usize], &[f32], &mut [f32]),
) {
    let shape = RecurrentShape { input: 33, hidden: 50 };
    let case = Case::new(shape, gates, &[5, 1, 9, 0, 9, 2, 14], 3);
    let (mut together, _) = case.outputs();
    forward(shape, &case.weights(), &case.offsets, case.x(), &mut together);
    for ends in case.offsets.windows(2) {
        let len = ends[1] - ends[0];
        let mut alone = vec![f32::NAN; len * shape.hidden];
        let x = &case.x()[ends[0] * shape.input..ends[1] * shape.input];
        forward(shape, &case.weights(), &[0, len], x, &mut alone);
        assert!(alone == together[ends[0] * shape.hidden..ends[1] * shape.hidden]);
    }
}
