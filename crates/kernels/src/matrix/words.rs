//! Products of small numbers, four bytes at a time: a word holds two bfloat16 numbers or four bytes of neighbouring columns on the
//! left side, of neighbouring rows on the right. Sums are `f32` or `i32`. Tile registers (AMX), AVX-512 with BF16 and VNNI, AVX2 or plain
//! code are chosen at run time; sums of bytes are exact, so all of them agree to the bit there.

use super::aligned::Aligned;
#[cfg(target_arch = "x86_64")]
use super::bytes;
use super::tiles::Tiles;

/// Columns of a panel.
pub(crate) const PANEL: usize = 32;
/// Depths and heights are filled up to a multiple of this: tiles have 16 rows of 16 words.
pub(crate) const ALIGN: usize = 16;

/// What a word holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Two bfloat16 numbers, the first in the low half.
    Half,
    /// Four bytes: on the left side unsigned, [`LEFT_MOST`](super::bytes::LEFT_MOST) at most, on the right signed, with runs that
    /// [`run_load`](super::bytes::run_load) measures within [`RUN_MOST`](super::bytes::RUN_MOST).
    Byte,
}

/// The right side of a product: `[depth, columns]` words in panels of [`PANEL`] columns, each `[depth, PANEL]`; the last panel and the
/// depth are filled up with zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panels {
    depth: usize,
    words: Aligned<u32>,
}

/// The left side: rows of words, `stride` apart. There must be rows up to a multiple of [`ALIGN`] in the slice, whatever they hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left<'a> {
    pub(crate) words: &'a [u32],
    pub(crate) stride: usize,
    pub(crate) rows: usize,
}

impl Panels {
    /// Makes room for `depth` rows of words and `columns` columns, all zero, and returns the depth as it was filled up.
    pub(crate) fn resize(&mut self, depth: usize, columns: usize) -> usize {
        self.depth = depth.next_multiple_of(ALIGN);
        self.words.fill_with(self.depth * columns.next_multiple_of(PANEL), 0);
        self.depth
    }

    /// Returns the panels to be filled, each `[depth, PANEL]`.
    pub(crate) fn panels_mut(&mut self) -> std::slice::ChunksExactMut<'_, u32> {
        self.words.chunks_exact_mut((self.depth * PANEL).max(1))
    }

    /// Returns the panels.
    pub(crate) fn panels(&self) -> std::slice::ChunksExact<'_, u32> {
        self.words.chunks_exact((self.depth * PANEL).max(1))
    }

    /// Returns the depth in words, filled up.
    pub(crate) const fn depth(&self) -> usize {
        self.depth
    }
}

/// The means of this machine.
pub(crate) enum Engine {
    Tiles(Tiles),
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Plain,
}

/// One tile's operands: `rows` rows of `a` against a whole panel.
#[derive(Clone, Copy)]
struct Part<'a> {
    a: &'a [u32],
    stride: usize,
    panel: &'a [u32],
    rows: usize,
}

/// Calls a tile function for the number of rows at hand: the count is a constant inside, so sums stay in registers.
macro_rules! by_rows {
    ($tile:ident, $part:ident, $c:ident, $stride:ident: $($rows:literal)*) => {
        match $part.rows {
            $($rows => $tile::<$rows>($part, $c, $stride),)*
            _ => unreachable!("an engine is given at most its own number of rows"),
        }
    };
}

impl Engine {
    /// Returns the fastest there is for words of this kind, set up for this thread.
    pub(crate) fn open(kind: Kind) -> Self {
        if let Some(tiles) = Tiles::open() {
            return Self::Tiles(tiles);
        }
        #[cfg(target_arch = "x86_64")]
        {
            let is_there = match kind {
                Kind::Half => is_x86_feature_detected!("avx512bf16"),
                Kind::Byte => is_x86_feature_detected!("avx512vnni"),
            };
            if is_there && is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Plain
    }

    /// Writes the sums of `left` times a panel to the rows of `c`, `stride` apart, [`PANEL`] words each: bits of `f32` for
    /// halves, `i32` for bytes. The engine was opened for this kind. Rows of `c` up to a multiple of [`ALIGN`] may be written, and must lie in the slice.
    ///
    /// # Panics
    /// When an operand reaches beyond its slice.
    pub(crate) fn product(
        &self,
        kind: Kind,
        left: Left<'_>,
        panel: &[u32],
        (c, stride): (&mut [u32], usize),
    ) {
        let filled = left.rows.next_multiple_of(ALIGN);
        if let Self::Tiles(tiles) = self {
            tiles.words((kind, filled), (left.words, left.stride), panel, (c, stride));
            return;
        }
        let depth = panel.len() / PANEL;
        assert!((filled - 1) * left.stride + depth <= left.words.len(), "the left side is there");
        assert!(depth.is_multiple_of(ALIGN), "panels are as deep as `Panels` makes them");
        assert!(stride >= PANEL && (filled - 1) * stride + PANEL <= c.len(), "the result fits");
        #[cfg(target_arch = "x86_64")]
        if let (Self::Avx2, Kind::Byte) = (self, kind) {
            // SAFETY: `open` found the features, the bounds were checked above, and depths are filled up to whole runs.
            #[expect(unsafe_code, reason = "calls code for instructions that were found present")]
            unsafe {
                bytes::product_256(left, panel, (c, stride));
            }
            return;
        }
        let mut row = 0;
        while row < left.rows {
            let rows = self.max_rows().min(left.rows - row);
            let part =
                Part { a: &left.words[row * left.stride..], stride: left.stride, panel, rows };
            self.tile(kind, part, &mut c[row * stride..], stride);
            row += rows;
        }
    }

    /// As many rows as leave all sums in registers.
    const fn max_rows(&self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 12,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 3,
            Self::Tiles(_) | Self::Plain => 2,
        }
    }

    fn tile(&self, kind: Kind, part: Part<'_>, c: &mut [u32], stride: usize) {
        let depth = part.panel.len() / PANEL;
        assert!((part.rows - 1) * part.stride + depth <= part.a.len(), "rows lie in `a`");
        assert!((part.rows - 1) * stride + PANEL <= c.len(), "rows lie in `c`");
        match (self, kind) {
            // SAFETY: `open` found the features, and the bounds were checked above.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "calls code for instructions that were found present")]
            (Self::Avx512, Kind::Half) => unsafe {
                by_rows!(halves_512, part, c, stride: 1 2 3 4 5 6 7 8 9 10 11 12);
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "calls code for instructions that were found present")]
            (Self::Avx512, Kind::Byte) => unsafe {
                by_rows!(bytes_512, part, c, stride: 1 2 3 4 5 6 7 8 9 10 11 12);
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "calls code for instructions that were found present")]
            (Self::Avx2, Kind::Half) => unsafe { by_rows!(halves_256, part, c, stride: 1 2 3) },
            (_, Kind::Half) => by_rows!(halves_plain, part, c, stride: 1 2),
            (_, Kind::Byte) => by_rows!(bytes_plain, part, c, stride: 1 2),
        }
    }
}

/// Writes a tile function for AVX-512: `$dot` adds a word's products to a sum.
#[cfg(target_arch = "x86_64")]
macro_rules! tile_512 {
    ($name:ident, $features:literal, |$sum:ident, $a:ident, $b:ident| $dot:expr, $zero:ident, $bits:ident) => {
        /// # Safety
        /// The machine has the features, and `ROWS` rows of `part.a` and of `c` lie inside their slices.
        #[target_feature(enable = $features)]
        #[expect(
            unsafe_code,
            reason = "loads and stores by pointer: bounds checks would spill the sums"
        )]
        unsafe fn $name<const ROWS: usize>(part: Part<'_>, c: &mut [u32], stride: usize) {
            use std::arch::x86_64::*;
            const VECTORS: usize = PANEL / 16;
            let (a, panel, c) = (part.a.as_ptr(), part.panel.as_ptr(), c.as_mut_ptr());
            let mut sums = [[$zero(); VECTORS]; ROWS];
            for p in 0..part.panel.len() / PANEL {
                // SAFETY: `p` is below the panel's depth, and so are all words of the rows of `a`.
                unsafe {
                    let right: [__m512i; VECTORS] = std::array::from_fn(|v| {
                        _mm512_loadu_si512(panel.add(p * PANEL + v * 16).cast())
                    });
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let $a = _mm512_set1_epi32(*a.add(i * part.stride + p) as i32);
                        for (sum, $b) in sums.iter_mut().zip(right) {
                            let $sum = *sum;
                            *sum = $dot;
                        }
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    // SAFETY: the caller made sure that `ROWS` rows of a panel's width lie inside `c`.
                    unsafe { _mm512_storeu_si512(c.add(i * stride + v * 16).cast(), $bits(sum)) };
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tile_512!(
    halves_512,
    "avx512f,avx512bf16",
    |sum, a, b| _mm512_dpbf16_ps(
        sum,
        std::mem::transmute::<__m512i, __m512bh>(a),
        std::mem::transmute::<__m512i, __m512bh>(b),
    ),
    _mm512_setzero_ps,
    _mm512_castps_si512
);
#[cfg(target_arch = "x86_64")]
const fn same(x: std::arch::x86_64::__m512i) -> std::arch::x86_64::__m512i {
    x
}
#[cfg(target_arch = "x86_64")]
tile_512!(
    bytes_512,
    "avx512f,avx512vnni",
    |sum, a, b| _mm512_dpbusd_epi32(sum, a, b),
    _mm512_setzero_si512,
    same
);

/// Halves for AVX2: each is widened to an `f32`.
///
/// # Safety
/// The machine has the features, and `ROWS` rows of `part.a` and of `c` lie inside their slices.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "loads and stores by pointer: bounds checks would spill the sums")]
unsafe fn halves_256<const ROWS: usize>(part: Part<'_>, c: &mut [u32], stride: usize) {
    use std::arch::x86_64::{
        _mm256_and_si256, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_loadu_si256,
        _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_slli_epi32, _mm256_storeu_ps,
    };
    const VECTORS: usize = PANEL / 8;
    let (a, panel, c) = (part.a.as_ptr(), part.panel.as_ptr(), c.as_mut_ptr());
    let mut sums = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
    for p in 0..part.panel.len() / PANEL {
        for v in 0..VECTORS {
            // SAFETY: `p` is below the panel's depth, and so are all words of the rows of `a`.
            unsafe {
                let b = _mm256_loadu_si256(panel.add(p * PANEL + v * 8).cast());
                let first = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(b));
                let second = _mm256_castsi256_ps(_mm256_and_si256(b, upper));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let word = *a.add(i * part.stride + p);
                    let (x, y) = (f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000));
                    let sum = _mm256_fmadd_ps(_mm256_set1_ps(x), first, sums[v]);
                    sums[v] = _mm256_fmadd_ps(_mm256_set1_ps(y), second, sum);
                }
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: the caller made sure that `ROWS` rows of a panel's width lie inside `c`.
            unsafe { _mm256_storeu_ps(c.add(i * stride + v * 8).cast(), sum) };
        }
    }
}

/// Halves on any machine.
fn halves_plain<const ROWS: usize>(part: Part<'_>, c: &mut [u32], stride: usize) {
    let mut sums = [[0.0f32; PANEL]; ROWS];
    for (p, b) in part.panel.as_chunks::<PANEL>().0.iter().enumerate() {
        for (i, sums) in sums.iter_mut().enumerate() {
            let word = part.a[i * part.stride + p];
            let (x, y) = (f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000));
            for (sum, &b) in sums.iter_mut().zip(b) {
                *sum += x * f32::from_bits(b << 16) + y * f32::from_bits(b & 0xffff_0000);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        c[i * stride..].iter_mut().zip(sums).for_each(|(c, sum)| *c = sum.to_bits());
    }
}

/// Bytes on any machine.
fn bytes_plain<const ROWS: usize>(part: Part<'_>, c: &mut [u32], stride: usize) {
    let mut sums = [[0i32; PANEL]; ROWS];
    for (p, b) in part.panel.as_chunks::<PANEL>().0.iter().enumerate() {
        for (i, sums) in sums.iter_mut().enumerate() {
            let a = part.a[i * part.stride + p].to_le_bytes();
            for (sum, b) in sums.iter_mut().zip(b) {
                let products = a.iter().zip(b.to_le_bytes());
                *sum +=
                    products.map(|(a, b)| i32::from(*a) * i32::from(b.cast_signed())).sum::<i32>();
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        c[i * stride..].iter_mut().zip(sums).for_each(|(c, sum)| *c = sum.cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes::{LEFT_MOST, RUN_MOST};
    use super::*;

    /// Words without order, bounded for halves: numbers between 1/4 and 4 of either sign; for bytes 0 to 127, or -32 to 31, of which
    /// four add up to 128 at most.
    fn word(kind: Kind, seed: usize, is_left: bool) -> u32 {
        let bits = (seed as u32).wrapping_mul(2_654_435_761) ^ (seed as u32).rotate_left(7) << 3;
        match kind {
            Kind::Byte if is_left => bits & 0x7f7f_7f7f,
            Kind::Byte => {
                let small = |byte: u8| (byte.cast_signed() >> 2).cast_unsigned();
                u32::from_le_bytes(bits.to_le_bytes().map(small))
            }
            Kind::Half => bits & 0x80ff_80ff | 0x3f00_3f00,
        }
    }

    fn engines() -> Vec<Engine> {
        let mut all = vec![Engine::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Engine::Avx2);
            }
            if is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512vnni") {
                all.push(Engine::Avx512);
            }
        }
        all.extend(Tiles::open().map(Engine::Tiles));
        all
    }

    fn naive(kind: Kind, a: u32, b: u32) -> f64 {
        let half = |w: u32| (f32::from_bits(w << 16), f32::from_bits(w & 0xffff_0000));
        match kind {
            Kind::Byte => {
                let pairs = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
                pairs.map(|(a, b)| f64::from(a) * f64::from(b.cast_signed())).sum()
            }
            Kind::Half => {
                let ((a, c), (b, d)) = (half(a), half(b));
                f64::from(a) * f64::from(b) + f64::from(c) * f64::from(d)
            }
        }
    }

    #[test]
    fn every_engine_equals_naive_sums() {
        for kind in [Kind::Half, Kind::Byte] {
            for (rows, depth, gap) in
                [(1usize, 16, 0), (16, 32, 3), (29, 48, 0), (50, 16, 5), (7, 304, 1)]
            {
                let filled = rows.next_multiple_of(ALIGN);
                let stride = depth + gap;
                let left: Vec<u32> = (0..filled * stride).map(|i| word(kind, i, true)).collect();
                let panel: Vec<u32> =
                    (0..depth * PANEL).map(|i| word(kind, 7 * i + 1, false)).collect();
                for engine in engines() {
                    let mut c = vec![9; filled * 40];
                    let left = Left { words: &left, stride, rows };
                    engine.product(kind, left, &panel, (&mut c, 40));
                    for (row, column) in (0..rows).flat_map(|r| (0..PANEL).map(move |c| (r, c))) {
                        let dot = |p| {
                            naive(kind, left.words[row * stride + p], panel[p * PANEL + column])
                        };
                        let want: f64 = (0..depth).map(dot).sum();
                        let got = c[row * 40 + column];
                        match kind {
                            Kind::Byte => assert!(got.cast_signed() == want as i32),
                            Kind::Half => {
                                let got = f64::from(f32::from_bits(got));
                                assert!((got - want).abs() < 2e-3, "{got} {want}");
                            }
                        }
                    }
                    assert!(c.chunks_exact(40).all(|row| row[PANEL..].iter().all(|&x| x == 9)));
                }
            }
        }
    }

    #[test]
    fn the_greatest_bytes_do_not_overflow_their_runs() {
        // Of four weights that meet: two of 127 and one of 4, or two of -128 and one of -2, and one of 0; the left side all 127.
        let most = i32::from(LEFT_MOST);
        for (run, sum) in [([127, 127, 4], 258), ([-128, -128, -2], -258)] {
            let run = run.map(|w: i16| (w as i8).cast_unsigned());
            let words = [
                u32::from_le_bytes([run[0], run[1], run[0], run[1]]),
                u32::from_le_bytes([run[2], 0, run[2], 0]),
                0,
                0,
            ];
            let left = vec![u32::from_le_bytes([LEFT_MOST; 4]); 16 * 16];
            let panel: Vec<u32> = (0..16 * PANEL).map(|i| words[i / PANEL % 4]).collect();
            for engine in engines() {
                let mut c = vec![0; 16 * PANEL];
                let left = Left { words: &left, stride: 16, rows: 1 };
                engine.product(Kind::Byte, left, &panel, (&mut c, PANEL));
                // Two sums a column in each of four runs; the other runs are 0.
                assert!(c[..PANEL].iter().all(|&x| x.cast_signed() == 8 * most * sum));
            }
        }
        const { assert!(RUN_MOST == 258) };
    }
}
