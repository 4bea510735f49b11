//! A linear layer and a norm with their places in the run of parameters.

use tastemaker_kernels::{Norm, NormGradients, View, product};

use crate::params::{Init, Layout, Span};

/// Added to variances.
const EPSILON: f32 = 1e-6;

/// `y = x Wᵀ + b` with `W: [output, input]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Linear {
    weight: Span,
    bias: Span,
    input: usize,
    output: usize,
}

impl Linear {
    pub(crate) fn new(layout: &mut Layout, name: &str, input: usize, output: usize) -> Self {
        Self::with_init(layout, name, (input, output), Init::xavier(input, output))
    }

    pub(crate) fn with_init(
        layout: &mut Layout,
        name: &str,
        (input, output): (usize, usize),
        init: Init,
    ) -> Self {
        let weight = layout.add(format!("{name}.weight"), input * output, init);
        let bias = layout.add(format!("{name}.bias"), output, Init::Constant(0.0));
        Self { weight, bias, input, output }
    }

    pub(crate) const fn output(&self) -> usize {
        self.output
    }

    /// Returns what is added to every row.
    pub(crate) fn bias<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        self.bias.of(parameters)
    }

    /// Overwrites `y: [rows, output]`.
    pub(crate) fn forward(&self, parameters: &[f32], x: &[f32], y: &mut [f32]) {
        let rows = x.len() / self.input;
        let bias = self.bias.of(parameters);
        y.chunks_exact_mut(self.output).for_each(|y| y.copy_from_slice(bias));
        let weight = View::rows(self.weight.of(parameters), self.input).transposed();
        product(
            (rows, self.output, self.input),
            (1.0, View::rows(x, self.input), weight),
            1.0,
            (y, self.output),
        );
    }

    /// Adds the gradients of the parameters, and sets that of `x` to `keep` times what it was plus its own.
    pub(crate) fn backward(
        &self,
        (parameters, gradients): (&[f32], &mut [f32]),
        x: &[f32],
        dy: &[f32],
        (keep, dx): (f32, &mut [f32]),
    ) {
        let rows = x.len() / self.input;
        self.backward_parameters(gradients, x, dy);
        let weight = View::rows(self.weight.of(parameters), self.input);
        product(
            (rows, self.input, self.output),
            (1.0, View::rows(dy, self.output), weight),
            keep,
            (dx, self.input),
        );
    }

    /// Adds the gradients of the parameters alone.
    pub(crate) fn backward_parameters(&self, gradients: &mut [f32], x: &[f32], dy: &[f32]) {
        self.backward_weight(gradients, x, dy);
        self.backward_bias(gradients, dy);
    }

    /// Adds the gradients of the weights alone.
    pub(crate) fn backward_weight(&self, gradients: &mut [f32], x: &[f32], dy: &[f32]) {
        product(
            (self.output, self.input, x.len() / self.input),
            (1.0, View::rows(dy, self.output).transposed(), View::rows(x, self.input)),
            1.0,
            (self.weight.of_mut(gradients), self.input),
        );
    }

    /// Adds the gradients of the bias alone, row after row.
    pub(crate) fn backward_bias(&self, gradients: &mut [f32], dy: &[f32]) {
        let bias = self.bias.of_mut(gradients);
        for dy in dy.chunks_exact(self.output) {
            bias.iter_mut().zip(dy).for_each(|(b, dy)| *b += dy);
        }
    }
}

/// Layer norm or RMS norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NormLayer {
    gain: Span,
    bias: Span,
}

impl NormLayer {
    pub(crate) fn new(layout: &mut Layout, name: &str, width: usize) -> Self {
        let gain = layout.add(format!("{name}.gain"), width, Init::Constant(1.0));
        let bias = layout.add(format!("{name}.bias"), width, Init::Constant(0.0));
        Self { gain, bias }
    }

    fn norm<'a>(&self, parameters: &'a [f32]) -> Norm<'a> {
        let (gain, bias) = (self.gain.of(parameters), self.bias.of(parameters));
        Norm { gain, bias, epsilon: EPSILON }
    }

    pub(crate) fn forward(
        &self,
        parameters: &[f32],
        x: &[f32],
        (y, stats): (&mut [f32], &mut [f32]),
    ) {
        self.norm(parameters).forward(x, y, stats);
    }

    /// Adds the gradients of the parameters and of `x`.
    pub(crate) fn backward(
        &self,
        (parameters, gradients): (&[f32], &mut [f32]),
        (x, stats): (&[f32], &[f32]),
        dy: &[f32],
        dx: &mut [f32],
    ) {
        let [gain, bias] = self.gain.both(self.bias, gradients);
        self.norm(parameters).backward(x, stats, dy, NormGradients { x: dx, gain, bias });
    }
}
