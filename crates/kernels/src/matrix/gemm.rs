//! Matrix products on row-major slices. Single-threaded: callers run one product per task and spread tasks over cores,
//! so that results do not depend on the number of threads.

use super::vector::{ABREAST, matrix_vector};

/// Rows for which packing the table would cost more than reading it.
const FEW: usize = 8;
/// Numbers of a table that are read for one row after the other, so that all but the first find them near by.
const NEAR: usize = 1 << 15;

/// How a row-major slice is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As it stands.
    Plain,
    /// Transposed: the slice holds the transpose of the operand, row-major.
    Transposed,
}

/// Computes `c = beta * c + alpha * a · b` with `a: [m, k]`, `b: [k, n]`, `c: [m, n]`.
///
/// With `Layout::Transposed` the slice of `a` is `[k, m]`, that of `b` is `[n, k]`.
///
/// # Panics
/// When a slice is shorter than its shape.
#[expect(clippy::too_many_arguments, reason = "the usual signature of a matrix product")]
pub fn gemm(
    (m, n, k): (usize, usize, usize),
    alpha: f32,
    (a, a_layout): (&[f32], Layout),
    (b, b_layout): (&[f32], Layout),
    beta: f32,
    c: &mut [f32],
) {
    assert!(a.len() >= m * k && b.len() >= k * n && c.len() >= m * n, "operands fill their shapes");
    let are_rows = m == 1 || (m <= FEW && a_layout == Layout::Plain);
    if are_rows && b_layout == Layout::Transposed && beta.abs() < f32::MIN_POSITIVE {
        few_rows((m, n, k), &a[..m * k], &b[..n * k], &mut c[..m * n]);
        if (alpha - 1.0).abs() > 0.0 {
            c[..m * n].iter_mut().for_each(|c| *c *= alpha);
        }
        return;
    }
    let strides = |layout, rows: usize, cols: usize| match layout {
        Layout::Plain => (1isize, cols as isize),
        Layout::Transposed => (rows as isize, 1isize),
    };
    let (a_cs, a_rs) = strides(a_layout, m, k);
    let (b_cs, b_rs) = strides(b_layout, k, n);
    // SAFETY: the lengths were checked against the shapes above, strides stay inside them, and `c` is
    // borrowed mutably so nothing aliases it.
    #[expect(unsafe_code, reason = "the crate `gemm` takes raw pointers")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            beta != 0.0,
            a.as_ptr(),
            a_cs,
            a_rs,
            b.as_ptr(),
            b_cs,
            b_rs,
            beta,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Multiplies few rows `a: [m, k]` with a table `b: [n, k]`; a row's products do not depend on the rows beside it.
fn few_rows((m, n, k): (usize, usize, usize), a: &[f32], b: &[f32], c: &mut [f32]) {
    if k == 0 {
        return c.fill(0.0);
    }
    let block = if m == 1 { n.max(1) } else { (NEAR / k / ABREAST).max(1) * ABREAST };
    for (first, table) in (0..n).step_by(block).zip(b.chunks(block * k)) {
        for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
            matrix_vector(table, a, &mut c[first..][..table.len() / k]);
        }
    }
}

/// A matrix seen through strides: the element in row `i`, column `j` is `data[i * row + j * column]`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The numbers, from the first element on.
    pub data: &'a [f32],
    /// Distance between two rows.
    pub row: usize,
    /// Distance between two columns.
    pub column: usize,
}

impl<'a> View<'a> {
    /// Sees rows of contiguous numbers, `stride` apart.
    pub const fn rows(data: &'a [f32], stride: usize) -> Self {
        Self { data, row: stride, column: 1 }
    }

    /// Swaps rows and columns.
    #[must_use]
    pub const fn transposed(self) -> Self {
        Self { data: self.data, row: self.column, column: self.row }
    }

    fn reaches(self, rows: usize, columns: usize) -> bool {
        rows == 0
            || columns == 0
            || (rows - 1) * self.row + (columns - 1) * self.column < self.data.len()
    }
}

/// Computes `c = beta * c + alpha * a · b` with `a: [m, k]`, `b: [k, n]` and `c: [m, n]`, whose rows are `stride` apart.
///
/// # Panics
/// When an operand reaches beyond its slice, or rows of `c` overlap.
pub fn product(
    (m, n, k): (usize, usize, usize),
    (alpha, a, b): (f32, View<'_>, View<'_>),
    beta: f32,
    (c, stride): (&mut [f32], usize),
) {
    assert!(a.reaches(m, k) && b.reaches(k, n), "operands lie inside their slices");
    assert!(stride >= n && View::rows(c, stride).reaches(m, n), "the result lies inside its slice");
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: `reaches` bounds every element that the shape and the strides can address, rows of `c` do not overlap, and
    // `c` is borrowed mutably so nothing aliases it.
    #[expect(unsafe_code, reason = "the crate `gemm` takes raw pointers")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            stride as isize,
            beta != 0.0,
            a.data.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.column as isize,
            b.row as isize,
            beta,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(
        (m, n, k): (usize, usize, usize),
        a: impl Fn(usize, usize) -> f32,
        b: impl Fn(usize, usize) -> f32,
    ) -> Vec<f32> {
        let at = |i, j| (0..k).map(|p| a(i, p) * b(p, j)).sum();
        (0..m * n).map(|x| at(x / n, x % n)).collect()
    }

    #[test]
    fn every_layout_equals_the_naive_product() {
        let (m, n, k) = (3, 4, 5);
        let a: Vec<f32> = (0..m * k).map(|x| (x as f32).sin()).collect();
        let b: Vec<f32> = (0..k * n).map(|x| (x as f32).cos()).collect();
        for (al, bl) in [
            (Layout::Plain, Layout::Plain),
            (Layout::Transposed, Layout::Plain),
            (Layout::Plain, Layout::Transposed),
            (Layout::Transposed, Layout::Transposed),
        ] {
            let mut c = vec![1.0; m * n];
            gemm((m, n, k), 2.0, (&a, al), (&b, bl), 0.5, &mut c);
            let want = naive(
                (m, n, k),
                |i, p| if al == Layout::Plain { a[i * k + p] } else { a[p * m + i] },
                |p, j| if bl == Layout::Plain { b[p * n + j] } else { b[j * k + p] },
            );
            for (got, want) in c.iter().zip(want) {
                assert!((got - (2.0 * want + 0.5)).abs() < 1e-5, "{al:?} {bl:?}: {got} {want}");
            }
        }
    }

    #[test]
    fn few_rows_by_a_transposed_table_equal_the_naive_product_and_each_row_alone() {
        for (m, n, k) in [(1, 1, 1), (1, 4, 16), (8, 7, 37), (2, 9, 64), (2, 3, 0), (3, 70, 1100)] {
            let a: Vec<f32> = (0..m * k).map(|x| (x as f32).sin()).collect();
            let b: Vec<f32> = (0..k * n).map(|x| (x as f32).cos()).collect();
            let product = |m: usize, a: &[f32]| {
                let mut c = vec![f32::NAN; m * n];
                gemm((m, n, k), 2.0, (a, Layout::Plain), (&b, Layout::Transposed), 0.0, &mut c);
                c
            };
            let c = product(m, &a);
            let want = naive((m, n, k), |i, p| a[i * k + p], |p, j| b[j * k + p]);
            for (got, want) in c.iter().zip(want) {
                let near = (got - 2.0 * want).abs() < 1e-5 * (1.0 + want.abs());
                assert!(near, "{m} {n} {k}: {got} {want}");
            }
            for row in 0..m {
                assert_eq!(c[row * n..][..n], product(1, &a[row * k..][..k]), "to the bit");
            }
        }
    }

    #[test]
    fn views_with_gaps_equal_the_naive_product() {
        let (m, n, k) = (3, 2, 4);
        let a: Vec<f32> = (0..m * 7).map(|x| (x as f32).sin()).collect();
        let b: Vec<f32> = (0..n * 9).map(|x| (x as f32).cos()).collect();
        let mut c = vec![1.0; m * 5];
        let b_view = View::rows(&b, 9).transposed();
        product((m, n, k), (2.0, View::rows(&a, 7), b_view), 0.5, (&mut c, 5));
        let want = naive((m, n, k), |i, p| a[i * 7 + p], |p, j| b[j * 9 + p]);
        for (i, row) in c.chunks_exact(5).enumerate() {
            for (j, got) in row[..n].iter().enumerate() {
                assert!((got - (2.0 * want[i * n + j] + 0.5)).abs() < 1e-5);
            }
            assert!(row[n..].iter().all(|x| (x - 1.0).abs() < 1e-9), "gaps are left alone");
        }
    }
}
