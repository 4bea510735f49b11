//! Gated recurrent unit (Cho et al. 2014, with the reset gate after the product, as in cuDNN and PyTorch):
//!
//! `r = σ(W_r x + b_r + U_r h + c_r)`, `z = σ(W_z x + b_z + U_z h + c_z)`, `n = tanh(W_n x + b_n + r (U_n h + c_n))`,
//! `h' = (1 - z) n + z h`. Weights hold the gates in the order r, z, n.

use multiversion::{multiversion, target::target_cfg_f};

use super::gate::{Lanes, pieces};
use super::unrolled::{Deltas, Unrolled};
use super::weights::{RecurrentGradients, RecurrentShape, RecurrentWeights};

const GATES: usize = 3;

/// A layer at work: its shape and its buffers, reused from call to call. Weights stay with the caller.
#[derive(Clone, Debug)]
pub struct Gru {
    unrolled: Unrolled,
    /// `r`, `z` and `n` of every row: `[rows, 3 * hidden]`.
    gates: Vec<f32>,
    /// `U_n h + c_n` of every row: `[rows, hidden]`.
    inner: Vec<f32>,
    /// `U h + c` of one step: `[running, 3 * hidden]`.
    products: Vec<f32>,
    /// Gradients of `W x + b`: `[rows, 3 * hidden]`.
    d_input: Vec<f32>,
    /// Gradients of `U h + c`: `[rows, 3 * hidden]`.
    d_hidden: Vec<f32>,
}

impl Gru {
    /// Makes a layer without memory of any sequence.
    ///
    /// # Panics
    /// When a width is zero.
    pub fn new(shape: RecurrentShape) -> Self {
        Self {
            unrolled: Unrolled::new(shape, GATES),
            gates: Vec::new(),
            inner: Vec::new(),
            products: Vec::new(),
            d_input: Vec::new(),
            d_hidden: Vec::new(),
        }
    }

    /// Writes the hidden state after every position, and keeps what [`backward`](Self::backward) needs.
    ///
    /// Sequence `i` is `offsets[i]..offsets[i + 1]` and begins with state zero; `x: [positions, input]`,
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
        self.inner.resize(self.unrolled.steps.n_rows() * hidden, 0.0);
        for t in 0..self.unrolled.steps.len() {
            let rows = self.unrolled.steps.rows(t);
            self.products.clear();
            for _ in rows.clone() {
                self.products.extend_from_slice(weights.hidden_bias);
            }
            self.unrolled.add_recurrent(t, &mut self.products);
            let (before, after) =
                self.unrolled.hidden.split_at_mut(self.unrolled.steps.state(t) * hidden);
            let step = Step {
                hidden,
                products: &self.products,
                before: &before[self.unrolled.steps.state_before(t) * hidden..],
                gates: &mut self.gates[rows.start * GATES * hidden..rows.end * GATES * hidden],
                inner: &mut self.inner[rows.start * hidden..],
                after,
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
        let n_rows = self.unrolled.steps.n_rows();
        self.d_input.resize(n_rows * width, 0.0);
        self.d_hidden.resize(n_rows * width, 0.0);
        for t in (0..self.unrolled.steps.len()).rev() {
            let rows = self.unrolled.steps.rows(t);
            let step = StepBack {
                hidden,
                gates: &self.gates[rows.start * width..],
                inner: &self.inner[rows.start * hidden..],
                before: &self.unrolled.hidden[self.unrolled.steps.state_before(t) * hidden..],
                dy: &self.unrolled.dy[rows.start * hidden..rows.end * hidden],
                carry: &mut self.unrolled.carry,
                d_input: &mut self.d_input[rows.start * width..],
                d_hidden: &mut self.d_hidden[rows.start * width..],
            };
            step_backward(step);
            self.unrolled.carry_through(t, &self.d_hidden[rows.start * width..]);
        }
        let deltas = Deltas { input: &self.d_input, hidden: &self.d_hidden };
        self.unrolled.finish_backward(weights, deltas, dx, gradients);
    }
}

/// One step of all running sequences; slices may be longer than that.
struct Step<'a> {
    hidden: usize,
    products: &'a [f32],
    before: &'a [f32],
    /// Products of inputs when it begins, gates when it ends; exactly the rows of the step.
    gates: &'a mut [f32],
    inner: &'a mut [f32],
    after: &'a mut [f32],
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn step_forward(step: Step<'_>) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let dim = step.hidden;
    let rows = step
        .gates
        .chunks_exact_mut(GATES * dim)
        .zip(step.products.chunks_exact(GATES * dim))
        .zip(step.before.chunks_exact(dim))
        .zip(step.inner.chunks_exact_mut(dim))
        .zip(step.after.chunks_exact_mut(dim));
    for ((((gates, products), before), inner), after) in rows {
        let [reset, update, candidate] = thirds_mut(gates, dim);
        let [reset_product, update_product, inner_product] = thirds(products, dim);
        for at in pieces(dim) {
            let r = (Lanes::load(reset, at) + Lanes::load(reset_product, at)).sigmoid(fused);
            let z = (Lanes::load(update, at) + Lanes::load(update_product, at)).sigmoid(fused);
            let u = Lanes::load(inner_product, at);
            let n = (Lanes::load(candidate, at) + r * u).tanh(fused);
            let h = Lanes::load(before, at);
            r.store(reset, at);
            z.store(update, at);
            n.store(candidate, at);
            u.store(inner, at);
            (n + z * (h - n)).store(after, at);
        }
    }
}

/// One step back of all running sequences; slices may be longer than that.
struct StepBack<'a> {
    hidden: usize,
    gates: &'a [f32],
    inner: &'a [f32],
    before: &'a [f32],
    /// Exactly the rows of the step.
    dy: &'a [f32],
    /// Gradient of the states after the step when it begins; when it ends, what skips the products on its way to the
    /// states before it.
    carry: &'a mut [f32],
    d_input: &'a mut [f32],
    d_hidden: &'a mut [f32],
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn step_backward(step: StepBack<'_>) {
    let dim = step.hidden;
    let rows = step
        .dy
        .chunks_exact(dim)
        .zip(step.gates.chunks_exact(GATES * dim))
        .zip(step.inner.chunks_exact(dim))
        .zip(step.before.chunks_exact(dim))
        .zip(step.carry.chunks_exact_mut(dim))
        .zip(step.d_input.chunks_exact_mut(GATES * dim))
        .zip(step.d_hidden.chunks_exact_mut(GATES * dim));
    for ((((((dy, gates), inner), before), carry), d_input), d_hidden) in rows {
        let [reset, update, candidate] = thirds(gates, dim);
        let [d_reset, d_update, d_candidate] = thirds_mut(d_input, dim);
        let [d_reset_product, d_update_product, d_inner] = thirds_mut(d_hidden, dim);
        let one = Lanes::splat(1.0);
        for at in pieces(dim) {
            let (r, z) = (Lanes::load(reset, at), Lanes::load(update, at));
            let (n, h) = (Lanes::load(candidate, at), Lanes::load(before, at));
            let dh = Lanes::load(dy, at) + Lanes::load(carry, at);
            // σ' = σ (1 - σ) and tanh' = 1 - tanh²
            let dn = dh * (one - z) * (one - n * n);
            let dz = dh * (h - n) * z * (one - z);
            let dr = dn * Lanes::load(inner, at) * r * (one - r);
            dr.store(d_reset, at);
            dr.store(d_reset_product, at);
            dz.store(d_update, at);
            dz.store(d_update_product, at);
            dn.store(d_candidate, at);
            (dn * r).store(d_inner, at);
            (dh * z).store(carry, at);
        }
    }
}

#[inline(always)]
fn thirds(row: &[f32], dim: usize) -> [&[f32]; GATES] {
    [&row[..dim], &row[dim..2 * dim], &row[2 * dim..]]
}

#[inline(always)]
fn thirds_mut(row: &mut [f32], dim: usize) -> [&mut [f32]; GATES] {
    let (first, rest) = row.split_at_mut(dim);
    let (second, third) = rest.split_at_mut(dim);
    [first, second, third]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recurrent::check::{self, Case, Naive};

    fn naive_cell(gates: &Naive<'_>, h: &mut [f64], _: &mut [f64]) {
        let dim = h.len();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let next: Vec<f64> = (0..dim)
            .map(|i| {
                let r = sigmoid(gates.input(i) + gates.hidden(i, h));
                let z = sigmoid(gates.input(dim + i) + gates.hidden(dim + i, h));
                let n = (gates.input(2 * dim + i) + r * gates.hidden(2 * dim + i, h)).tanh();
                (1.0 - z) * n + z * h[i]
            })
            .collect();
        h.copy_from_slice(&next);
    }

    fn agrees(case: &Case, gru: &mut Gru) {
        let (mut y, mut dx) = case.outputs();
        let mut sums = case.gradients();
        gru.forward(&case.weights(), &case.offsets, case.x(), &mut y);
        gru.backward(&case.weights(), &case.dy, &mut dx, &mut sums.borrow());
        case.assert_agrees(naive_cell, &y, &dx, &sums);
    }

    #[test]
    fn two_steps_of_one_unit_by_hand() {
        // r and z have weights and biases zero, so both are 1/2; W_n = 1, U_n = 2, c_n = 0, b_n = 0.
        // x = 0.5: n = tanh(0.5) = 0.462117, h = n/2 = 0.231059.
        // x = 0: n = tanh(1/2 · 2 · 0.231059) = 0.227032, h = (0.227032 + 0.231059) / 2 = 0.229045.
        let weights = RecurrentWeights {
            input: &[0.0, 0.0, 1.0],
            hidden: &[0.0, 0.0, 2.0],
            input_bias: &[0.0; 3],
            hidden_bias: &[0.0; 3],
        };
        let mut gru = Gru::new(RecurrentShape { input: 1, hidden: 1 });
        let mut y = [9.0; 2];
        gru.forward(&weights, &[0, 2], &[0.5, 0.0], &mut y);
        assert!((y[0] - 0.231_059).abs() < 1e-6 && (y[1] - 0.229_045).abs() < 1e-6, "{y:?}");
        // dy = (0, 1): da = (1 - z) (1 - n²) = (1 - 0.051544) / 2 = 0.474228 is dx of the second position.
        // dh of the first = z + r · da · U_n = 1/2 + 0.474228 = 0.974228;
        // dx of the first = 0.974228 · 1/2 · (1 - 0.213552) = 0.383090.
        let mut dx = [9.0; 2];
        let mut d = [[0.0; 3]; 4];
        let [input, hidden, input_bias, hidden_bias] = &mut d;
        let mut gradients = RecurrentGradients { input, hidden, input_bias, hidden_bias };
        gru.backward(&weights, &[0.0, 1.0], &mut dx, &mut gradients);
        assert!((dx[0] - 0.383_090).abs() < 1e-6 && (dx[1] - 0.474_228).abs() < 1e-6, "{dx:?}");
        // dW_n = 0.5 · 0.383090; dU_n = r · da · h = 0.474228 / 2 · 0.231059 = 0.054787; db_n = their sum 0.857318.
        assert!((d[0][2] - 0.191_545).abs() < 1e-6 && (d[1][2] - 0.054_787).abs() < 1e-6, "{d:?}");
        assert!((d[2][2] - 0.857_318).abs() < 1e-6, "{d:?}");
    }

    #[test]
    fn gradients_equal_central_differences() {
        for lens in [&[1][..], &[1, 1, 1], &[4, 0, 1, 7, 2], &[]] {
            let shape = RecurrentShape { input: 5, hidden: 19 };
            agrees(&Case::new(shape, 3, lens, 7), &mut Gru::new(shape));
        }
    }

    #[test]
    fn a_sequence_alone_gives_the_same_bits_as_among_others() {
        check::assert_alone_as_among_others(3, |shape, weights, offsets, x, y| {
            Gru::new(shape).forward(weights, offsets, x, y);
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
            let mut gru = Gru::new(shape);
            agrees(&Case::new(shape, 3, &lens, seed), &mut gru);
            agrees(&Case::new(shape, 3, &again, seed + 1), &mut gru);
        }
    }
}
