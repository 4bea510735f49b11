//! Products of small numbers, four bytes at a time: a word holds two bfloat16 numbers or four bytes of neighbouring columns on the
//! left side, of neighbouring rows on the right. Sums are `f32` or `i32`. Tile registers (AMX), AVX-512 with BF16 and VNNI, AVX2 or plain
//! code are chosen at run time; sums of bytes are exact, so all of them agree to the bit there.

use super::aligned::Aligned;
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
    /// Four bytes: unsigned on the left side, signed on the right.
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
    /// What [`Engine::widened`] made of the words.
    pub(crate) wide: &'a [[i16; 4]],
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
        assert!(stride >= PANEL && (filled - 1) * stride + PANEL <= c.len(), "the result fits");
        #[cfg(target_arch = "x86_64")]
        if self.widens(kind) {
            // SAFETY: `open` found the feature, and the bounds were checked above.
            #[expect(unsafe_code, reason = "calls code for instructions that were found present")]
            unsafe {
                bytes_256(left, panel, c, stride);
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

    /// Widens the words of a left side for all panels at once, where this engine multiplies bytes as numbers of 16 bits; the result stands in
    /// `memory`.
    pub(crate) fn widened<'a>(
        &self,
        kind: Kind,
        words: &[u32],
        memory: &'a mut Vec<[i16; 4]>,
    ) -> &'a [[i16; 4]] {
        if !self.widens(kind) {
            return &[];
        }
        memory.resize(words.len(), [0; 4]);
        // SAFETY: an engine that widens found the feature.
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "calls code for instructions that were found present")]
        unsafe {
            widen_all::<false>(words, memory);
        }
        memory
    }

    /// Tells whether bytes are widened before they meet.
    pub(crate) const fn widens(&self, kind: Kind) -> bool {
        #[cfg(target_arch = "x86_64")]
        if matches!((self, kind), (Self::Avx2, Kind::Byte)) {
            return true;
        }
        false
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
            (Self::Avx2, _) => unsafe { by_rows!(halves_256, part, c, stride: 1 2 3) },
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

/// Words of depth that are widened together: 32 columns of them take half of a small first cache.
const DEEP: usize = 64;
/// Rows and columns whose sums stay in the registers of AVX2.
const HIGH: usize = 6;
const WIDE: usize = 8;

/// Bytes for AVX2, whose instruction for bytes would saturate: both sides are widened to 16 bits before they meet, so that a tile is loads,
/// products and sums alone. Columns lie in groups of [`WIDE`], four numbers of each beside one another.
///
/// # Safety
/// The machine has the features; rows of `left` and of `c` lie inside their slices.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "calls code for the same instructions")]
unsafe fn bytes_256(left: Left<'_>, panel: &[u32], c: &mut [u32], stride: usize) {
    assert!(left.wide.len() == left.words.len(), "the left side was widened");
    let mut columns = [[[[0; 4]; WIDE]; DEEP]; PANEL / WIDE];
    for (chunk, words) in panel.chunks(DEEP * PANEL).enumerate() {
        let (from, depth) = (chunk * DEEP, words.len() / PANEL);
        for (p, words) in words.as_chunks::<PANEL>().0.iter().enumerate() {
            for (group, words) in columns.iter_mut().zip(words.as_chunks::<WIDE>().0) {
                widen_all::<true>(words, &mut group[p]);
            }
        }
        for first in (0..left.rows).step_by(HIGH) {
            let high = HIGH.min(left.rows - first);
            let rows = &left.wide[first * left.stride + from..];
            assert!((high - 1) * left.stride + depth <= rows.len(), "rows are as deep");
            for (group, columns) in columns.iter().enumerate() {
                let to = &mut c[first * stride + group * WIDE..];
                assert!((high - 1) * stride + WIDE <= to.len(), "the sums fit");
                let (rows, columns) = ((rows, left.stride), &columns[..depth]);
                // SAFETY: `high` rows were found to be there on both sides.
                unsafe {
                    match high {
                        1 => wide_tile::<1>(rows, columns, (to, stride), chunk > 0),
                        2 => wide_tile::<2>(rows, columns, (to, stride), chunk > 0),
                        3 => wide_tile::<3>(rows, columns, (to, stride), chunk > 0),
                        4 => wide_tile::<4>(rows, columns, (to, stride), chunk > 0),
                        5 => wide_tile::<5>(rows, columns, (to, stride), chunk > 0),
                        _ => wide_tile::<HIGH>(rows, columns, (to, stride), chunk > 0),
                    }
                }
            }
        }
    }
}

/// Widens the bytes of words, signed or unsigned, four words at a time: there are fours. What a compiler makes of the plain form goes through
/// general registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores by pointer")]
fn widen_all<const SIGNED: bool>(words: &[u32], to: &mut [[i16; 4]]) {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_storeu_si256,
    };
    for (words, to) in words.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<4>().0) {
        // SAFETY: both are as long as the vectors.
        unsafe {
            let bytes = _mm_loadu_si128(words.as_ptr().cast());
            let wide =
                if SIGNED { _mm256_cvtepi8_epi16(bytes) } else { _mm256_cvtepu8_epi16(bytes) };
            _mm256_storeu_si256(to.as_mut_ptr().cast(), wide);
        }
    }
}

/// Writes, or adds, the sums of some rows and [`WIDE`] columns.
///
/// # Safety
/// The machine has the features; there are `ROWS` rows as deep as the columns, and `ROWS` of `c`, both as far apart as is told.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores by pointer: bounds checks would spill the sums")]
unsafe fn wide_tile<const ROWS: usize>(
    (rows, apart): (&[[i16; 4]], usize),
    columns: &[[[i16; 4]; WIDE]],
    (c, stride): (&mut [u32], usize),
    adds: bool,
) {
    use std::arch::x86_64::{
        _mm256_add_epi32, _mm256_hadd_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_permute4x64_epi64, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_storeu_si256,
    };
    // Two sums a column, of its even and of its odd pair of numbers.
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    for (p, columns) in columns.iter().enumerate() {
        // SAFETY: rows are as deep as columns, and a group of columns is two vectors.
        unsafe {
            let four: *const [i16; 4] = columns.as_ptr();
            let right = [0, 4].map(|v| _mm256_loadu_si256(four.add(v).cast()));
            for (i, sums) in sums.iter_mut().enumerate() {
                let word: *const i64 = rows.as_ptr().add(i * apart + p).cast();
                let left = _mm256_set1_epi64x(word.read_unaligned());
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(left, right));
                }
            }
        }
    }
    for (i, [first, second]) in sums.into_iter().enumerate() {
        // Adds neighbours: columns 0 1 4 5 and 2 3 6 7 of eight, put in order.
        let mut sum = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(first, second));
        // SAFETY: the caller made sure that `ROWS` rows of [`WIDE`] columns lie inside `c`.
        unsafe {
            let to = c.as_mut_ptr().add(i * stride).cast();
            if adds {
                sum = _mm256_add_epi32(sum, _mm256_loadu_si256(to));
            }
            _mm256_storeu_si256(to, sum);
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
    use super::*;

    /// Words without order, bounded for halves: numbers between 1/4 and 4 of either sign.
    fn word(kind: Kind, seed: usize) -> u32 {
        let bits = (seed as u32).wrapping_mul(2_654_435_761) ^ (seed as u32).rotate_left(7) << 3;
        match kind {
            Kind::Byte => bits,
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
            for (rows, depth, gap) in [(1usize, 16, 0), (16, 32, 3), (29, 48, 0), (50, 16, 5)] {
                let filled = rows.next_multiple_of(ALIGN);
                let stride = depth + gap;
                let left: Vec<u32> = (0..filled * stride).map(|i| word(kind, i)).collect();
                let panel: Vec<u32> = (0..depth * PANEL).map(|i| word(kind, 7 * i + 1)).collect();
                for engine in engines() {
                    let mut c = vec![9; filled * 40];
                    let mut memory = Vec::new();
                    let wide = engine.widened(kind, &left, &mut memory);
                    let left = Left { words: &left, stride, rows, wide };
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
    fn the_greatest_bytes_do_not_overflow_their_pairs() {
        // 255 * -128 four times a word, 16 words: no step may saturate at 16 bits.
        let (left, panel) = (vec![u32::MAX; 16 * 16], vec![0x8080_8080; 16 * PANEL]);
        for engine in engines() {
            let mut c = vec![0; 16 * PANEL];
            let mut memory = Vec::new();
            let wide = engine.widened(Kind::Byte, &left, &mut memory);
            let left = Left { words: &left, stride: 16, rows: 1, wide };
            engine.product(Kind::Byte, left, &panel, (&mut c, PANEL));
            assert!(c[..PANEL].iter().all(|&x| x.cast_signed() == -255 * 128 * 64));
        }
    }
}
