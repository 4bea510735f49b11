//! Bottleneck adapters (Houlsby et al. 2019): `s ← s + W₂ gelu(W₁ s + b₁) + b₂` on what a sublayer gives, before it is added to what came in.

use tastemaker_kernels::Activation;

use super::layer::{Work, backward_bias, backward_input, backward_weight, forward, sized};
use super::places::Wanted;

/// Activations of one adapter that its backward pass needs.
#[derive(Clone, Debug, Default)]
pub(super) struct AdapterState {
    /// What the sublayer gave.
    given: Vec<f32>,
    down: Vec<f32>,
    narrow: Vec<f32>,
}

impl Work<'_> {
    /// Adds to `sum` what a dense layer makes of `x`, through the adapter that begins with a tensor where there is one, and without what is
    /// dropped at this place.
    pub(super) fn sublayer(
        &self,
        (x, place): (&[f32], usize),
        sublayer: ((&[f32], &[f32]), Option<usize>),
        sum: &mut [f32],
        state: &mut AdapterState,
    ) {
        if self.dropout.rate <= 0.0 {
            return self.add_sublayer(x, sublayer, sum, state);
        }
        let mut given = vec![0.0; sum.len()];
        self.add_sublayer(x, sublayer, &mut given, state);
        self.drop_numbers(place, &mut given);
        sum.iter_mut().zip(given).for_each(|(sum, x)| *sum += x);
    }

    fn add_sublayer(
        &self,
        x: &[f32],
        (dense, adapter): ((&[f32], &[f32]), Option<usize>),
        sum: &mut [f32],
        state: &mut AdapterState,
    ) {
        let Some(at) = adapter else { return forward(x, dense, sum, true) };
        let rows = sum.len() / self.shape.hidden;
        let given = sized(&mut state.given, sum.len());
        forward(x, dense, given, false);
        let down = sized(&mut state.down, rows * self.extras.adapters);
        forward(given, self.dense(at), down, false);
        let narrow = sized(&mut state.narrow, down.len());
        Activation::Gelu.forward(down, narrow);
        sum.iter_mut().zip(given).for_each(|(sum, s)| *sum += *s);
        forward(narrow, self.dense(at + 2), sum, true);
    }

    /// Adds the wanted gradients of an adapter, given that of the sum, and returns that of what the dense layer gave; `spare` has
    /// it where there is an adapter.
    pub(super) fn adapter_backward<'d>(
        &self,
        (layer, place): (usize, usize),
        (d_sum, spare): (&'d [f32], &'d mut Vec<f32>),
        state: &AdapterState,
        (wanted, gradients): (&Wanted, &mut [f32]),
    ) -> &'d [f32] {
        let Some(at) = self.extras.adapter(layer, place == 1) else { return d_sum };
        let (hidden, width) = (self.shape.hidden, self.extras.adapters);
        let mut dense = |tensor, x: &[f32], dy: (&[f32], usize), inputs| {
            if let Some(gradient) = wanted.of(tensor, gradients) {
                backward_weight(dy, x, gradient, inputs);
            }
            if let Some(gradient) = wanted.of(tensor + 1, gradients) {
                backward_bias(dy, gradient);
            }
        };
        dense(at + 2, &state.narrow, (d_sum, hidden), width);
        let mut d_down = vec![0.0; state.down.len()];
        backward_input(d_sum, self.weight(at + 2), (0.0, &mut d_down), hidden);
        Activation::Gelu.backward(&state.down, &mut d_down);
        dense(at, &state.given, (&d_down, width), hidden);
        spare.clear();
        spare.extend_from_slice(d_sum);
        backward_input(&d_down, self.weight(at), (1.0, spare), width);
        spare
    }
}
