//! Bytes for AVX2. Its instruction for bytes adds pairs of products in 16 bits and saturates, so both sides are kept small enough that it
//! cannot: bytes of the left side have seven bits, and runs of weights are bounded ([`run_load`]). Two such sums are added before they are
//! widened, so that 64 products take five instructions.

#[cfg(target_arch = "x86_64")]
use super::words::{Left, PANEL};

/// Largest byte of a left side.
pub(crate) const LEFT_MOST: u8 = 127;
/// Words of a column that meet in a 16-bit sum; a word's first two bytes in one, its last two in another.
const RUN: usize = 2;
/// What positive weights of a run may add up to, and negative ones: times the largest byte it fits into 16 bits.
pub(crate) const RUN_MOST: i32 = i16::MAX as i32 / LEFT_MOST as i32;
/// How much rounding may add to that: half a unit for each of the four weights that meet in a sum.
pub(crate) const RUN_ROUNDING: i32 = RUN as i32;
/// As many rows as leave all sums in registers.
#[cfg(target_arch = "x86_64")]
const MOST_ROWS: usize = 4;
/// Words of a column that stay in the first cache while all rows pass.
#[cfg(target_arch = "x86_64")]
const DEPTH: usize = 128;

/// Returns the most that positive or negative weights of any run of a column add up to.
pub(crate) fn run_load(column: &[f32]) -> f32 {
    let mut most = 0.0f32;
    for run in column.chunks(4 * RUN) {
        let mut sums = [[0.0f32; 2]; 2];
        for (at, &w) in run.iter().enumerate() {
            sums[at / 2 % 2][usize::from(w < 0.0)] += w.abs();
        }
        most = sums.iter().flatten().fold(most, |most, &sum| most.max(sum));
    }
    most
}

/// Writes the sums of `left` times a panel; the caller checked the bounds and that AVX2 is there.
///
/// # Safety
/// The machine has AVX2. `left.rows` rows of the panel's depth lie in `left.words`, and as many of [`PANEL`] words, `stride` apart, in `c`.
/// The depth is a multiple of [`RUN`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "hands pointers to blocks without bounds checks")]
pub(super) unsafe fn product_256(left: Left<'_>, panel: &[u32], (c, stride): (&mut [u32], usize)) {
    let depth = panel.len() / PANEL;
    for from in (0..depth).step_by(DEPTH) {
        let part = &panel[from * PANEL..depth.min(from + DEPTH) * PANEL];
        for half in [0, PANEL / 2] {
            for row in (0..left.rows).step_by(MOST_ROWS) {
                let a = (&left.words[row * left.stride + from..], left.stride);
                let sums = (&mut c[row * stride + half..], stride);
                let part = &part[half..];
                // SAFETY: as the caller promised, for these rows, this depth and half of the columns.
                unsafe {
                    match left.rows - row {
                        1 => block::<1>(a, part, sums, from > 0),
                        2 => block::<2>(a, part, sums, from > 0),
                        3 => block::<3>(a, part, sums, from > 0),
                        _ => block::<MOST_ROWS>(a, part, sums, from > 0),
                    }
                }
            }
        }
    }
}

/// Sums of `ROWS` rows and half a panel's columns, in registers all the way.
///
/// # Safety
/// As [`product_256`]; `panel` begins with the first column wanted.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores by pointer: bounds checks would spill the sums")]
unsafe fn block<const ROWS: usize>(
    (a, a_stride): (&[u32], usize),
    panel: &[u32],
    (c, stride): (&mut [u32], usize),
    add: bool,
) {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi16, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256,
        _mm256_storeu_si256,
    };
    const VECTORS: usize = PANEL / 2 / 8;
    let depth = panel.len().div_ceil(PANEL);
    let (a, panel, c) = (a.as_ptr(), panel.as_ptr(), c.as_mut_ptr());
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_si256(); VECTORS]; ROWS];
    // SAFETY: rows, columns and depth lie in their slices, as the caller promised.
    unsafe {
        if add {
            for (i, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm256_loadu_si256(c.add(i * stride + 8 * v).cast());
                }
            }
        }
        for p in (0..depth).step_by(RUN) {
            let right: [[__m256i; VECTORS]; RUN] = std::array::from_fn(|k| {
                std::array::from_fn(|v| {
                    _mm256_loadu_si256(panel.add((p + k) * PANEL + 8 * v).cast())
                })
            });
            for (i, sums) in sums.iter_mut().enumerate() {
                let word = |k: usize| _mm256_set1_epi32(*a.add(i * a_stride + p + k) as i32);
                let first = word(0);
                let mut short = right[0].map(|b| _mm256_maddubs_epi16(first, b));
                for (k, right) in right.iter().enumerate().skip(1) {
                    let word = word(k);
                    for (short, &b) in short.iter_mut().zip(right) {
                        *short = _mm256_add_epi16(*short, _mm256_maddubs_epi16(word, b));
                    }
                }
                for (sum, short) in sums.iter_mut().zip(short) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(short, ones));
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                _mm256_storeu_si256(c.add(i * stride + 8 * v).cast(), sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_eight_inputs_by_pairs_and_signs() {
        // Pairs 0 and 2 of the first run meet, 1 and 3 do; the third run is a weight alone.
        let mut column = vec![0.0; 17];
        for (at, w) in [(0, 1.0), (1, 2.0), (2, -4.0), (4, 8.0), (6, -1.0), (7, 2.5), (16, -9.0)] {
            column[at] = w;
        }
        assert!((run_load(&column) - 11.0).abs() < 1e-6);
        assert!((run_load(&column[..8]) - 11.0).abs() < 1e-6);
        assert!((run_load(&column[2..4]) - 4.0).abs() < 1e-6);
        assert!(run_load(&[]).abs() < 1e-9);
    }
}
