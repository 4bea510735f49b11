//! How the vectors of a user's and an item's fields become a score; see `settings` for the formulas.
//!
//! `x: [rows, fields * dim]` are the fields' vectors side by side, `w: [rows]` the sums of first-order weights. The first layers see
//! `x` alone, so what they make of a user and of an item can be computed apart and added.

use tastemaker_kernels::{Activation, axpy};

use crate::layers::{Dropout, Linear};
use crate::params::{Init, Layout, Span};

/// What a score is the sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each part is there or not")]
pub struct Parts {
    pub(super) linear: bool,
    pub(super) pairs: bool,
    pub(super) deep: bool,
    pub(super) cross: bool,
}

impl Parts {
    /// Nothing but a bias.
    pub(super) const NONE: Self = Self { linear: false, pairs: false, deep: false, cross: false };

    /// Tells whether fields have vectors beside first-order weights.
    pub(super) const fn has_vectors(self) -> bool {
        self.pairs || self.deep || self.cross
    }
}

/// Sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    pub(super) fields: usize,
    pub(super) dim: usize,
    pub(super) hidden: &'a [usize],
    pub(super) cross_layers: usize,
}

/// Places of all layers in the run of parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Network {
    fields: usize,
    dim: usize,
    parts: Parts,
    bias: Span,
    deep: Vec<Linear>,
    deep_out: Option<Linear>,
    cross: Vec<Linear>,
    cross_out: Option<Linear>,
}

/// What a forward pass leaves for the backward pass. Reused from step to step.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Before the activation, layer by layer.
    pub(super) deep: Vec<Vec<f32>>,
    active: Vec<Vec<f32>>,
    /// `W x_l + b`, layer by layer.
    pub(super) cross: Vec<Vec<f32>>,
    /// `x_1` and on.
    crossed: Vec<Vec<f32>>,
    one: Vec<f32>,
    d: Vec<f32>,
    d_below: Vec<f32>,
}

fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(len, 0.0);
    buffer
}

impl Network {
    pub(super) fn new(layout: &mut Layout, parts: Parts, shape: Shape<'_>) -> Self {
        let Shape { fields, dim, hidden, cross_layers } = shape;
        let width = fields * dim;
        let bias = layout.add("bias".into(), 1, Init::Constant(0.0));
        let (mut deep, mut cross) = (Vec::new(), Vec::new());
        let (mut deep_out, mut cross_out) = (None, None);
        if parts.deep {
            let mut input = width;
            for (at, &output) in hidden.iter().enumerate() {
                deep.push(Linear::new(layout, &format!("deep{at}"), input, output));
                input = output;
            }
            deep_out = Some(Linear::new(layout, "deep.out", input, 1));
        }
        if parts.cross {
            let layer = |at| Linear::new(layout, &format!("cross{at}"), width, width);
            cross = (0..cross_layers).map(layer).collect();
            cross_out = Some(Linear::new(layout, "cross.out", width, 1));
        }
        Self { fields, dim, parts, bias, deep, deep_out, cross, cross_out }
    }

    /// Width of `x`.
    pub(super) const fn width(&self) -> usize {
        self.fields * self.dim
    }

    pub(super) const fn bias(&self) -> Span {
        self.bias
    }

    /// Makes a state that has room for every layer.
    pub(super) fn state(&self) -> State {
        State {
            deep: vec![Vec::new(); self.deep.len()],
            active: vec![Vec::new(); self.deep.len()],
            cross: vec![Vec::new(); self.cross.len()],
            crossed: vec![Vec::new(); self.cross.len()],
            ..State::default()
        }
    }

    /// Returns about how many numbers a row takes in training.
    pub(super) fn floats(&self) -> usize {
        let deep: usize = self.deep.iter().map(Linear::output).sum();
        (5 + 2 * self.cross.len()) * self.width() + 3 * deep
    }

    /// Returns the layers that read `x`, with the width of what they make of it.
    pub(super) fn first(&self) -> [Option<Linear>; 2] {
        [self.deep.first().copied(), self.cross.first().copied()]
    }

    /// Computes what the first layers make of `x`.
    pub(super) fn read(&self, parameters: &[f32], x: &[f32], state: &mut State) {
        let rows = x.len() / self.width().max(1);
        for (layer, out) in
            self.first().into_iter().zip([state.deep.first_mut(), state.cross.first_mut()])
        {
            if let (Some(layer), Some(out)) = (layer, out) {
                layer.forward(parameters, x, sized(out, rows * layer.output()));
            }
        }
    }

    /// Writes the scores, given what [`read`](Self::read) has left in the state.
    pub(super) fn score(
        &self,
        parameters: &[f32],
        (x, w): (&[f32], &[f32]),
        (state, dropout): (&mut State, Dropout),
        out: &mut [f32],
    ) {
        let rows = out.len();
        out.fill(self.bias.of(parameters)[0]);
        if self.parts.linear {
            out.iter_mut().zip(w).for_each(|(out, w)| *out += w);
        }
        if self.parts.pairs {
            let width = self.width();
            out.iter_mut().zip(x.chunks_exact(width)).for_each(|(out, x)| *out += self.pairs(x));
        }
        let State { deep, active, cross, crossed, one, .. } = state;
        for (at, layer) in self.deep.iter().enumerate() {
            if at > 0 {
                let below = &active[at - 1];
                layer.forward(parameters, below, sized(&mut deep[at], rows * layer.output()));
            }
            let y = sized(&mut active[at], rows * layer.output());
            Activation::Relu.forward(&deep[at], y);
            dropout.apply(1 + at as u64, y);
        }
        if let (Some(layer), Some(below)) = (self.deep_out, active.last()) {
            add_output(layer, parameters, below, (one, out));
        }
        for (at, layer) in self.cross.iter().enumerate() {
            if at > 0 {
                layer.forward(parameters, &crossed[at - 1], sized(&mut cross[at], x.len()));
            }
            let (done, rest) = crossed.split_at_mut(at);
            let below = done.last().map_or(x, |below| below);
            let y = sized(&mut rest[0], x.len());
            for (((y, x0), a), below) in y.iter_mut().zip(x).zip(&cross[at]).zip(below) {
                *y = x0 * a + below;
            }
        }
        if let (Some(layer), Some(below)) = (self.cross_out, crossed.last()) {
            add_output(layer, parameters, below, (one, out));
        }
    }

    /// Returns `½ (|Σ v|² - Σ |v|²)`, which is the sum of products of all pairs of fields.
    fn pairs(&self, x: &[f32]) -> f32 {
        let mut twice = 0.0;
        for k in 0..self.dim {
            let (mut sum, mut squares) = (0.0, 0.0);
            for v in x[k..].iter().step_by(self.dim) {
                sum += v;
                squares += v * v;
            }
            twice += sum * sum - squares;
        }
        0.5 * twice
    }

    /// Adds the gradients of the parameters and overwrites `dx`, given those of the scores; that of `w` is `d_out` itself.
    pub(super) fn backward(
        &self,
        (parameters, gradients): (&[f32], &mut [f32]),
        x: &[f32],
        (state, dropout): (&mut State, Dropout),
        (d_out, dx): (&[f32], &mut [f32]),
    ) {
        dx.fill(0.0);
        self.bias.of_mut(gradients)[0] += d_out.iter().sum::<f32>();
        if self.parts.pairs {
            let rows = x.chunks_exact(self.width()).zip(dx.chunks_exact_mut(self.width()));
            rows.zip(d_out).for_each(|((x, dx), d)| self.pairs_backward(x, *d, dx));
        }
        self.deep_backward((parameters, gradients), x, (state, dropout), (d_out, dx));
        self.cross_backward((parameters, gradients), x, state, (d_out, dx));
    }

    fn pairs_backward(&self, x: &[f32], d: f32, dx: &mut [f32]) {
        let mut sum = vec![0.0; self.dim];
        x.chunks_exact(self.dim).for_each(|v| axpy(1.0, v, &mut sum));
        for (v, dv) in x.chunks_exact(self.dim).zip(dx.chunks_exact_mut(self.dim)) {
            for ((dv, v), sum) in dv.iter_mut().zip(v).zip(&sum) {
                *dv += d * (sum - v);
            }
        }
    }

    fn deep_backward(
        &self,
        (parameters, gradients): (&[f32], &mut [f32]),
        x: &[f32],
        (state, dropout): (&mut State, Dropout),
        (d_out, dx): (&[f32], &mut [f32]),
    ) {
        let (Some(out), Some(top)) = (self.deep_out, state.active.last()) else { return };
        let mut d = std::mem::take(&mut state.d);
        let mut d_below = std::mem::take(&mut state.d_below);
        out.backward((parameters, gradients), top, d_out, (0.0, sized(&mut d, top.len())));
        for (at, layer) in self.deep.iter().enumerate().rev() {
            dropout.apply(1 + at as u64, &mut d);
            Activation::Relu.backward(&state.deep[at], &mut d);
            if at == 0 {
                layer.backward((parameters, gradients), x, &d, (1.0, dx));
            } else {
                let below = &state.active[at - 1];
                let into = sized(&mut d_below, below.len());
                layer.backward((parameters, gradients), below, &d, (0.0, into));
                std::mem::swap(&mut d, &mut d_below);
            }
        }
        (state.d, state.d_below) = (d, d_below);
    }

    fn cross_backward(
        &self,
        (parameters, gradients): (&[f32], &mut [f32]),
        x: &[f32],
        state: &mut State,
        (d_out, dx): (&[f32], &mut [f32]),
    ) {
        let (Some(out), Some(top)) = (self.cross_out, state.crossed.last()) else { return };
        let mut d = std::mem::take(&mut state.d);
        let mut da = std::mem::take(&mut state.d_below);
        out.backward((parameters, gradients), top, d_out, (0.0, sized(&mut d, top.len())));
        for (at, layer) in self.cross.iter().enumerate().rev() {
            // x_{l+1} = x_0 ⊙ a + x_l, a = W x_l + b.
            let (a, da) = (&state.cross[at], sized(&mut da, x.len()));
            for ((((da, d), x0), a), dx) in da.iter_mut().zip(&d).zip(x).zip(a).zip(dx.iter_mut()) {
                *da = d * x0;
                *dx += d * a;
            }
            let below = if at == 0 { x } else { &state.crossed[at - 1] };
            layer.backward((parameters, gradients), below, da, (1.0, &mut d));
        }
        dx.iter_mut().zip(&d).for_each(|(dx, d)| *dx += d);
        (state.d, state.d_below) = (d, da);
    }
}

fn add_output(
    layer: Linear,
    parameters: &[f32],
    below: &[f32],
    (one, out): (&mut Vec<f32>, &mut [f32]),
) {
    let one = sized(one, out.len());
    layer.forward(parameters, below, one);
    out.iter_mut().zip(one).for_each(|(out, x)| *out += *x);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(parts: Parts, fields: usize, dim: usize) -> (Network, Vec<f32>) {
        let mut layout = Layout::default();
        let shape = Shape { fields, dim, hidden: &[5, 3], cross_layers: 2 };
        let network = Network::new(&mut layout, parts, shape);
        let mut parameters = layout.start(3);
        // Biases that start at 0 would hide mistakes.
        parameters.iter_mut().enumerate().for_each(|(i, x)| *x += 0.2 * (i as f32).sin());
        (network, parameters)
    }

    fn scores(
        (network, parameters): (&Network, &[f32]),
        (x, w): (&[f32], &[f32]),
        dropout: Dropout,
        state: &mut State,
    ) -> Vec<f32> {
        let mut out = vec![0.0; w.len()];
        network.read(parameters, x, state);
        network.score(parameters, (x, w), (state, dropout), &mut out);
        out
    }

    #[test]
    fn two_fields_of_a_factorisation_machine_by_hand() {
        let parts = Parts { linear: true, pairs: true, ..Parts::NONE };
        let (network, _) = network(parts, 2, 2);
        // 0.5 + 0.25 + (1, 2) · (3, -1) = 1.75
        let out = scores(
            (&network, &[0.5]),
            (&[1.0, 2.0, 3.0, -1.0], &[0.25]),
            Dropout::default(),
            &mut network.state(),
        );
        assert!((out[0] - 1.75).abs() < 1e-6, "{out:?}");
    }

    #[test]
    fn one_cross_layer_by_hand() {
        let parts = Parts { cross: true, ..Parts::NONE };
        let mut layout = Layout::default();
        let shape = Shape { fields: 2, dim: 1, hidden: &[1], cross_layers: 1 };
        let network = Network::new(&mut layout, parts, shape);
        // Bias 0; W = (1 2; 0 1), b = (0, 1); out = (1, 1) + 0.
        let parameters = [0.0, 1.0, 2.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        // W x + b = (1 + 6, 3 + 1) = (7, 4); x ⊙ that + x = (7 + 1, 12 + 3); summed 23.
        let out = scores(
            (&network, &parameters),
            (&[1.0, 3.0], &[0.0]),
            Dropout::default(),
            &mut network.state(),
        );
        assert!((out[0] - 23.0).abs() < 1e-5, "{out:?}");
    }

    #[test]
    fn gradients_equal_numeric_ones_for_every_architecture_and_shape() {
        let all = [
            Parts { linear: true, ..Parts::NONE },
            Parts { linear: true, pairs: true, ..Parts::NONE },
            Parts { deep: true, ..Parts::NONE },
            Parts { linear: true, pairs: true, deep: true, ..Parts::NONE },
            Parts { cross: true, deep: true, ..Parts::NONE },
        ];
        for parts in all {
            for (rows, fields, dim) in [(1, 1, 1), (3, 4, 2), (5, 2, 3)] {
                check(parts, (rows, fields, dim), Dropout::default());
                check(parts, (rows, fields, dim), Dropout { rate: 0.3, key: 11 });
            }
        }
    }

    fn check(parts: Parts, (rows, fields, dim): (usize, usize, usize), dropout: Dropout) {
        let (network, mut parameters) = network(parts, fields, dim);
        let mut x: Vec<f32> = (0..rows * fields * dim).map(|i| (i as f32 * 0.7).sin()).collect();
        let w: Vec<f32> = (0..rows).map(|i| (i as f32).cos()).collect();
        let d_out: Vec<f32> = (0..rows).map(|i| (i as f32 * 1.3).cos()).collect();
        let mut state = network.state();
        let mut loss = |parameters: &[f32], x: &[f32]| -> f64 {
            let out = scores((&network, parameters), (x, &w), dropout, &mut state);
            out.iter().zip(&d_out).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum()
        };
        let (mut dx, mut gradients) = (vec![f32::NAN; x.len()], vec![0.0; parameters.len()]);
        let mut used = network.state();
        scores((&network, &parameters), (&x, &w), dropout, &mut used);
        let both = (&parameters[..], &mut gradients[..]);
        network.backward(both, &x, (&mut used, dropout), (&d_out, &mut dx));
        let step = 2e-3;
        let agree = |got: f32, above: f64, below: f64, what: String| {
            let want = (above - below) / f64::from(2.0 * step);
            let allowed = 1e-2 * (1.0 + want.abs());
            assert!((f64::from(got) - want).abs() < allowed, "{what}: {got} {want} {parts:?}");
        };
        for i in 0..x.len() {
            let mut at = |by: f32| {
                x[i] += by;
                let loss = loss(&parameters, &x);
                x[i] -= by;
                loss
            };
            agree(dx[i], at(step), at(-step), format!("x {i}"));
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
