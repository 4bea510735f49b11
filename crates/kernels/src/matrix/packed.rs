//! Products with a matrix that is packed once and used often: `c += a · b`, the heart of a linear layer.
//!
//! `b: [k, n]` lies in panels of 32 columns. Every value of `c` is summed in the order of `k`, in blocks of fixed
//! size, so it does not depend on how many rows are multiplied at once. Single-threaded, like [`gemm`](crate::gemm()).

use std::ops::Range;

use rayon::prelude::*;

/// Columns of a panel.
const PANEL: usize = 32;
/// Rows of a panel used at a time: 24 KB, so that they stay in the first cache.
const DEPTH: usize = 192;
/// Larger matrices are packed on all cores.
const PARALLEL: usize = 1 << 17;

/// A matrix `[k, n]` laid out for [`Packed::add_product`].
#[derive(Clone, Debug, Default)]
pub struct Packed {
    k: usize,
    n: usize,
    // [n / PANEL, k, PANEL], the last panel filled with zeros.
    panels: Vec<f32>,
}

/// Borrows the left side of a product: `count` rows, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The numbers; only the first `k` of each row are read.
    pub data: &'a [f32],
    /// Distance between the starts of two rows.
    pub stride: usize,
    /// Number of rows.
    pub count: usize,
}

impl Packed {
    /// Columns of a panel: blocks of a product begin at multiples of it.
    pub const PANEL: usize = PANEL;

    /// Packs `b: [k, n]` given by its transpose `[n, k]`, row-major: the layout of a linear layer's weights.
    ///
    /// # Panics
    /// When the slice does not fill the shape.
    pub fn from_transposed(weights: &[f32], (k, n): (usize, usize)) -> Self {
        let mut packed = Self::default();
        packed.refill_transposed(Rows { data: weights, stride: k, count: n }, k);
        packed
    }

    /// Packs the transpose of `rows: [n, k]` into this matrix, keeping its memory.
    ///
    /// # Panics
    /// When a row lies outside the slice.
    pub fn refill_transposed(&mut self, rows: Rows<'_>, k: usize) {
        self.resize(k, rows.count);
        let fill = |(index, panel): (usize, &mut [f32])| {
            for j in index * PANEL..rows.count.min((index + 1) * PANEL) {
                let row = &rows.data[j * rows.stride..][..k];
                for (slot, &x) in panel[j % PANEL..].iter_mut().step_by(PANEL).zip(row) {
                    *slot = x;
                }
            }
        };
        self.each_panel(fill);
    }

    /// Packs `rows: [k, n]` into this matrix, keeping its memory.
    ///
    /// # Panics
    /// When a row lies outside the slice.
    pub fn refill(&mut self, rows: Rows<'_>, n: usize) {
        self.resize(rows.count, n);
        let fill = |(index, panel): (usize, &mut [f32])| {
            let columns = index * PANEL..n.min((index + 1) * PANEL);
            for (p, to) in panel.chunks_exact_mut(PANEL).enumerate() {
                let row = &rows.data[p * rows.stride..][..n];
                to[..columns.len()].copy_from_slice(&row[columns.clone()]);
            }
        };
        self.each_panel(fill);
    }

    /// Fills the panels, on all cores when there is much to fill.
    fn each_panel(&mut self, fill: impl Fn((usize, &mut [f32])) + Sync + Send) {
        let size = (self.k * PANEL).max(1);
        if self.panels.len() < PARALLEL {
            self.panels.chunks_exact_mut(size).enumerate().for_each(fill);
        } else {
            self.panels.par_chunks_exact_mut(size).enumerate().for_each(fill);
        }
    }

    fn resize(&mut self, k: usize, n: usize) {
        (self.k, self.n) = (k, n);
        self.panels.clear();
        self.panels.resize(n.div_ceil(PANEL) * k * PANEL, 0.0);
    }

    /// Writes over column `j`; `column` has `k` numbers.
    ///
    /// # Panics
    /// When there is no such column or it is of another length.
    pub fn set_column(&mut self, j: usize, column: &[f32]) {
        assert!(j < self.n && column.len() == self.k, "the matrix has such a column");
        let panel = &mut self.panels[j / PANEL * self.k * PANEL..][..self.k * PANEL];
        for (slot, &x) in panel[j % PANEL..].iter_mut().step_by(PANEL).zip(column) {
            *slot = x;
        }
    }

    /// Adds a column behind the last one.
    ///
    /// # Panics
    /// When it is of another length than the others.
    pub fn push_column(&mut self, column: &[f32]) {
        self.n += 1;
        self.panels.resize(self.n.div_ceil(PANEL) * self.k * PANEL, 0.0);
        self.set_column(self.n - 1, column);
    }

    /// Returns `(k, n)`.
    pub const fn shape(&self) -> (usize, usize) {
        (self.k, self.n)
    }

    /// Adds `a · self` to `c`, whose rows are `stride` apart; the first `n` values of each are changed.
    ///
    /// # Panics
    /// When a row of `a` or `c` lies outside its slice.
    pub fn add_product(&self, a: Rows<'_>, c: &mut [f32], stride: usize) {
        self.add_part(a, (0..self.k, 0..self.n), c, stride);
    }

    /// Adds the product of `a: [_, depth]` with the block `[depth, columns]` of this matrix to `c: [_, columns]`, whose
    /// rows are `stride` apart. `columns` begins at a multiple of [`PANEL`](Self::PANEL).
    ///
    /// # Panics
    /// When the block lies outside the matrix or is not aligned, or a row of `a` or `c` outside its slice.
    pub fn add_part(
        &self,
        a: Rows<'_>,
        block: (Range<usize>, Range<usize>),
        c: &mut [f32],
        stride: usize,
    ) {
        self.part(a, block, (c, stride), true);
    }

    /// Writes what [`add_part`](Self::add_part) adds, over what `c` held; `depth` must not be empty.
    ///
    /// # Panics
    /// As [`add_part`](Self::add_part).
    pub fn write_part(
        &self,
        a: Rows<'_>,
        block: (Range<usize>, Range<usize>),
        c: &mut [f32],
        stride: usize,
    ) {
        self.part(a, block, (c, stride), false);
    }

    fn part(
        &self,
        a: Rows<'_>,
        (depth, columns): (Range<usize>, Range<usize>),
        (c, stride): (&mut [f32], usize),
        add: bool,
    ) {
        assert!(depth.end <= self.k && columns.end <= self.n, "the block lies inside the matrix");
        assert!(columns.start.is_multiple_of(PANEL), "a block begins with a panel");
        if a.count == 0 || columns.is_empty() || depth.is_empty() {
            return;
        }
        let (k, n) = (depth.len(), columns.len());
        assert!((a.count - 1) * a.stride + k <= a.data.len(), "every row of `a` is inside it");
        assert!(n <= stride && (a.count - 1) * stride + n <= c.len(), "`c` holds it");
        let kernel = Kernel::detect();
        let panels = self.panels.chunks_exact(self.k * PANEL).skip(columns.start / PANEL);
        for from in (0..k).step_by(DEPTH) {
            let rows_of_panel = DEPTH.min(k - from);
            for (index, panel) in panels.clone().take(n.div_ceil(PANEL)).enumerate() {
                let panel = &panel[(depth.start + from) * PANEL..][..rows_of_panel * PANEL];
                let columns = PANEL.min(n - index * PANEL);
                let mut row = 0;
                while row < a.count {
                    let rows = kernel.max_rows().min(a.count - row);
                    let left = &a.data[row * a.stride + from..];
                    let add = add || from > 0;
                    let part = Part { a: left, stride: a.stride, panel, rows, add };
                    let to = &mut c[row * stride + index * PANEL..];
                    if columns == PANEL {
                        kernel.add_tile(part, to, stride);
                    } else {
                        add_narrow(kernel, part, (to, stride), columns);
                    }
                    row += rows;
                }
            }
        }
    }
}

/// One tile's operands: `rows` rows of `a` against a whole panel.
#[derive(Clone, Copy)]
struct Part<'a> {
    a: &'a [f32],
    stride: usize,
    panel: &'a [f32],
    rows: usize,
    /// Adds to what is there, or writes over it.
    add: bool,
}

/// Multiplies against the last panel, whose columns beyond `columns` do not exist in `c`.
fn add_narrow(kernel: Kernel, part: Part<'_>, (c, stride): (&mut [f32], usize), columns: usize) {
    let mut full = [0.0f32; MAX_ROWS * PANEL];
    kernel.add_tile(Part { add: false, ..part }, &mut full, PANEL);
    for (row, tile) in full.chunks_exact(PANEL).take(part.rows).enumerate() {
        let c = &mut c[row * stride..][..columns];
        if part.add {
            c.iter_mut().zip(tile).for_each(|(x, add)| *x += add);
        } else {
            c.copy_from_slice(&tile[..columns]);
        }
    }
}

/// No kernel takes more rows at once.
const MAX_ROWS: usize = 12;

/// Machine code chosen at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Plain,
}

/// Calls a tile function for the number of rows at hand: the count is a constant inside, so sums stay in registers. Behind each stands how many vectors
/// of sums it keeps for each: as many as registers hold, up to a whole panel, since a sum must wait for itself.
macro_rules! by_rows {
    ($tile:ident, $part:ident, $c:ident, $stride:ident: $($rows:literal / $vectors:literal)*) => {
        match $part.rows {
            $($rows => $tile::<$rows, $vectors>($part, $c, $stride),)*
            _ => unreachable!("a kernel is given at most its own number of rows"),
        }
    };
}

impl Kernel {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Plain
    }

    /// As many rows as leave all sums in registers.
    const fn max_rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => MAX_ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 6,
            Self::Plain => 2,
        }
    }

    fn add_tile(self, part: Part<'_>, c: &mut [f32], stride: usize) {
        let depth = part.panel.len() / PANEL;
        assert!(
            (part.rows - 1) * part.stride + depth <= part.a.len(),
            "a tile's rows are inside `a`"
        );
        assert!((part.rows - 1) * stride + PANEL <= c.len(), "a tile's rows are inside `c`");
        match self {
            // SAFETY: `detect` found the features, and the bounds were checked above.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "calls code for instructions that were found present")]
            Self::Avx512 => unsafe {
                by_rows!(tile_avx512, part, c, stride: 1/2 2/2 3/2 4/2 5/2 6/2 7/2 8/2 9/2 10/2 11/2 12/2);
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "calls code for instructions that were found present")]
            Self::Avx2 => unsafe { by_rows!(tile_avx2, part, c, stride: 1/4 2/4 3/2 4/2 5/2 6/2) },
            Self::Plain => by_rows!(tile_plain, part, c, stride: 1/1 2/1),
        }
    }
}

/// Writes a tile function for one instruction set.
#[cfg(target_arch = "x86_64")]
macro_rules! tile {
    ($name:ident, $features:literal, $lanes:literal, $zero:ident $load:ident $store:ident $splat:ident $fma:ident $add:ident) => {
        /// # Safety
        /// The machine has the features, and `ROWS` rows of `part.a` and of `c` lie inside their slices.
        #[target_feature(enable = $features)]
        #[expect(
            unsafe_code,
            reason = "loads and stores by pointer: bounds checks would spill the sums"
        )]
        unsafe fn $name<const ROWS: usize, const VECTORS: usize>(
            part: Part<'_>,
            c: &mut [f32],
            stride: usize,
        ) {
            use std::arch::x86_64::{$add, $fma, $load, $splat, $store, $zero};
            // So many columns at a time leave all sums, the row of the panel and a number of `a` in registers.
            for from in (0..PANEL).step_by(VECTORS * $lanes) {
                let mut sums = [[$zero(); VECTORS]; ROWS];
                for p in 0..part.panel.len() / PANEL {
                    // SAFETY: `p` is below the panel's depth, and so are all columns of the rows of `a`.
                    unsafe {
                        let row: [_; VECTORS] = std::array::from_fn(|v| {
                            $load(part.panel.as_ptr().add(p * PANEL + from + v * $lanes))
                        });
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let x = $splat(*part.a.as_ptr().add(i * part.stride + p));
                            for (sum, b) in sums.iter_mut().zip(row) {
                                *sum = $fma(x, b, *sum);
                            }
                        }
                    }
                }
                for (i, sums) in sums.iter().enumerate() {
                    for (v, &sum) in sums.iter().enumerate() {
                        // SAFETY: the caller made sure that `ROWS` rows of a panel's width lie inside `c`.
                        unsafe {
                            let to = c.as_mut_ptr().add(i * stride + from + v * $lanes);
                            $store(to, if part.add { $add($load(to), sum) } else { sum });
                        }
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tile!(tile_avx512, "avx512f", 16, _mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_set1_ps _mm512_fmadd_ps _mm512_add_ps);
#[cfg(target_arch = "x86_64")]
tile!(tile_avx2, "avx2,fma", 8, _mm256_setzero_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_set1_ps _mm256_fmadd_ps _mm256_add_ps);

/// The tile on any machine.
fn tile_plain<const ROWS: usize, const _ALL: usize>(part: Part<'_>, c: &mut [f32], stride: usize) {
    let mut sums = [[0.0f32; PANEL]; ROWS];
    for (p, b) in part.panel.as_chunks::<PANEL>().0.iter().enumerate() {
        for (i, sums) in sums.iter_mut().enumerate() {
            let x = part.a[i * part.stride + p];
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += x * b;
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        for (x, sum) in c[i * stride..].iter_mut().zip(sums) {
            *x = if part.add { *x + sum } else { *sum };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn two_by_two_by_hand() {
        // [1 2] · [1 3; 2 4] given by its transpose [1 2; 3 4]: 1+4 = 5 and 3+8 = 11, on top of 10.
        let b = Packed::from_transposed(&[1.0, 2.0, 3.0, 4.0], (2, 2));
        let mut c = [10.0, 10.0];
        b.add_product(Rows { data: &[1.0, 2.0], stride: 2, count: 1 }, &mut c, 2);
        assert!((c[0] - 15.0).abs() < 1e-6 && (c[1] - 21.0).abs() < 1e-6);
    }

    #[test]
    fn columns_can_be_added_and_changed() {
        let (k, n) = (5, 70);
        let rows = numbers(k * n, 0.37);
        let mut grown = Packed::from_transposed(&rows[..k * 3], (k, 3));
        for row in rows.chunks_exact(k).skip(3) {
            grown.push_column(row);
        }
        grown.set_column(1, &[9.0; 5]);
        grown.set_column(1, &rows[k..2 * k]);
        let whole = Packed::from_transposed(&rows, (k, n));
        assert!(grown.shape() == whole.shape() && grown.panels == whole.panels);
    }

    #[test]
    fn odd_shapes_equal_the_naive_product() {
        for (m, n, k) in [(1, 1, 1), (5, 33, 7), (13, 64, 200), (25, 31, 385), (2, 100, 3)] {
            let (a, bt) = (numbers(m * k, 0.37), numbers(n * k, 0.73));
            let mut c = vec![1.0; m * n];
            let b = Packed::from_transposed(&bt, (k, n));
            b.add_product(Rows { data: &a, stride: k, count: m }, &mut c, n);
            let mut again = Packed::default();
            let plain: Vec<f32> = (0..k * n).map(|x| bt[x % n * k + x / n]).collect();
            again.refill(Rows { data: &plain, stride: n, count: k }, n);
            assert!(again.panels == b.panels, "both ways of packing agree");
            for (x, got) in c.iter().enumerate() {
                let dot: f64 = (0..k)
                    .map(|p| f64::from(a[x / n * k + p]) * f64::from(bt[x % n * k + p]))
                    .sum();
                assert!((f64::from(*got) - 1.0 - dot).abs() < 1e-4, "{m} {n} {k}: {got} {dot}");
            }
        }
    }

    #[test]
    fn a_block_equals_the_product_with_that_block() {
        let (m, n, k) = (7, 90, 50);
        let (a, b) = (numbers(m * k, 0.37), numbers(k * n, 0.73));
        let mut whole = Packed::default();
        whole.refill(Rows { data: &b, stride: n, count: k }, n);
        let (depth, columns) = (11..43, PANEL..80);
        let mut c = vec![0.0; m * 60];
        let left = Rows { data: &a, stride: k, count: m };
        whole.add_part(left, (depth.clone(), columns.clone()), &mut c, 60);
        let mut again = vec![9.0; m * 60];
        whole.write_part(left, (depth.clone(), columns.clone()), &mut again, 60);
        for (row, again) in c.chunks_exact(60).zip(again.chunks_exact(60)) {
            assert!(row[..columns.len()] == again[..columns.len()], "written or added to 0");
            assert!(again[columns.len()..].iter().all(|x| (x - 9.0).abs() < 1e-9));
        }
        for (x, got) in c.iter().enumerate().filter(|(x, _)| x % 60 < columns.len()) {
            let (i, j) = (x / 60, columns.start + x % 60);
            let want: f32 = depth.clone().map(|p| a[i * k + p - 11] * b[p * n + j]).sum();
            assert!((got - want).abs() < 1e-4, "{i} {j}: {got} {want}");
        }
    }

    #[test]
    fn a_row_alone_gives_the_same_bits_as_among_others() {
        let (m, n, k) = (29, 70, 500);
        let (a, b) = (numbers(m * k, 0.11), Packed::from_transposed(&numbers(n * k, 0.29), (k, n)));
        let mut all = vec![0.0; m * n];
        b.add_product(Rows { data: &a, stride: k, count: m }, &mut all, n);
        for (a, want) in a.chunks_exact(k).zip(all.chunks_exact(n)) {
            let mut one = vec![0.0; n];
            b.add_product(Rows { data: a, stride: k, count: 1 }, &mut one, n);
            assert!(one == want);
        }
    }

    #[test]
    fn every_kernel_agrees_with_the_plain_one() {
        let (a, b) = (numbers(12 * 40, 0.17), numbers(40 * PANEL, 0.23));
        let fastest = Kernel::detect();
        let part =
            |rows, from: usize| Part { a: &a[from * 40..], stride: 40, panel: &b, rows, add: true };
        let (mut fast, mut plain) = (vec![0.0; 12 * PANEL], vec![0.0; 12 * PANEL]);
        for row in 0..12 {
            Kernel::Plain.add_tile(part(1, row), &mut plain[row * PANEL..], PANEL);
        }
        for row in (0..12).step_by(fastest.max_rows()) {
            fastest.add_tile(part(fastest.max_rows(), row), &mut fast[row * PANEL..], PANEL);
        }
        for (x, y) in fast.iter().zip(plain) {
            assert!((x - y).abs() < 1e-5);
        }
    }
}
