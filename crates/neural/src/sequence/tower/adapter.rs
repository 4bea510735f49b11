//! From the features of a text to its part in an item's vector: one projection, or several mixed by the text itself.
//!
//! One: `t = W f + b`. Several: `t = Σ_k g_k (W_k f + b_k)` with `g = softmax(A f + a)`, UniSRec's mixture of parametric whitenings
//! (Hou et al. 2022), whose `W_k (f - c_k)` has `b_k = -W_k c_k`; unlike there, no noise is added to the gates.
//! Shapes: `f: [rows, features]`, `W_k: [width, features]`, `A: [experts, features]`, `t: [rows, width]`.

use std::ops::Range;

use tastemaker_kernels::{dot, softmax};

use crate::layers::Linear;
use crate::params::{Init, Layout};
use crate::sequence::network::EMBEDDING;

/// Name among the parameters.
const NAME: &str = "adapter";

/// The projection's places in the run of parameters.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sequence) struct Adapter {
    /// Where its own run lies in that of all parameters; the places below count from the start of the own one.
    range: Range<usize>,
    experts: Linear,
    /// None with one expert.
    gate: Option<Linear>,
    width: usize,
}

fn lay_out(
    layout: &mut Layout,
    (features, width): (usize, usize),
    experts: usize,
) -> (Linear, Option<Linear>) {
    // The mean of several starts as large as one alone.
    let init = Init::Normal(EMBEDDING * (experts as f32).sqrt());
    let all = Linear::with_init(layout, NAME, (features, experts * width), init);
    let gate = (experts > 1).then(|| {
        let name = format!("{NAME}.gate");
        Linear::with_init(layout, &name, (features, experts), Init::Normal(EMBEDDING))
    });
    (all, gate)
}

impl Adapter {
    pub(in crate::sequence) fn new(
        layout: &mut Layout,
        (features, width): (usize, usize),
        experts: usize,
    ) -> Self {
        let start = layout.len();
        lay_out(layout, (features, width), experts);
        let (all, gate) = lay_out(&mut Layout::default(), (features, width), experts);
        Self { range: start..layout.len(), experts: all, gate, width }
    }

    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// Returns the length of its own run.
    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// Returns its own run.
    pub(super) fn of<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        &parameters[self.range.clone()]
    }

    /// Returns its own run for writing.
    pub(super) fn of_mut<'a>(&self, parameters: &'a mut [f32]) -> &'a mut [f32] {
        &mut parameters[self.range.clone()]
    }

    /// Returns what every expert says, `[rows, experts, width]`, and the gates, `[rows, experts]`.
    fn ask(&self, gate: &Linear, own: &[f32], features: &[f32], rows: usize) -> [Vec<f32>; 2] {
        let n = gate.output();
        let (mut said, mut gates) = (vec![0.0; rows * self.experts.output()], vec![0.0; rows * n]);
        self.experts.forward(own, features, &mut said);
        gate.forward(own, features, &mut gates);
        softmax(&mut gates, n, n, 1.0);
        [said, gates]
    }

    /// Overwrites `texts: [rows, width]`; `own` is its own run.
    pub(super) fn forward(&self, own: &[f32], features: &[f32], texts: &mut [f32]) {
        let Some(gate) = &self.gate else {
            return self.experts.forward(own, features, texts);
        };
        let [said, gates] = self.ask(gate, own, features, texts.len() / self.width);
        texts.fill(0.0);
        let rows = said.chunks_exact(self.experts.output()).zip(gates.chunks_exact(gate.output()));
        for (text, (said, gates)) in texts.chunks_exact_mut(self.width).zip(rows) {
            for (said, g) in said.chunks_exact(self.width).zip(gates) {
                text.iter_mut().zip(said).for_each(|(t, y)| *t += g * y);
            }
        }
    }

    /// Adds the gradients of some rows to `gradients`, its own run of them, but for those that [`Self::backward_in_order`] adds.
    pub(super) fn backward(
        &self,
        own: &[f32],
        (features, d_texts): (&[f32], &[f32]),
        gradients: &mut [f32],
    ) {
        let Some(gate) = &self.gate else {
            return self.experts.backward_weight(gradients, features, d_texts);
        };
        let [mut said, mut gates] = self.ask(gate, own, features, d_texts.len() / self.width);
        let rows = said.chunks_exact_mut(self.experts.output());
        let rows = rows.zip(gates.chunks_exact_mut(gate.output()));
        let mut agree = vec![0.0; gate.output()];
        for (d_text, (said, gates)) in d_texts.chunks_exact(self.width).zip(rows) {
            let each = said.chunks_exact_mut(self.width).zip(&*gates).zip(&mut agree);
            for ((said, g), agree) in each {
                *agree = dot(d_text, said);
                said.iter_mut().zip(d_text).for_each(|(y, d)| *y = g * d);
            }
            let mean = dot(gates, &agree);
            gates.iter_mut().zip(&agree).for_each(|(g, agree)| *g *= agree - mean);
        }
        self.experts.backward_parameters(gradients, features, &said);
        gate.backward_parameters(gradients, features, &gates);
    }

    /// Adds the gradients that are summed over all rows in their order: those of the bias of a single projection.
    pub(super) fn backward_in_order(&self, d_texts: &[f32], gradients: &mut [f32]) {
        if self.gate.is_none() {
            self.experts.backward_bias(gradients, d_texts);
        }
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::assert_close;

    use super::*;

    #[test]
    fn two_experts_by_hand() {
        let mut layout = Layout::default();
        let before = Linear::new(&mut layout, "before", 2, 3);
        let adapter = Adapter::new(&mut layout, (1, 2), 2);
        let mut parameters = layout.start(1);
        assert_eq!(parameters.len() - adapter.of(&parameters).len(), 3 * before.output());
        // Experts (1, 2) f and (3, 4) f + (0, 1); gates softmax(0, f ln 3): at f = 1 a quarter and three quarters.
        let own = [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 1.0, 0.0, 3f32.ln(), 0.0, 0.0];
        adapter.of_mut(&mut parameters).copy_from_slice(&own);
        let mut texts = [f32::NAN; 4];
        adapter.forward(adapter.of(&parameters), &[1.0, 0.0], &mut texts);
        let want = [0.25 + 0.75 * 3.0, 0.5 + 0.75 * 5.0, 0.0, 0.5];
        texts.iter().zip(want).for_each(|(got, want)| assert_close(*got, want, 1e-6));
    }

    #[test]
    fn a_mixture_starts_as_large_as_one_alone() {
        let features = {
            let mut row = vec![0.0; 64];
            row[5] = 1.0;
            row
        };
        let size = |experts| {
            let mut layout = Layout::default();
            let adapter = Adapter::new(&mut layout, (64, 256), experts);
            let mut texts = [0.0; 256];
            adapter.forward(adapter.of(&layout.start(1)), &features, &mut texts);
            dot(&texts, &texts).sqrt()
        };
        for experts in [1, 2, 8] {
            assert_close(size(experts), 0.02 * 16.0, 0.05);
        }
    }
}
