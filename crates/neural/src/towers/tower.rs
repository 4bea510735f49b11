//! The upper part of a tower: hidden layers whose result is added to what comes in, and a division by the length.
//!
//! `s = x + W_out f(… f(W_1 x + b_1) …) + b_out` with `ReLU` for f, or `s = x` without hidden layers; then `y = s / |s|` where vectors are to
//! have length 1. Shapes: `x, y: [rows, dim]`.

use tastemaker_kernels::{Activation, axpy, dot};

use crate::layers::{Dropout, Linear};
use crate::params::Layout;

/// Below this length a vector says nothing, and stays as it is without a gradient.
const SHORTEST: f32 = 1e-12;

/// Places of the layers in the run of parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tower {
    dim: usize,
    normalise: bool,
    hidden: Vec<Linear>,
    out: Option<Linear>,
}

/// What a forward pass leaves for the backward pass. Reused from step to step.
#[derive(Clone, Debug, Default)]
pub(super) struct TowerState {
    /// Each hidden layer before and after its activation.
    layers: Vec<[Vec<f32>; 2]>,
    /// Lengths of the rows; empty where they are left as they are.
    lengths: Vec<f32>,
    /// The result.
    pub(super) y: Vec<f32>,
    deltas: [Vec<f32>; 2],
}

fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(len, 0.0);
    buffer
}

impl Tower {
    pub(super) fn new(
        layout: &mut Layout,
        name: &str,
        (dim, hidden): (usize, &[usize]),
        normalise: bool,
    ) -> Self {
        let mut input = dim;
        let mut layer = |(at, &output): (usize, &usize)| {
            let layer = Linear::new(layout, &format!("{name}.hidden{at}"), input, output);
            input = output;
            layer
        };
        let hidden: Vec<Linear> = hidden.iter().enumerate().map(&mut layer).collect();
        let out = hidden
            .last()
            .map(|last| Linear::new(layout, &format!("{name}.out"), last.output(), dim));
        Self { dim, normalise, hidden, out }
    }

    /// Returns about how many numbers a row takes in training.
    pub(super) fn floats(&self) -> usize {
        4 * self.dim + 3 * self.hidden.iter().map(Linear::output).sum::<usize>()
    }

    /// Leaves the vectors in `state.y`.
    pub(super) fn forward(
        &self,
        parameters: &[f32],
        x: &[f32],
        (state, dropout): (&mut TowerState, Dropout),
    ) {
        let rows = x.len() / self.dim;
        let TowerState { layers, lengths, y, deltas } = state;
        layers.resize(self.hidden.len(), Default::default());
        for (at, layer) in self.hidden.iter().enumerate() {
            let (below, rest) = layers.split_at_mut(at);
            let [before, after] = &mut rest[0];
            let input = below.last().map_or(x, |[_, active]| active);
            layer.forward(parameters, input, sized(before, rows * layer.output()));
            let after = sized(after, rows * layer.output());
            Activation::Relu.forward(before, after);
            dropout.apply(1 + at as u64, after);
        }
        y.clear();
        y.extend_from_slice(x);
        if let (Some(out), Some([_, top])) = (self.out, layers.last()) {
            let branch = sized(&mut deltas[0], x.len());
            out.forward(parameters, top, branch);
            axpy(1.0, branch, y);
        }
        lengths.clear();
        if self.normalise {
            for row in y.chunks_exact_mut(self.dim) {
                let length = dot(row, row).sqrt();
                lengths.push(length);
                if length > SHORTEST {
                    row.iter_mut().for_each(|x| *x /= length);
                }
            }
        }
    }

    /// Adds the gradients of the parameters and turns `d`, the gradient of the result, into that of `x`.
    pub(super) fn backward(
        &self,
        (parameters, gradients): (&[f32], &mut [f32]),
        x: &[f32],
        (state, dropout): (&mut TowerState, Dropout),
        d: &mut [f32],
    ) {
        let rows = d.chunks_exact_mut(self.dim).zip(state.y.chunks_exact(self.dim));
        for ((d, y), &length) in rows.zip(&state.lengths) {
            if length <= SHORTEST {
                d.fill(0.0);
                continue;
            }
            // y = s / |s|: what points along y changes the length alone.
            let along = dot(d, y);
            d.iter_mut().zip(y).for_each(|(d, y)| *d = (*d - along * y) / length);
        }
        let (Some(out), Some([_, top])) = (self.out, state.layers.last()) else { return };
        let [delta, below] = &mut state.deltas;
        out.backward((parameters, &mut *gradients), top, d, (0.0, sized(delta, top.len())));
        for (at, layer) in self.hidden.iter().enumerate().rev() {
            dropout.apply(1 + at as u64, delta);
            Activation::Relu.backward(&state.layers[at][0], delta);
            if at == 0 {
                layer.backward((parameters, &mut *gradients), x, delta, (1.0, &mut *d));
            } else {
                let input = &state.layers[at - 1][1];
                let into = sized(below, input.len());
                layer.backward((parameters, &mut *gradients), input, delta, (0.0, into));
                std::mem::swap(delta, below);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_layers_a_vector_is_brought_to_length_one() {
        let mut layout = Layout::default();
        let tower = Tower::new(&mut layout, "t", (2, &[]), true);
        let mut state = TowerState::default();
        tower.forward(&[], &[3.0, 4.0, 0.0, 0.0], (&mut state, Dropout::default()));
        assert_eq!(layout.len(), 0);
        tastemaker_testkit::assert_all_close(&state.y, &[0.6, 0.8, 0.0, 0.0], 1e-6);
    }

    #[test]
    fn one_hidden_layer_by_hand() {
        let mut layout = Layout::default();
        let tower = Tower::new(&mut layout, "t", (1, &[2]), false);
        // W_1 = (1, -1), b_1 = (0.5, 0): of x = 2, (2.5, -2) and after ReLU (2.5, 0). W_out = (2, 3), b_out = 1: 6. With x, 8.
        let parameters = [1.0, -1.0, 0.5, 0.0, 2.0, 3.0, 1.0];
        let mut state = TowerState::default();
        tower.forward(&parameters, &[2.0], (&mut state, Dropout::default()));
        tastemaker_testkit::assert_all_close(&state.y, &[8.0], 1e-6);
    }

    #[test]
    fn gradients_equal_numeric_ones() {
        let nothing = Dropout::default();
        for (hidden, normalise) in [(&[][..], true), (&[5], false), (&[5, 4], true)] {
            for (rows, dim) in [(1, 1), (1, 3), (4, 3)] {
                check((dim, hidden), normalise, rows, nothing);
                check((dim, hidden), normalise, rows, Dropout { rate: 0.3, key: 11 });
            }
        }
    }

    fn check(shape: (usize, &[usize]), normalise: bool, rows: usize, dropout: Dropout) {
        let mut layout = Layout::default();
        let tower = Tower::new(&mut layout, "t", shape, normalise);
        let mut parameters = layout.start(3);
        parameters.iter_mut().enumerate().for_each(|(i, x)| *x += 0.2 * (i as f32).sin());
        let mut x: Vec<f32> = (0..rows * shape.0).map(|i| 1.5 + (i as f32 * 0.7).sin()).collect();
        let w: Vec<f32> = (0..x.len()).map(|i| (i as f32 * 1.3).cos()).collect();
        let mut state = TowerState::default();
        let mut loss = |parameters: &[f32], x: &[f32]| -> f64 {
            tower.forward(parameters, x, (&mut state, dropout));
            state.y.iter().zip(&w).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
        };
        let (mut d, mut gradients) = (w.clone(), vec![0.0; parameters.len()]);
        let mut used = TowerState::default();
        tower.forward(&parameters, &x, (&mut used, dropout));
        tower.backward((&parameters, &mut gradients), &x, (&mut used, dropout), &mut d);
        let step = 2e-3;
        let agree = |got: f32, above: f64, below: f64, what: String| {
            let want = (above - below) / f64::from(2.0 * step);
            let allowed = 1e-2 * (1.0 + want.abs());
            assert!((f64::from(got) - want).abs() < allowed, "{what}: {got} {want} {shape:?}");
        };
        for i in 0..x.len() {
            let mut at = |by: f32| {
                x[i] += by;
                let loss = loss(&parameters, &x);
                x[i] -= by;
                loss
            };
            agree(d[i], at(step), at(-step), format!("x {i}"));
        }
        for i in 0..parameters.len() {
            let mut at = |by: f32| {
                parameters[i] += by;
                let loss = loss(&parameters, &x);
                parameters[i] -= by;
                loss
            };
            agree(gradients[i], at(step), at(-step), format!("parameter {i}"));
        }
    }
}
