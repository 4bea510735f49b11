//! A linear layer cut into parts of its outputs: one row is spread over all cores by parts, many rows by rows.
//! What comes out does not depend on how it was spread.

use rayon::prelude::*;

use crate::linear::{LinearScratch, LinearWeights, Then, WeightFormat};

/// Outputs of a part, at least; parts are whole panels.
const LEAST: usize = 256;
/// Parts of a layer, at most: what is done once a part must stay small.
const PARTS: usize = 32;
/// Rows that pass the parts together.
const ROWS: usize = 96;
/// Weights below which one thread is faster than several.
const ALONE: usize = 1 << 16;

/// A linear layer `y = x Wᵀ + b` in parts.
#[derive(Clone, Debug)]
pub struct WideLinear {
    inputs: usize,
    outputs: usize,
    part: usize,
    parts: Vec<LinearWeights>,
}

/// Memory reused from call to call, one a thread.
#[derive(Debug, Default)]
struct WideScratch {
    linear: LinearScratch,
    tile: Vec<f32>,
}

impl WideLinear {
    /// Lays out weights `[outputs, inputs]` part by part, on all cores; `fill` writes a row of them, given its number.
    ///
    /// # Errors
    /// What `fill` returns.
    ///
    /// # Panics
    /// When there is no input or output.
    pub fn build<E: Send>(
        inputs: usize,
        bias: &[f32],
        format: WeightFormat,
        fill: impl Fn(usize, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        let outputs = bias.len();
        assert!(inputs > 0 && outputs > 0, "a layer has inputs and outputs");
        let part = outputs.div_ceil(PARTS).max(LEAST).next_multiple_of(crate::Packed::PANEL);
        let build = |(at, bias): (usize, &[f32])| {
            let mut rows = vec![0.0; bias.len() * inputs];
            for (n, row) in rows.chunks_exact_mut(inputs).enumerate() {
                fill(at * part + n, row)?;
            }
            Ok(LinearWeights::new(&rows, bias.to_vec(), format))
        };
        let parts = bias.par_chunks(part).enumerate().map(build).collect::<Result<_, E>>()?;
        Ok(Self { inputs, outputs, part, parts })
    }

    /// Returns `(inputs, outputs)`.
    pub const fn shape(&self) -> (usize, usize) {
        (self.inputs, self.outputs)
    }

    /// Applies the layer to the rows of `x: [n, inputs]`, on all cores; `y: [n, outputs]`. A row's answer does not depend on the others.
    ///
    /// # Panics
    /// When a slice does not fill its shape.
    pub fn apply(&self, x: &[f32], y: &mut [f32], then: Then) {
        let rows = x.len() / self.inputs;
        let fits = rows * self.inputs == x.len() && rows * self.outputs == y.len();
        assert!(fits, "rows fill their shapes");
        if rows == 0 {
            return;
        }
        let threads = rayon::current_num_threads();
        let work = rows * self.inputs * self.outputs;
        if rows == 1 && work >= ALONE && threads > 1 {
            self.parts.par_iter().zip(y.par_chunks_mut(self.part)).for_each_init(
                LinearScratch::default,
                |scratch, (part, y)| {
                    part.apply(x, y, then, scratch);
                },
            );
            return;
        }
        if work < ALONE || threads == 1 {
            self.apply_rows(x, y, then, &mut WideScratch::default());
            return;
        }
        let together = rows.div_ceil(threads).min(ROWS);
        x.par_chunks(together * self.inputs)
            .zip(y.par_chunks_mut(together * self.outputs))
            .for_each_init(WideScratch::default, |scratch, (x, y)| {
                self.apply_rows(x, y, then, scratch);
            });
    }

    /// Applies the layer on this thread.
    fn apply_rows(&self, x: &[f32], y: &mut [f32], then: Then, scratch: &mut WideScratch) {
        if let [part] = &self.parts[..] {
            part.apply(x, y, then, &mut scratch.linear);
            return;
        }
        let rows = x.len() / self.inputs;
        for (part, from) in self.parts.iter().zip((0..).step_by(self.part)) {
            let (_, width) = part.shape();
            if rows == 1 {
                part.apply(x, &mut y[from..from + width], then, &mut scratch.linear);
                continue;
            }
            scratch.tile.resize(rows * width, 0.0);
            let tiles = scratch.tile.chunks_exact_mut(width);
            if then == Then::Add {
                for (tile, y) in tiles.zip(y.chunks_exact(self.outputs)) {
                    tile.copy_from_slice(&y[from..from + width]);
                }
            }
            part.apply(x, &mut scratch.tile, then, &mut scratch.linear);
            for (tile, y) in scratch.tile.chunks_exact(width).zip(y.chunks_exact_mut(self.outputs))
            {
                y[from..from + width].copy_from_slice(tile);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, step: f32) -> Vec<f32> {
        (1..=n).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn parts_and_threads_change_no_bit() {
        let (rows, inputs, outputs) = (7, 48, 700);
        let (x, w, bias) =
            (numbers(rows * inputs, 0.11), numbers(outputs * inputs, 0.29), numbers(outputs, 0.3));
        for format in [WeightFormat::Single, WeightFormat::Half, WeightFormat::Byte] {
            let whole = LinearWeights::new(&w, bias.clone(), format);
            let wide = WideLinear::build(inputs, &bias, format, |row, to| {
                to.copy_from_slice(&w[row * inputs..][..inputs]);
                Ok::<(), ()>(())
            });
            let wide = wide.unwrap();
            assert_eq!((wide.shape(), wide.parts.len()), ((inputs, outputs), 3));
            for then in [Then::Write, Then::Gelu, Then::Add] {
                let mut want = numbers(rows * outputs, 0.5);
                let start = want.clone();
                whole.apply(&x, &mut want, then, &mut LinearScratch::default());
                for threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    pool.unwrap().install(|| {
                        let mut y = start.clone();
                        wide.apply(&x, &mut y, then);
                        assert!(y == want, "{format:?} {then:?}");
                        let mut one = start[..outputs].to_vec();
                        wide.apply(&x[..inputs], &mut one, then);
                        assert!(one == want[..outputs], "{format:?} {then:?}, one row");
                    });
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_filled_is_no_layer() {
        let fill = |row: usize, _: &mut [f32]| if row == 5 { Err(row) } else { Ok(()) };
        assert_eq!(WideLinear::build(4, &[0.0; 8], WeightFormat::Byte, fill).err(), Some(5));
    }
}
