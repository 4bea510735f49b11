//! Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000):
//!
//! `i, f, o = σ(W x + b + U h + c)` and `g = tanh(W x + b + U h + c)` with weights of their own each,
//! `s' = f s + i g`, `h' = o tanh(s')`. Weights hold the gates in the order i, f, g, o, as in `PyTorch`.

use multiversion::{multiversion, target::target_cfg_f};

use super::gate::{Lanes, pieces};
use super::unrolled::{Deltas, Unrolled};
use super::weights::{RecurrentGradients, RecurrentShape, RecurrentWeights};

const GATES: usize = 4;

/// A layer at work: its shape and its buffers, reused from call to call. Weights stay with the caller.
#[derive(Clone, Debug)]
pub struct Lstm {
    unrolled: Unrolled,
    /// `i`, `f`, `g` and `o` of every row: `[rows, 4 * hidden]`.
    gates: Vec<f32>,
    /// `s`, a block of initial ones in front: `[running + rows, hidden]`.
    cells: Vec<f32>,
    /// `tanh(s)` of every row: `[rows, hidden]`.
    squashed: Vec<f32>,
    /// Gradients of `W x + b + U h + c`: `[rows, 4 * hidden]`.
    deltas: Vec<f32>,
    /// Gradient of the cells that the step at hand leaves to the one before it: `[running, hidden]`.
    carry: Vec<f32>,
}

impl Lstm {
    /// Makes a layer without memory of any sequence.
    ///
    /// # Panics
    /// When a width is zero.
    pub fn new(shape: RecurrentShape) -> Self {
        Self {
            unrolled: Unrolled::new(shape, GATES),
            gates: Vec::new(),
            cells: Vec::new(),
            squashed: Vec::new(),
            deltas: Vec::new(),
            carry: Vec::new(),
        }
    }

    /// Writes the hidden state after every position, and keeps what [`backward`](Self::backward) needs.
    ///
    /// Sequence `i` is `offsets[i]..offsets[i + 1]` and begins with state and cell zero; `x: [positions, input]`,
    /// `y: [positions, hidden]`.
    ///
    /// # Panics
    /// When slices do not fill these shapes, or offsets do not rise from zero.
    pub fn forward(
        &mut self,
        weights: &RecurrentWeights<'_>,
        offsets: &[usize],
        x: &[f32],
        y: &mut [f32],
    ) {
        self.unrolled.start(weights, offsets, x, &mut self.gates);
        let hidden = self.unrolled.shape.hidden;
        let width = GATES * hidden;
        self.cells.clear();
        self.cells.resize(self.unrolled.hidden.len(), 0.0);
        self.squashed.resize(self.unrolled.steps.n_rows() * hidden, 0.0);
        for t in 0..self.unrolled.steps.len() {
            let rows = self.unrolled.steps.rows(t);
            let gates = &mut self.gates[rows.start * width..rows.end * width];
            self.unrolled.add_recurrent(t, gates);
            let state = self.unrolled.steps.state(t) * hidden;
            let (before, cells) = self.cells.split_at_mut(state);
            let step = Step {
                hidden,
                bias: weights.hidden_bias,
                before: &before[self.unrolled.steps.state_before(t) * hidden..],
                gates,
                cells,
                squashed: &mut self.squashed[rows.start * hidden..],
                after: &mut self.unrolled.hidden[state..],
            };
            step_forward(step);
        }
        self.unrolled.finish(y);
    }

    /// Goes back through the sequences of the last [`forward`](Self::forward), which had the same weights: from the
    /// gradient `dy` of its `y` writes the gradient `dx` of its `x` and adds to the weights' gradients.
    ///
    /// # Panics
    /// When slices do not fill their shapes.
    pub fn backward(
        &mut self,
        weights: &RecurrentWeights<'_>,
        dy: &[f32],
        dx: &mut [f32],
        gradients: &mut RecurrentGradients<'_>,
    ) {
        self.unrolled.start_backward(weights, dy);
        let hidden = self.unrolled.shape.hidden;
        let width = GATES * hidden;
        self.deltas.resize(self.unrolled.steps.n_rows() * width, 0.0);
        self.carry.clear();
        self.carry.resize(self.unrolled.carry.len(), 0.0);
        for t in (0..self.unrolled.steps.len()).rev() {
            let rows = self.unrolled.steps.rows(t);
            let step = StepBack {
                hidden,
                gates: &self.gates[rows.start * width..],
                before: &self.cells[self.unrolled.steps.state_before(t) * hidden..],
                squashed: &self.squashed[rows.start * hidden..],
                dy: &self.unrolled.dy[rows.start * hidden..rows.end * hidden],
                carry: &mut self.unrolled.carry,
                cell_carry: &mut self.carry,
                deltas: &mut self.deltas[rows.start * width..],
            };
            step_backward(step);
            self.unrolled.carry_through(t, &self.deltas[rows.start * width..]);
        }
        let deltas = Deltas { input: &self.deltas, hidden: &self.deltas };
        self.unrolled.finish_backward(weights, deltas, dx, gradients);
    }
}

/// One step of all running sequences; slices may be longer than that.
struct Step<'a> {
    hidden: usize,
    bias: &'a [f32],
    /// Cells before the step.
    before: &'a [f32],
    /// Products without `bias` when it begins, gates when it ends; exactly the rows of the step.
    gates: &'a mut [f32],
    cells: &'a mut [f32],
    squashed: &'a mut [f32],
    after: &'a mut [f32],
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn step_forward(step: Step<'_>) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let dim = step.hidden;
    let [input_bias, forget_bias, candidate_bias, output_bias] = quarters(step.bias, dim);
    let rows = step
        .gates
        .chunks_exact_mut(GATES * dim)
        .zip(step.before.chunks_exact(dim))
        .zip(step.cells.chunks_exact_mut(dim))
        .zip(step.squashed.chunks_exact_mut(dim))
        .zip(step.after.chunks_exact_mut(dim));
    for ((((gates, before), cell), squashed), after) in rows {
        let [input, forget, candidate, output] = quarters_mut(gates, dim);
        for at in pieces(dim) {
            let i = (Lanes::load(input, at) + Lanes::load(input_bias, at)).sigmoid(fused);
            let f = (Lanes::load(forget, at) + Lanes::load(forget_bias, at)).sigmoid(fused);
            let g = (Lanes::load(candidate, at) + Lanes::load(candidate_bias, at)).tanh(fused);
            let o = (Lanes::load(output, at) + Lanes::load(output_bias, at)).sigmoid(fused);
            let s = f * Lanes::load(before, at) + i * g;
            let tanh = s.tanh(fused);
            i.store(input, at);
            f.store(forget, at);
            g.store(candidate, at);
            o.store(output, at);
            s.store(cell, at);
            tanh.store(squashed, at);
            (o * tanh).store(after, at);
        }
    }
}

/// One step back of all running sequences; slices may be longer than that.
struct StepBack<'a> {
    hidden: usize,
    gates: &'a [f32],
    /// Cells before the step.
    before: &'a [f32],
    squashed: &'a [f32],
    /// Exactly the rows of the step.
    dy: &'a [f32],
    /// Gradient of the states after the step when it begins, zero when it ends: all of it goes through the products.
    carry: &'a mut [f32],
    /// Gradient of the cells, after the step when it begins, before it when it ends.
    cell_carry: &'a mut [f32],
    deltas: &'a mut [f32],
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn step_backward(step: StepBack<'_>) {
    let dim = step.hidden;
    let rows = step
        .dy
        .chunks_exact(dim)
        .zip(step.gates.chunks_exact(GATES * dim))
        .zip(step.before.chunks_exact(dim))
        .zip(step.squashed.chunks_exact(dim))
        .zip(step.carry.chunks_exact_mut(dim))
        .zip(step.cell_carry.chunks_exact_mut(dim))
        .zip(step.deltas.chunks_exact_mut(GATES * dim));
    for ((((((dy, gates), before), squashed), carry), cell_carry), deltas) in rows {
        let [input, forget, candidate, output] = quarters(gates, dim);
        let [d_input, d_forget, d_candidate, d_output] = quarters_mut(deltas, dim);
        let one = Lanes::splat(1.0);
        for at in pieces(dim) {
            let (i, f) = (Lanes::load(input, at), Lanes::load(forget, at));
            let (g, o) = (Lanes::load(candidate, at), Lanes::load(output, at));
            let tanh = Lanes::load(squashed, at);
            let dh = Lanes::load(dy, at) + Lanes::load(carry, at);
            let ds = Lanes::load(cell_carry, at) + dh * o * (one - tanh * tanh);
            // σ' = σ (1 - σ) and tanh' = 1 - tanh²
            (ds * g * i * (one - i)).store(d_input, at);
            (ds * Lanes::load(before, at) * f * (one - f)).store(d_forget, at);
            (ds * i * (one - g * g)).store(d_candidate, at);
            (dh * tanh * o * (one - o)).store(d_output, at);
            (ds * f).store(cell_carry, at);
            Lanes::splat(0.0).store(carry, at);
        }
    }
}

#[inline(always)]
fn quarters(row: &[f32], dim: usize) -> [&[f32]; GATES] {
    [&row[..dim], &row[dim..2 * dim], &row[2 * dim..3 * dim], &row[3 * dim..]]
}

#[inline(always)]
fn quarters_mut(row: &mut [f32], dim: usize) -> [&mut [f32]; GATES] {
    let (left, right) = row.split_at_mut(2 * dim);
    let (first, second) = left.split_at_mut(dim);
    let (third, fourth) = right.split_at_mut(dim);
    [first, second, third, fourth]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recurrent::check::{self, Case, Naive};

    fn naive_cell(gates: &Naive<'_>, h: &mut [f64], s: &mut [f64]) {
        let dim = h.len();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let before = h.to_vec();
        for x in 0..dim {
            let sum =
                |gate: usize| gates.input(gate * dim + x) + gates.hidden(gate * dim + x, &before);
            s[x] = sigmoid(sum(1)) * s[x] + sigmoid(sum(0)) * sum(2).tanh();
            h[x] = sigmoid(sum(3)) * s[x].tanh();
        }
    }

    fn agrees(case: &Case, lstm: &mut Lstm) {
        let (mut y, mut dx) = case.outputs();
        let mut sums = case.gradients();
        lstm.forward(&case.weights(), &case.offsets, case.x(), &mut y);
        lstm.backward(&case.weights(), &case.dy, &mut dx, &mut sums.borrow());
        case.assert_agrees(naive_cell, &y, &dx, &sums);
    }

    #[test]
    fn two_steps_of_one_unit_by_hand() {
        // i, f and o have weights and biases zero, so all are 1/2; W_g = 1, U_g = 2, biases 0.25 and -0.25.
        // x = 0.5: g = tanh(0.5) = 0.462117, s = g/2 = 0.231059, h = tanh(s)/2 = 0.113516.
        // x = 0: g = tanh(0.227032) = 0.223210, s = (0.231059 + 0.223210)/2 = 0.227134, h = 0.111654.
        let weights = RecurrentWeights {
            input: &[0.0, 0.0, 1.0, 0.0],
            hidden: &[0.0, 0.0, 2.0, 0.0],
            input_bias: &[0.0, 0.0, 0.25, 0.0],
            hidden_bias: &[0.0, 0.0, -0.25, 0.0],
        };
        let mut lstm = Lstm::new(RecurrentShape { input: 1, hidden: 1 });
        let mut y = [9.0; 2];
        lstm.forward(&weights, &[0, 2], &[0.5, 0.0], &mut y);
        assert!((y[0] - 0.113_516).abs() < 1e-6 && (y[1] - 0.111_654).abs() < 1e-6, "{y:?}");
        // dy = (0, 1): ds = o (1 - tanh(s)²) = (1 - 0.223307²)/2 = 0.475067;
        // dx of the second = ds · i · (1 - g²) = 0.475067/2 · (1 - 0.049823) = 0.225699.
        // First: dh = 2 · 0.225699 = 0.451397, ds = 0.475067/2 + 0.451397/2 · (1 - 0.227032²) = 0.451598,
        // dx = 0.451598/2 · (1 - 0.213552) = 0.177580.
        let mut dx = [9.0; 2];
        let mut d = [[0.0; 4]; 4];
        let [input, hidden, input_bias, hidden_bias] = &mut d;
        let mut gradients = RecurrentGradients { input, hidden, input_bias, hidden_bias };
        lstm.backward(&weights, &[0.0, 1.0], &mut dx, &mut gradients);
        assert!((dx[0] - 0.177_580).abs() < 2e-6 && (dx[1] - 0.225_699).abs() < 2e-6, "{dx:?}");
        // dW_g = 0.5 · 0.177580, dU_g = 0.225699 · 0.113516, and either bias gets the sum of both.
        assert!((d[0][2] - 0.088_790).abs() < 2e-6 && (d[1][2] - 0.025_620).abs() < 2e-6, "{d:?}");
        assert!((d[2][2] - 0.403_279).abs() < 2e-6 && (d[3][2] - d[2][2]).abs() < 1e-9, "{d:?}");
    }

    #[test]
    fn gradients_equal_central_differences() {
        for lens in [&[1][..], &[1, 1, 1], &[4, 0, 1, 7, 2], &[]] {
            let shape = RecurrentShape { input: 5, hidden: 19 };
            agrees(&Case::new(shape, 4, lens, 7), &mut Lstm::new(shape));
        }
    }

    #[test]
    fn a_sequence_alone_gives_the_same_bits_as_among_others() {
        check::assert_alone_as_among_others(4, |shape, weights, offsets, x, y| {
            Lstm::new(shape).forward(weights, offsets, x, y);
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_sequences_equal_the_naive_layer(
            (input, hidden) in (1usize..6, 1usize..18),
            lens in prop::collection::vec(0usize..6, 0..6),
            again in prop::collection::vec(0usize..4, 0..4),
            seed in 0u32..1000,
        ) {
            // The second case meets the buffers of the first.
            let shape = RecurrentShape { input, hidden };
            let mut lstm = Lstm::new(shape);
            agrees(&Case::new(shape, 4, &lens, seed), &mut lstm);
            agrees(&Case::new(shape, 4, &again, seed + 1), &mut lstm);
        }
    }
}
