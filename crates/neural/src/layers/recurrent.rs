//! A recurrent layer with its places in the run of parameters.

use tastemaker_kernels::{Gru, Lstm, RecurrentGradients, RecurrentShape, RecurrentWeights};

use super::Work;
use crate::params::{Init, Layout, Span};

/// What steps from event to event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Cho et al. 2014.
    Gru,
    /// Hochreiter and Schmidhuber 1997.
    Lstm,
}

/// One layer's place in the run of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RecurrentLayer {
    cell: Cell,
    input: usize,
    hidden: usize,
    weights: [Span; 4],
}

/// The kernel at work, with its buffers.
#[derive(Clone, Debug)]
pub(crate) enum RecurrentState {
    Gru(Gru),
    Lstm(Lstm),
}

impl RecurrentLayer {
    pub(crate) fn new(
        layout: &mut Layout,
        name: &str,
        cell: Cell,
        (input, hidden): (usize, usize),
    ) -> Self {
        let gates = match cell {
            Cell::Gru => 3,
            Cell::Lstm => 4,
        };
        // The deviation of PyTorch's uniform draws from -1/sqrt(hidden) to 1/sqrt(hidden).
        let init = Init::Normal((1.0 / (3.0 * hidden as f32)).sqrt());
        let mut add = |part: &str, len, init| layout.add(format!("{name}.{part}"), len, init);
        let weights = [
            add("input", gates * hidden * input, init),
            add("hidden", gates * hidden * hidden, init),
            add("input_bias", gates * hidden, Init::Constant(0.0)),
            add("hidden_bias", gates * hidden, Init::Constant(0.0)),
        ];
        Self { cell, input, hidden, weights }
    }

    pub(crate) const fn hidden(&self) -> usize {
        self.hidden
    }

    pub(crate) fn state(&self) -> RecurrentState {
        let shape = RecurrentShape { input: self.input, hidden: self.hidden };
        match self.cell {
            Cell::Gru => RecurrentState::Gru(Gru::new(shape)),
            Cell::Lstm => RecurrentState::Lstm(Lstm::new(shape)),
        }
    }

    fn weights<'a>(&self, parameters: &'a [f32]) -> RecurrentWeights<'a> {
        let [input, hidden, input_bias, hidden_bias] = self.weights.map(|span| span.of(parameters));
        RecurrentWeights { input, hidden, input_bias, hidden_bias }
    }

    /// Overwrites `y: [positions, hidden]`.
    pub(crate) fn forward(
        &self,
        work: &Work<'_>,
        x: &[f32],
        y: &mut [f32],
        state: &mut RecurrentState,
    ) {
        let weights = self.weights(work.parameters);
        match state {
            RecurrentState::Gru(gru) => gru.forward(&weights, work.offsets, x, y),
            RecurrentState::Lstm(lstm) => lstm.forward(&weights, work.offsets, x, y),
        }
    }

    /// Overwrites `dx: [positions, input]` and adds the gradients of the parameters.
    pub(crate) fn backward(
        &self,
        (parameters, gradients): (&[f32], &mut [f32]),
        dy: &[f32],
        dx: &mut [f32],
        state: &mut RecurrentState,
    ) {
        let weights = self.weights(parameters);
        let [input, hidden, input_bias, hidden_bias] = gradients
            .get_disjoint_mut(self.weights.map(Span::range))
            .expect("tensors do not overlap");
        let mut into = RecurrentGradients { input, hidden, input_bias, hidden_bias };
        match state {
            RecurrentState::Gru(gru) => gru.backward(&weights, dy, dx, &mut into),
            RecurrentState::Lstm(lstm) => lstm.backward(&weights, dy, dx, &mut into),
        }
    }
}
