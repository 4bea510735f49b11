//! All dense parameters of a model in one run of numbers, each tensor a named span of it: gradients, momentum and
//! checkpoints are runs of the same length.

use std::ops::Range;

use rand::RngExt;
use tastemaker_core::seed;

/// Where a tensor lies in the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: usize,
    len: usize,
}

impl Span {
    pub(crate) const fn range(self) -> Range<usize> {
        self.start..self.start + self.len
    }

    pub(crate) fn of(self, run: &[f32]) -> &[f32] {
        &run[self.range()]
    }

    pub(crate) fn of_mut(self, run: &mut [f32]) -> &mut [f32] {
        &mut run[self.range()]
    }

    /// Returns two tensors for writing; they are never the same one.
    pub(crate) fn both(self, other: Self, run: &mut [f32]) -> [&mut [f32]; 2] {
        run.get_disjoint_mut([self.range(), other.range()]).expect("tensors do not overlap")
    }
}

/// How a tensor starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Init {
    Constant(f32),
    /// Normal with this deviation.
    Normal(f32),
}

impl Init {
    /// Glorot and Bengio 2010, normal form.
    pub(crate) fn xavier(input: usize, output: usize) -> Self {
        Self::Normal((2.0 / (input + output) as f32).sqrt())
    }
}

/// Lays tensors out one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    tensors: Vec<(String, Span, Init)>,
    len: usize,
}

impl Layout {
    /// Adds a tensor of `len` numbers.
    pub(crate) fn add(&mut self, name: String, len: usize, init: Init) -> Span {
        let span = Span { start: self.len, len };
        self.len += len;
        self.tensors.push((name, span, init));
        span
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Draws the first values: each tensor from a stream of its own name.
    pub(crate) fn start(&self, seed: u64) -> Vec<f32> {
        let mut run = vec![0.0; self.len];
        for (name, span, init) in &self.tensors {
            match *init {
                Init::Constant(x) => span.of_mut(&mut run).fill(x),
                Init::Normal(deviation) => {
                    normal(span.of_mut(&mut run), deviation, seed, name);
                }
            }
        }
        run
    }
}

/// Fills with draws from a normal distribution (Box and Muller 1958), from the stream `name`.
pub(crate) fn normal(values: &mut [f32], deviation: f32, seed: u64, name: &str) {
    let mut rng = seed::stream(seed, name);
    for pair in values.chunks_mut(2) {
        let (a, b) = (rng.random::<f32>(), rng.random::<f32>());
        let radius = deviation * (-2.0 * (1.0 - a).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * b).sin_cos();
        for (x, way) in pair.iter_mut().zip([cos, sin]) {
            *x = radius * way;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_start_as_told_and_repeat() {
        let mut layout = Layout::default();
        let gain = layout.add("gain".into(), 3, Init::Constant(1.0));
        let weight = layout.add("weight".into(), 10_001, Init::Normal(0.5));
        let run = layout.start(1);
        assert_eq!(run.len(), layout.len());
        assert!(gain.of(&run).iter().all(|x| (x - 1.0).abs() < 1e-9));
        let values = weight.of(&run);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let square = values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.02 && (square.sqrt() - 0.5).abs() < 0.02);
        assert!(run == layout.start(1) && run != layout.start(2));
    }
}
