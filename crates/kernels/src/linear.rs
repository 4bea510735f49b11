//! Linear layers with fixed weights, `y = x Wᵀ + b`: weights are laid out once, as `f32`, as bfloat16 or as bytes.
//!
//! Bytes: one scale for each output (symmetric), and for each row of `x` a scale and a zero found when it comes (asymmetric):
//! `y = s_x s_w (Σ (q - z) w) + b`, with exact integer sums. As in Jacob et al. 2018, but by row and channel. Before they
//! become bytes, inputs and weights are turned by the same Hadamard matrix, which spreads the few large inputs that language models have
//! over many (Ashkboos et al., `QuaRot`, 2024): `x Wᵀ = (x H)(W H)ᵀ / size`.

use multiversion::{multiversion, target::target_cfg_f};

use crate::activation::gelu_lane;
use crate::matrix::aligned::Aligned;
use crate::matrix::bytes::{LEFT_MOST, RUN_MOST, RUN_ROUNDING, run_load};
use crate::matrix::words::{ALIGN, Engine, Kind, Left, PANEL, Panels};
use crate::matrix::{Packed, Rows, pair};

/// How weights are stored and multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightFormat {
    /// `f32`.
    #[default]
    Single,
    /// bfloat16, summed in `f32`: half the memory, and several times as fast where the machine has instructions for it.
    Half,
    /// Bytes, summed in `i32`: a quarter of the memory.
    Byte,
}

/// What becomes of a layer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is written.
    Write,
    /// Its GELU is written.
    Gelu,
    /// It is added to what is there.
    Add,
}

/// Weights and bias of a layer, ready to use.
#[derive(Clone, Debug)]
pub struct LinearWeights {
    inputs: usize,
    bias: Vec<f32>,
    layout: Layout,
}

#[derive(Clone, Debug)]
enum Layout {
    Single(Packed),
    Half(Panels),
    Byte {
        panels: Panels,
        /// Scale of each output, and the sum of its bytes; filled up to whole panels.
        scales: Vec<f32>,
        sums: Vec<i32>,
    },
}

/// Memory reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct LinearScratch {
    left: Aligned<u32>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
    sums: Aligned<u32>,
    bytes: Vec<u8>,
    turned: Vec<f32>,
}

impl LinearWeights {
    /// Lays out `weights: [outputs, inputs]`, row-major.
    ///
    /// # Panics
    /// When the slice does not fill the shape, or there is no input.
    pub fn new(weights: &[f32], bias: Vec<f32>, format: WeightFormat) -> Self {
        let outputs = bias.len();
        assert!(outputs > 0 && !weights.is_empty(), "a layer has inputs and outputs");
        assert!(weights.len().is_multiple_of(outputs), "weights fill their shape");
        let inputs = weights.len() / outputs;
        let layout = match format {
            WeightFormat::Single => {
                Layout::Single(Packed::from_transposed(weights, (inputs, outputs)))
            }
            WeightFormat::Half => Layout::Half(halves(weights, inputs)),
            WeightFormat::Byte => bytes(weights, inputs),
        };
        Self { inputs, bias, layout }
    }

    /// Returns `(inputs, outputs)`.
    pub const fn shape(&self) -> (usize, usize) {
        (self.inputs, self.bias.len())
    }

    /// Applies the layer to the rows of `x: [n, inputs]`; `y: [n, outputs]`. A row's answer does not depend on the others.
    ///
    /// # Panics
    /// When a slice does not fill its shape.
    pub fn apply(&self, x: &[f32], y: &mut [f32], then: Then, scratch: &mut LinearScratch) {
        let (inputs, outputs) = self.shape();
        let rows = x.len() / inputs;
        assert!(rows * inputs == x.len() && rows * outputs == y.len(), "rows fill their shapes");
        if rows == 0 {
            return;
        }
        match &self.layout {
            Layout::Single(packed) => {
                if then == Then::Add {
                    for row in y.chunks_exact_mut(outputs) {
                        row.iter_mut().zip(&self.bias).for_each(|(y, b)| *y += b);
                    }
                } else {
                    y.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(&self.bias));
                }
                packed.add_product(Rows { data: x, stride: inputs, count: rows }, y, outputs);
                if then == Then::Gelu {
                    crate::gelu(y);
                }
            }
            Layout::Half(panels) => {
                let stride = panels.depth();
                scratch.left.resize(rows.next_multiple_of(ALIGN) * stride);
                for (x, to) in x.chunks_exact(inputs).zip(scratch.left.chunks_exact_mut(stride)) {
                    round_row(x, to);
                }
                self.multiply((Kind::Half, panels), (y, then), scratch, |_, _| {});
            }
            Layout::Byte { panels, scales, sums } => {
                let stride = panels.depth();
                scratch.left.resize(rows.next_multiple_of(ALIGN) * stride);
                scratch.bytes.resize(4 * stride, 0);
                scratch.scales.clear();
                scratch.zeros.clear();
                for (x, to) in x.chunks_exact(inputs).zip(scratch.left.chunks_exact_mut(stride)) {
                    scratch.turned.clear();
                    scratch.turned.extend_from_slice(x);
                    turn(&mut scratch.turned);
                    let (scale, zero) = quantise_row(&scratch.turned, &mut scratch.bytes);
                    let words = scratch.bytes.as_chunks::<4>().0;
                    to.iter_mut().zip(words).for_each(|(to, b)| *to = u32::from_le_bytes(*b));
                    scratch.scales.push(scale);
                    scratch.zeros.push(zero);
                }
                let (row_scales, zeros) =
                    (std::mem::take(&mut scratch.scales), std::mem::take(&mut scratch.zeros));
                self.multiply((Kind::Byte, panels), (y, then), scratch, |(row, from), tile| {
                    let columns = from..from + PANEL;
                    let columns = (&scales[columns.clone()], &sums[columns]);
                    dequantise(tile, (&row_scales[row..], &zeros[row..]), columns);
                });
                (scratch.scales, scratch.zeros) = (row_scales, zeros);
            }
        }
    }

    /// Multiplies what stands in the scratch with every panel; `scale` makes `f32` of a panel's sums, given the first row and
    /// column.
    fn multiply(
        &self,
        (kind, panels): (Kind, &Panels),
        (y, then): (&mut [f32], Then),
        scratch: &mut LinearScratch,
        scale: impl Fn((usize, usize), &mut [u32]),
    ) {
        let outputs = self.bias.len();
        let rows = y.len() / outputs;
        // Few rows of little depth stay in the first cache while all panels pass; of greater depth neither side does.
        let together = if panels.depth() <= 256 { 32 } else { 96 };
        scratch.sums.resize(together.min(rows.next_multiple_of(ALIGN)) * PANEL);
        let engine = Engine::open(kind);
        for (chunk, y) in y.chunks_mut(together * outputs).enumerate() {
            let (first, rows) = (chunk * together, y.len() / outputs);
            let stride = panels.depth();
            let left = Left { words: &scratch.left[first * stride..], stride, rows };
            for (index, panel) in panels.panels().enumerate() {
                engine.product(kind, left, panel, (&mut scratch.sums, PANEL));
                let tile = &mut scratch.sums[..rows * PANEL];
                let from = index * PANEL;
                scale((first, from), tile);
                let bias = &self.bias[from..outputs.min(from + PANEL)];
                match then {
                    Then::Write => finish_write(tile, bias, (&mut y[from..], outputs)),
                    Then::Gelu => finish_gelu(tile, bias, (&mut y[from..], outputs)),
                    Then::Add => finish_add(tile, bias, (&mut y[from..], outputs)),
                }
            }
        }
    }
}

fn halves(weights: &[f32], inputs: usize) -> Panels {
    let mut panels = Panels::default();
    panels.resize(inputs.div_ceil(2), weights.len() / inputs);
    for (panel, rows) in panels.panels_mut().zip(weights.chunks(PANEL * inputs)) {
        for (column, row) in rows.chunks_exact(inputs).enumerate() {
            for (slot, two) in panel[column..].iter_mut().step_by(PANEL).zip(row.chunks(2)) {
                *slot = pair(two[0], two.get(1).copied().unwrap_or(0.0));
            }
        }
    }
    panels
}

fn bytes(weights: &[f32], inputs: usize) -> Layout {
    let outputs = weights.len() / inputs;
    let mut weights = weights.to_vec();
    let undo = 1.0 / turned_together(inputs) as f32;
    for row in weights.chunks_exact_mut(inputs) {
        turn(row);
        row.iter_mut().for_each(|w| *w *= undo);
    }
    let filled = outputs.next_multiple_of(PANEL);
    let (mut scales, mut sums) = (vec![0.0; filled], vec![0; filled]);
    let mut panels = Panels::default();
    panels.resize(inputs.div_ceil(4), outputs);
    let columns = scales.chunks_exact_mut(PANEL).zip(sums.chunks_exact_mut(PANEL));
    let blocks = panels.panels_mut().zip(weights.chunks(PANEL * inputs)).zip(columns);
    for ((panel, rows), (scales, sums)) in blocks {
        for (column, row) in rows.chunks_exact(inputs).enumerate() {
            let largest = row.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            let scale = (largest / 127.0).max(run_load(row) / (RUN_MOST - RUN_ROUNDING) as f32);
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            scales[column] = scale;
            let slots = panel[column..].iter_mut().step_by(PANEL);
            for (slot, four) in slots.zip(row.chunks(4)) {
                let mut word = [0u8; 4];
                for (byte, x) in word.iter_mut().zip(four) {
                    let q = (x * inverse).round_ties_even() as i8;
                    sums[column] += i32::from(q);
                    *byte = q.cast_unsigned();
                }
                *slot = u32::from_le_bytes(word);
            }
        }
    }
    Layout::Byte { panels, scales, sums }
}

/// Lanes worked on side by side.
const LANES: usize = 16;

/// Returns how many numbers of a row this wide are turned together: a power of two.
const fn turned_together(width: usize) -> usize {
    if !width.is_multiple_of(LANES) {
        return 1;
    }
    let power = 1 << (width / LANES).trailing_zeros();
    LANES * if power < 8 { power } else { 8 }
}

/// Multiplies groups of neighbouring numbers with the Hadamard matrix of +1 and -1: first [`LANES`] of them, then those groups.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn turn(row: &mut [f32]) {
    let size = turned_together(row.len());
    if size == 1 {
        return;
    }
    let lanes = row.as_chunks_mut::<LANES>().0;
    lanes.iter_mut().for_each(turn_lanes);
    match size / LANES {
        2 => lanes.as_chunks_mut().0.iter_mut().for_each(turn_group::<2>),
        4 => lanes.as_chunks_mut().0.iter_mut().for_each(turn_group::<4>),
        8 => lanes.as_chunks_mut().0.iter_mut().for_each(turn_group::<8>),
        _ => {}
    }
}

/// The transform of the lanes themselves, written so that each step is a shuffle, a product with signs and a sum.
#[inline(always)]
fn turn_lanes(x: &mut [f32; LANES]) {
    step::<1>(x);
    step::<2>(x);
    step::<4>(x);
    step::<8>(x);
}

#[inline(always)]
fn step<const HALF: usize>(x: &mut [f32; LANES]) {
    const { assert!(LANES.is_multiple_of(2 * HALF)) };
    let old = *x;
    for at in 0..LANES {
        let sign = if at & HALF == 0 { 1.0 } else { -1.0 };
        x[at] = old[at ^ HALF] + sign * old[at];
    }
}

/// The fast Walsh-Hadamard transform of `N` numbers in every lane.
#[inline(always)]
fn turn_group<const N: usize>(group: &mut [[f32; LANES]; N]) {
    let mut half = 1;
    while half < N {
        let mut from = 0;
        while from < N {
            for at in from..from + half {
                let (a, b) = (group[at], group[at + half]);
                for lane in 0..LANES {
                    group[at][lane] = a[lane] + b[lane];
                }
                for lane in 0..LANES {
                    group[at + half][lane] = a[lane] - b[lane];
                }
            }
            from += 2 * half;
        }
        half *= 2;
    }
}

/// Rounds a row to bfloat16, two to a word; words beyond the row become 0.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn round_row(x: &[f32], to: &mut [u32]) {
    let (pairs, last) = x.as_chunks::<2>();
    let (words, rest) = to.split_at_mut(pairs.len());
    words.iter_mut().zip(pairs).for_each(|(to, [a, b])| *to = pair(*a, *b));
    rest.fill(0);
    if let ([last], Some(word)) = (last, rest.first_mut()) {
        *word = pair(*last, 0.0);
    }
}

/// Writes a row as bytes and returns their scale and zero: `x = scale (byte - zero)`. Bytes beyond the row become 0; they meet
/// weights of 0.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn quantise_row(x: &[f32], to: &mut [u8]) -> (f32, i32) {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const MOST: f32 = LEFT_MOST as f32;
    let most = i32::from(LEFT_MOST);
    let (mut low, mut high) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (chunks, tail) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for ((low, high), x) in low.iter_mut().zip(&mut high).zip(chunk) {
            *low = if *x < *low { *x } else { *low };
            *high = if *x > *high { *x } else { *high };
        }
    }
    for ((low, high), x) in low.iter_mut().zip(&mut high).zip(tail) {
        *low = if *x < *low { *x } else { *low };
        *high = if *x > *high { *x } else { *high };
    }
    let low = low.iter().fold(0.0f32, |m, x| m.min(*x));
    let high = high.iter().fold(0.0f32, |m, x| m.max(*x));
    // A row with an infinite number becomes 0. Weights are finite when they are loaded, so that takes an overflow.
    let scale = if (high - low).is_finite() { (high - low) / MOST } else { 0.0 };
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let zero = ((-low * inverse).round_ties_even() as i32).clamp(0, most);
    let (bytes, rest) = to.split_at_mut(x.len());
    for (to, x) in bytes.iter_mut().zip(x) {
        let q = (x * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()).cast_signed() + zero;
        let q = if q > 0 { q } else { 0 };
        *to = (if q < most { q } else { most }) as u8;
    }
    rest.fill(0);
    (scale, zero)
}

/// Turns a panel's integer sums into `f32`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn dequantise(
    tile: &mut [u32],
    (row_scales, zeros): (&[f32], &[i32]),
    (scales, sums): (&[f32], &[i32]),
) {
    for ((row, s), z) in tile.as_chunks_mut::<PANEL>().0.iter_mut().zip(row_scales).zip(zeros) {
        for ((x, scale), sum) in row.iter_mut().zip(scales).zip(sums) {
            *x = ((x.cast_signed() - z * sum) as f32 * (s * scale)).to_bits();
        }
    }
}

/// Writes the function that puts a panel's sums and bias where they belong.
macro_rules! finish {
    ($name:ident, |$fused:ident, $y:ident, $x:ident| $becomes:expr) => {
        #[multiversion(targets(
            "x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma",
            "x86_64+avx2+fma"
        ))]
        fn $name(tile: &[u32], bias: &[f32], (y, stride): (&mut [f32], usize)) {
            let $fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
            let rows = tile.as_chunks::<PANEL>().0.iter().zip(y.chunks_mut(stride));
            if let Ok(bias) = <&[f32; PANEL]>::try_from(bias) {
                for (sums, y) in rows {
                    for ((sum, b), y) in sums.iter().zip(bias).zip(&mut y[..PANEL]) {
                        let ($x, $y) = (f32::from_bits(*sum) + b, *y);
                        *y = $becomes;
                    }
                }
                return;
            }
            for (sums, y) in rows {
                for ((sum, b), y) in sums.iter().zip(bias).zip(y) {
                    let ($x, $y) = (f32::from_bits(*sum) + b, *y);
                    *y = $becomes;
                }
            }
        }
    };
}

finish!(finish_write, |_fused, _y, x| x);
finish!(finish_gelu, |fused, _y, x| gelu_lane(fused, x));
finish!(finish_add, |_fused, y, x| y + x);

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, step: f32) -> Vec<f32> {
        (1..=n).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn no_weights_leave_the_room_that_sixteen_bits_have_for_them() {
        for inputs in [1, 7, 17, 48, 384, 385] {
            let kinds: [fn(usize) -> f32; 5] = [
                |_| 1.0,
                |i| if i % 2 == 0 { 1.0 } else { -1.0 },
                |i| if i % 5 == 2 { -1e3 } else { 1e-3 },
                |i| (i as f32 * 0.7).sin() * 1e-20,
                |i| (i as f32 * 1.3).sin().signum() * 1e20,
            ];
            let weights: Vec<f32> = kinds.iter().flat_map(|kind| (0..inputs).map(*kind)).collect();
            let Layout::Byte { panels, .. } = bytes(&weights, inputs) else {
                panic!("bytes are laid out as bytes");
            };
            for panel in panels.panels() {
                for column in 0..PANEL {
                    let words: Vec<u32> = panel[column..].iter().step_by(PANEL).copied().collect();
                    // Two words meet: their first two bytes in one sum, their last two in another.
                    for (two, from) in words.chunks(2).flat_map(|two| [(two, 0), (two, 2)]) {
                        let byte =
                            |word: &u32, at: usize| i32::from(word.to_le_bytes()[at].cast_signed());
                        let four =
                            || two.iter().flat_map(|word| [byte(word, from), byte(word, from + 1)]);
                        let up: i32 = four().filter(|w| *w > 0).sum();
                        let down: i32 = four().filter(|w| *w < 0).sum();
                        assert!(up <= RUN_MOST && down >= -RUN_MOST, "{inputs}: {up} {down}");
                    }
                }
            }
        }
    }

    fn cosine(a: &[f32], b: &[f64]) -> f64 {
        let dot: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum();
        let norm = |sum: f64| sum.sqrt();
        let a = norm(a.iter().map(|a| f64::from(*a).powi(2)).sum());
        dot / (a * norm(b.iter().map(|b| b * b).sum()))
    }

    #[test]
    fn two_by_two_by_hand_in_every_format() {
        // [1 2] · [1 2; -4 4]ᵀ + [0 1] = [5 5]; the numbers fit into all formats up to a byte's rounding.
        for (format, near) in
            [(WeightFormat::Single, 1e-5), (WeightFormat::Half, 1e-5), (WeightFormat::Byte, 0.05)]
        {
            let layer = LinearWeights::new(&[1.0, 2.0, -4.0, 4.0], vec![0.0, 1.0], format);
            let (mut y, mut scratch) = ([10.0; 2], LinearScratch::default());
            for (then, want) in [(Then::Add, 15.0), (Then::Write, 5.0), (Then::Gelu, 5.0)] {
                layer.apply(&[1.0, 2.0], &mut y, then, &mut scratch);
                assert!(y.iter().all(|y| (y - want).abs() < near), "{format:?} {then:?}: {y:?}");
            }
        }
    }

    #[test]
    fn odd_shapes_stay_near_the_naive_layer() {
        for (rows, inputs, outputs) in [(1, 1, 1), (5, 7, 33), (40, 130, 64), (17, 385, 31)] {
            let (x, w) = (numbers(rows * inputs, 0.37), numbers(outputs * inputs, 0.73));
            let bias = numbers(outputs, 0.5);
            let want: Vec<f64> = (0..rows * outputs)
                .map(|at| {
                    let (row, output) = (at / outputs, at % outputs);
                    let dot =
                        |p| f64::from(x[row * inputs + p]) * f64::from(w[output * inputs + p]);
                    (0..inputs).map(dot).sum::<f64>() + f64::from(bias[output])
                })
                .collect();
            for (format, least) in [
                (WeightFormat::Single, 0.999_999),
                (WeightFormat::Half, 0.999_5),
                // Most of these weights are large, which runs of seven-bit products have little room for.
                (WeightFormat::Byte, 0.997),
            ] {
                let layer = LinearWeights::new(&w, bias.clone(), format);
                assert!(layer.shape() == (inputs, outputs));
                let mut y = vec![f32::NAN; rows * outputs];
                layer.apply(&x, &mut y, Then::Write, &mut LinearScratch::default());
                let cosine = cosine(&y, &want);
                assert!(cosine > least, "{format:?} {rows} {inputs} {outputs}: {cosine}");
            }
        }
    }

    #[test]
    fn a_row_alone_gives_the_same_bits_as_among_others() {
        let (rows, inputs, outputs) = (37, 96, 70);
        let (x, w) = (numbers(rows * inputs, 0.11), numbers(outputs * inputs, 0.29));
        for format in [WeightFormat::Single, WeightFormat::Half, WeightFormat::Byte] {
            let layer = LinearWeights::new(&w, numbers(outputs, 0.3), format);
            let (mut all, mut one) = (vec![0.0; rows * outputs], vec![0.0; outputs]);
            let mut scratch = LinearScratch::default();
            layer.apply(&x, &mut all, Then::Gelu, &mut scratch);
            for (x, want) in x.chunks_exact(inputs).zip(all.chunks_exact(outputs)) {
                layer.apply(x, &mut one, Then::Gelu, &mut scratch);
                assert!(one == want, "{format:?}");
            }
        }
    }

    #[test]
    fn turning_twice_multiplies_by_the_size_and_spreads_what_stands_out() {
        for (width, size) in [(1, 1), (17, 1), (16, 16), (96, 32), (384, 128), (1024, 128)] {
            let want = numbers(width, 0.7);
            let mut row = want.clone();
            turn(&mut row);
            turn(&mut row);
            assert!(turned_together(width) == size);
            for (x, want) in row.iter().zip(&want) {
                assert!((x / size as f32 - want).abs() < 1e-5, "{width}: {x} {want}");
            }
        }
        let mut row = vec![0.0; 64];
        row[17] = 1.0;
        turn(&mut row);
        assert!(row.iter().all(|x| (x.abs() - 1.0).abs() < 1e-6));
    }

    #[test]
    fn bytes_of_a_row_stand_for_it_to_half_a_step() {
        for (scale, shift) in [(1.0, 0.0), (1e-20, 0.0), (3.0, 5.0), (3.0, -5.0), (0.0, 2.0)] {
            let x: Vec<f32> = numbers(67, 0.7).iter().map(|x| x * scale + shift).collect();
            let mut bytes = vec![9; 72];
            let (step, zero) = quantise_row(&x, &mut bytes);
            for (x, byte) in x.iter().zip(&bytes) {
                let back = step * (i32::from(*byte) - zero) as f32;
                assert!((back - x).abs() <= 1.01 * step, "{x} {back}");
            }
            assert!(bytes[67..].iter().all(|b| *b == 0));
        }
        let mut bytes = vec![9; 4];
        assert!(quantise_row(&[0.0; 3], &mut bytes) == (0.0, 0) && bytes == [0; 4]);
        assert!(quantise_row(&[f32::INFINITY, 1.0, 2.0], &mut bytes) == (0.0, 0));
    }
}
