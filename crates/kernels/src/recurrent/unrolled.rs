//! What all recurrent layers share: inputs and hidden states by time, and the products that need no step by step.
//!
//! Products go through [`Packed`], so that the outputs of a sequence are the same bits whatever runs beside it; only
//! gradients of weights, which are sums over all positions, are plain products.

use super::steps::Steps;
use super::weights::{RecurrentGradients, RecurrentShape, RecurrentWeights};
use crate::{Layout, Packed, Rows, axpy, gemm};

/// A layer's sequences, rolled out over time.
#[derive(Clone, Debug)]
pub(super) struct Unrolled {
    pub(super) shape: RecurrentShape,
    pub(super) steps: Steps,
    /// Weights of the hidden state, as the current pass needs them.
    pub(super) recurrent: Packed,
    /// Hidden states, a block of initial ones in front: `[running + rows, hidden]`.
    pub(super) hidden: Vec<f32>,
    /// Gradient of the outputs by time: `[rows, hidden]`.
    pub(super) dy: Vec<f32>,
    /// Gradient of the hidden states that the step at hand leaves to the one before it: `[running, hidden]`.
    pub(super) carry: Vec<f32>,
    gates: usize,
    input: Packed,
    // [rows, input]
    x: Vec<f32>,
    dx: Vec<f32>,
    // [rows, hidden]
    before: Vec<f32>,
}

/// Gradients of what a layer's products gave: `[rows, gates * hidden]` each.
#[derive(Clone, Copy)]
pub(super) struct Deltas<'a> {
    /// Of the products with inputs.
    pub(super) input: &'a [f32],
    /// Of the products with hidden states.
    pub(super) hidden: &'a [f32],
}

impl Unrolled {
    pub(super) fn new(shape: RecurrentShape, gates: usize) -> Self {
        assert!(shape.input > 0 && shape.hidden > 0, "a layer has inputs and a hidden state");
        Self {
            shape,
            steps: Steps::default(),
            recurrent: Packed::default(),
            hidden: Vec::new(),
            dy: Vec::new(),
            carry: Vec::new(),
            gates,
            input: Packed::default(),
            x: Vec::new(),
            dx: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Lays sequences out and fills `gates` with the products of all inputs, their bias added.
    pub(super) fn start(
        &mut self,
        weights: &RecurrentWeights<'_>,
        offsets: &[usize],
        x: &[f32],
        gates: &mut Vec<f32>,
    ) {
        let RecurrentShape { input, hidden } = self.shape;
        let width = self.gates * hidden;
        weights.check(self.shape, self.gates);
        self.steps.refill(offsets);
        let count = self.steps.n_rows();
        assert_eq!(x.len(), count * input, "there is an input for every position");
        self.steps.gather(x, input, &mut self.x);
        gates.clear();
        for _ in 0..count {
            gates.extend_from_slice(weights.input_bias);
        }
        self.input
            .refill_transposed(Rows { data: weights.input, stride: input, count: width }, input);
        self.input.add_product(Rows { data: &self.x, stride: input, count }, gates, width);
        self.recurrent
            .refill_transposed(Rows { data: weights.hidden, stride: hidden, count: width }, hidden);
        self.hidden.clear();
        self.hidden.resize((self.steps.n_running() + count) * hidden, 0.0);
    }

    /// Adds the products of the hidden states before step `t` to `to: [running, gates * hidden]`.
    pub(super) fn add_recurrent(&self, t: usize, to: &mut [f32]) {
        // The initial state is zero.
        if t > 0 {
            let hidden = self.shape.hidden;
            let before = &self.hidden[self.steps.state_before(t) * hidden..];
            let rows = Rows { data: before, stride: hidden, count: self.steps.rows(t).len() };
            self.recurrent.add_product(rows, to, self.gates * hidden);
        }
    }

    /// Writes the hidden states in the order of positions.
    pub(super) fn finish(&self, y: &mut [f32]) {
        let hidden = self.shape.hidden;
        let states = &self.hidden[self.steps.n_running() * hidden..];
        assert_eq!(y.len(), states.len(), "there is an output for every position");
        self.steps.scatter(states, hidden, y);
    }

    /// Lays out the gradient of the outputs.
    pub(super) fn start_backward(&mut self, weights: &RecurrentWeights<'_>, dy: &[f32]) {
        let hidden = self.shape.hidden;
        weights.check(self.shape, self.gates);
        assert_eq!(dy.len(), self.steps.n_rows() * hidden, "every output has a gradient");
        self.steps.gather(dy, hidden, &mut self.dy);
        let rows = Rows { data: weights.hidden, stride: hidden, count: self.gates * hidden };
        self.recurrent.refill(rows, hidden);
        self.carry.clear();
        self.carry.resize(self.steps.n_running() * hidden, 0.0);
    }

    /// Adds to the carried gradient what goes through the products of step `t`, of gradient `deltas`.
    pub(super) fn carry_through(&mut self, t: usize, deltas: &[f32]) {
        if t > 0 {
            let (hidden, count) = (self.shape.hidden, self.steps.rows(t).len());
            let rows = Rows { data: deltas, stride: self.gates * hidden, count };
            self.recurrent.add_product(rows, &mut self.carry, hidden);
        }
    }

    /// Writes the gradient of the inputs and adds those of the weights.
    pub(super) fn finish_backward(
        &mut self,
        weights: &RecurrentWeights<'_>,
        deltas: Deltas<'_>,
        dx: &mut [f32],
        gradients: &mut RecurrentGradients<'_>,
    ) {
        let RecurrentShape { input, hidden } = self.shape;
        let (width, count) = (self.gates * hidden, self.steps.n_rows());
        gradients.check(self.shape, self.gates);
        assert_eq!(dx.len(), count * input, "every input has a gradient");
        if count == 0 {
            return;
        }
        self.input.refill(Rows { data: weights.input, stride: input, count: width }, input);
        self.dx.clear();
        self.dx.resize(count * input, 0.0);
        let rows = Rows { data: deltas.input, stride: width, count };
        self.input.add_product(rows, &mut self.dx, input);
        self.steps.scatter(&self.dx, input, dx);

        let left = (deltas.input, Layout::Transposed);
        gemm((width, input, count), 1.0, left, (&self.x, Layout::Plain), 1.0, gradients.input);
        // The first step goes on from zeros, which add nothing.
        let first = self.steps.n_running();
        self.before.clear();
        for t in 1..self.steps.len() {
            let from = self.steps.state_before(t) * hidden;
            let block = &self.hidden[from..][..self.steps.rows(t).len() * hidden];
            self.before.extend_from_slice(block);
        }
        let left = (&deltas.hidden[first * width..], Layout::Transposed);
        let shape = (width, hidden, count - first);
        gemm(shape, 1.0, left, (&self.before, Layout::Plain), 1.0, gradients.hidden);
        for (rows, sum) in [
            (deltas.input, &mut *gradients.input_bias),
            (deltas.hidden, &mut *gradients.hidden_bias),
        ] {
            for row in rows.chunks_exact(width) {
                axpy(1.0, row, sum);
            }
        }
    }
}
