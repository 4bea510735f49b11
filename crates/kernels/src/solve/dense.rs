//! Dense symmetric systems: the inverse of a large positive definite matrix on all cores and in place, small Cholesky
//! solves, and eigenvectors. Results do not depend on the number of threads.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::{Layout, axpy, dot};

/// A matrix that is not positive definite, or not enough so for its number type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPositiveDefinite {
    /// The row at which it was noticed.
    pub row: usize,
}

/// `f32` or `f64`.
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Into<f64>
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The distance from 1 to the next number.
    const EPSILON: Self;

    /// Rounds.
    fn from_f64(x: f64) -> Self;
}

macro_rules! real {
    ($number:ident) => {
        impl Real for $number {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const EPSILON: Self = $number::EPSILON;

            fn from_f64(x: f64) -> Self {
                x as Self
            }
        }
    };
}
real!(f32);
real!(f64);

/// Columns eliminated at once in a large matrix, and in its pivot blocks.
const BLOCK: usize = 256;
const SMALL_BLOCK: usize = 32;
/// Rows updated by one task.
const STRIPE: usize = 128;
/// Rows mirrored by one task: one cache line of `f32`.
const LINE: usize = 16;

/// Replaces a symmetric positive definite matrix `a: [n, n]` by its inverse, on all cores.
///
/// Reads the lower triangle, writes the whole, and needs `2 n · 256` numbers beside it. After an error `a` holds
/// nothing of use.
///
/// # Panics
/// When `a` is not `[n, n]`.
pub fn spd_inverse<T: Real>(n: usize, a: &mut [T]) -> Result<(), NotPositiveDefinite> {
    assert_eq!(a.len(), n * n, "the matrix is square");
    if n == 0 {
        return Ok(());
    }
    // A pivot that lost all its digits says nothing.
    let least: Vec<f64> = (0..n)
        .map(|i| {
            let (diagonal, epsilon): (f64, f64) = (a[i * n + i].into(), T::EPSILON.into());
            4.0 * epsilon * diagonal
        })
        .collect();
    sweep(n, a, &least, 0)?;
    mirror_negated(n, a);
    Ok(())
}

/// Sweeps all rows of the lower triangle block by block: `a` becomes minus its inverse.
///
/// One step with pivot block K: `D = A_KK⁻¹; A_iK ← A_iK·D; A_ij ← A_ij − A_iK·D·A_Kj; A_KK ← −D`.
fn sweep<T: Real>(
    n: usize,
    a: &mut [T],
    least: &[f64],
    first_row: usize,
) -> Result<(), NotPositiveDefinite> {
    if n <= SMALL_BLOCK {
        return sweep_scalar(n, a, least, first_row);
    }
    let block = if n > BLOCK { BLOCK } else { SMALL_BLOCK };
    let mut panel = vec![T::ZERO; n * block];
    let mut swept = vec![T::ZERO; n * block];
    for start in (0..n).step_by(block) {
        let width = block.min(n - start);
        let end = start + width;
        let (panel, swept) = (&mut panel[..n * width], &mut swept[..n * width]);

        // The pivot block goes through `f64`: it is small, and all else is multiplied by it.
        let mut pivot = vec![0.0f64; width * width];
        for (row, i) in pivot.chunks_exact_mut(width).zip(start..) {
            for (x, a) in row.iter_mut().zip(&a[i * n + start..=i * n + i]) {
                *x = (*a).into();
            }
        }
        sweep(width, &mut pivot, &least[start..end], first_row + start)?;
        mirror_negated(width, &mut pivot);
        let inverse: Vec<T> = pivot.iter().map(|x| T::from_f64(*x)).collect();

        read_panel((n, start, width), a, panel);
        swept.par_chunks_mut(STRIPE * width).zip(panel.par_chunks(STRIPE * width)).for_each(
            |(swept, panel)| {
                let shape = (panel.len() / width, width, width);
                swept.fill(T::ZERO);
                add_product(shape, T::ONE, panel, (&inverse, Layout::Plain), (swept, width));
            },
        );
        let all = &*panel;
        a.par_chunks_mut(STRIPE * n)
            .zip(swept.par_chunks(STRIPE * width))
            .enumerate()
            .rev()
            .with_max_len(1)
            .for_each(|(stripe, (a, swept))| {
                let rows = a.len() / n;
                let shape = (rows, stripe * STRIPE + rows, width);
                add_product(shape, -T::ONE, swept, (all, Layout::Transposed), (a, n));
            });
        write_panel((n, start, width), swept, &inverse, a);
    }
    Ok(())
}

/// Sweeps a small matrix row by row.
fn sweep_scalar<T: Real>(
    n: usize,
    a: &mut [T],
    least: &[f64],
    first_row: usize,
) -> Result<(), NotPositiveDefinite> {
    let mut column = [T::ZERO; SMALL_BLOCK];
    for k in 0..n {
        for (i, x) in column[..n].iter_mut().enumerate() {
            *x = if i < k { a[k * n + i] } else { a[i * n + k] };
        }
        let pivot: f64 = column[k].into();
        // Not `<=`: NaN is refused too.
        if !(pivot > least[k] && pivot.is_finite()) {
            return Err(NotPositiveDefinite { row: first_row + k });
        }
        let inverse = T::ONE / column[k];
        for i in 0..n {
            let scaled = column[i] * inverse;
            for (x, c) in a[i * n..=i * n + i].iter_mut().zip(&column) {
                *x = *x - scaled * *c;
            }
            if i > k {
                a[i * n + k] = scaled;
            }
        }
        for (x, c) in a[k * n..k * n + k].iter_mut().zip(&column) {
            *x = *c * inverse;
        }
        a[k * n + k] = -inverse;
    }
    Ok(())
}

/// Copies the columns from `start` of the symmetric matrix whose lower triangle is `a`; their own rows become 0.
fn read_panel<T: Real>((n, start, width): (usize, usize, usize), a: &[T], panel: &mut [T]) {
    let end = start + width;
    panel.par_chunks_mut(LINE * width).enumerate().for_each(|(line, panel)| {
        let first = line * LINE;
        for (i, row) in (first..).zip(panel.chunks_exact_mut(width)) {
            if i >= end {
                row.copy_from_slice(&a[i * n + start..i * n + end]);
            } else if i >= start {
                row.fill(T::ZERO);
            }
        }
        let above = start.saturating_sub(first).min(LINE);
        for k in 0..width {
            let source = &a[(start + k) * n..];
            for i in 0..above {
                panel[i * width + k] = source[first + i];
            }
        }
    });
}

/// Puts the swept columns and the swept pivot block in their places in the lower triangle `a`.
fn write_panel<T: Real>(
    (n, start, width): (usize, usize, usize),
    swept: &[T],
    inverse: &[T],
    a: &mut [T],
) {
    let end = start + width;
    a[start * n..].par_chunks_mut(LINE * n).enumerate().for_each(|(line, a)| {
        let first = start + line * LINE;
        for (i, row) in (first..).zip(a.chunks_exact_mut(n)) {
            if i >= end {
                row[start..end].copy_from_slice(&swept[i * width..(i + 1) * width]);
            } else {
                let k = i - start;
                for (x, inverse) in row[start..=i].iter_mut().zip(&inverse[k * width..]) {
                    *x = -*inverse;
                }
                for (x, swept) in row[..start].iter_mut().zip(swept.chunks_exact(width)) {
                    *x = swept[k];
                }
            }
        }
    });
}

/// Negates the lower triangle and copies it to the upper.
fn mirror_negated<T: Real>(n: usize, a: &mut [T]) {
    a.par_chunks_mut(LINE * n).enumerate().for_each(|(line, a)| {
        for (row, i) in a.chunks_exact_mut(n).zip(line * LINE..) {
            row[..=i].iter_mut().for_each(|x| *x = -*x);
        }
    });
    for start in (0..n).step_by(STRIPE) {
        let end = (start + STRIPE).min(n);
        let (stripe, below) = a[start * n..].split_at_mut((end - start) * n);
        for i in 0..end - start {
            for j in 0..i {
                stripe[j * n + start + i] = stripe[i * n + start + j];
            }
        }
        stripe.par_chunks_mut(LINE * n).enumerate().for_each(|(line, rows)| {
            let first = start + line * LINE;
            let count = rows.len() / n;
            for (j, source) in (end..).zip(below.chunks_exact(n)) {
                for (i, x) in source[first..first + count].iter().enumerate() {
                    rows[i * n + j] = *x;
                }
            }
        });
    }
}

/// Computes `c += alpha * a · b` for `a: [m, k]`, `b: [k, n]` and rows of `c` that lie `c_stride` apart.
fn add_product<T: Real>(
    (m, n, k): (usize, usize, usize),
    alpha: T,
    a: &[T],
    (b, b_layout): (&[T], Layout),
    (c, c_stride): (&mut [T], usize),
) {
    let (b_cs, b_rs) = match b_layout {
        Layout::Plain => (1, n as isize),
        Layout::Transposed => (k as isize, 1),
    };
    assert!(m > 0 && a.len() >= m * k && b.len() >= n * k, "operands fill their shapes");
    assert!(c_stride >= n && c.len() >= (m - 1) * c_stride + n, "the result fills its shape");
    // SAFETY: the lengths were checked against the shapes and strides above, and `c` is borrowed mutably.
    #[expect(unsafe_code, reason = "the crate `gemm` takes raw pointers")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_stride as isize,
            true,
            a.as_ptr(),
            1,
            k as isize,
            b.as_ptr(),
            b_cs,
            b_rs,
            T::ONE,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Solves `a · x = b` for a symmetric positive definite `a: [n, n]`, of which the lower triangle is read. Leaves the
/// Cholesky factor in `a` and `x` in `b`.
///
/// # Panics
/// When `a` is not `[n, n]` or `b` not `[n]`.
pub fn cholesky_solve(a: &mut [f32], b: &mut [f32]) -> Result<(), NotPositiveDefinite> {
    let n = b.len();
    assert_eq!(a.len(), n * n, "the matrix is square");
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * n);
        for j in 0..i {
            let other = &above[j * n..=j * n + j];
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let pivot = row[i] - dot(&row[..i], &row[..i]);
        if !(pivot > 0.0 && pivot.is_finite()) {
            return Err(NotPositiveDefinite { row: i });
        }
        row[i] = pivot.sqrt();
    }
    for i in 0..n {
        b[i] = (b[i] - dot(&a[i * n..i * n + i], &b[..i])) / a[i * n + i];
    }
    for i in (0..n).rev() {
        b[i] /= a[i * n + i];
        let (before, solved) = b.split_at_mut(i);
        axpy(-solved[0], &a[i * n..i * n + i], before);
    }
    Ok(())
}

/// Returns the eigenvalues, rising, and the eigenvectors `[n, n]`, one a row, of a symmetric matrix `a: [n, n]`.
/// `None` when `a` holds something infinite or the iteration does not end.
///
/// # Panics
/// When `a` is not `[n, n]`.
pub fn symmetric_eigen(n: usize, a: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    assert_eq!(a.len(), n * n, "the matrix is square");
    if a.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let mut values = vec![0.0; n];
    let mut vectors = vec![0.0; n * n];
    let (par, params) = (Par::Seq, faer::prelude::default());
    let scratch =
        self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, par, faer::prelude::default());
    self_adjoint_evd(
        MatRef::from_column_major_slice(a, n, n),
        faer::diag::DiagMut::from_slice_mut(&mut values),
        // Column-major with a vector a column: row-major with a vector a row.
        Some(MatMut::from_column_major_slice_mut(&mut vectors, n, n)),
        par,
        MemStack::new(&mut MemBuffer::new(scratch)),
        params,
    )
    .ok()?;
    Some((values, vectors))
}

/// Returns the inverse square root of a symmetric matrix `a: [n, n]` without negative eigenvalues, `V diag(1/√λ) Vᵀ`; eigenvalues
/// below `floor` times their mean are lifted to it. `None` as for [`symmetric_eigen`].
///
/// # Panics
/// When `a` is not `[n, n]`.
pub fn inverse_root(n: usize, a: &[f64], floor: f64) -> Option<Vec<f64>> {
    let (values, axes) = symmetric_eigen(n, a)?;
    let floor = (floor * values.iter().sum::<f64>() / n as f64).max(f64::MIN_POSITIVE);
    let mut root = vec![0.0f64; n * n];
    for (value, axis) in values.iter().zip(axes.chunks_exact(n)) {
        let weight = 1.0 / value.max(floor).sqrt();
        for (i, row) in root.chunks_exact_mut(n).enumerate() {
            row.iter_mut().zip(axis).for_each(|(x, a)| *x += weight * axis[i] * a);
        }
    }
    Some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_root_undoes_its_matrix_and_lifts_what_is_small() {
        // Eigenvalues 9 and 1 along (1, 1) and (1, -1): 1/3 and 1 of them, so (1/3 + 1) / 2 = 2/3 and (1/3 - 1) / 2 = -1/3.
        let root = inverse_root(2, &[5.0, 4.0, 4.0, 5.0], 0.0).unwrap();
        let want = [2.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0, 2.0 / 3.0];
        assert!(root.iter().zip(want).all(|(x, want)| (x - want).abs() < 1e-12), "{root:?}");
        // Half of the mean of 8 and 0 is 2.
        let lifted = inverse_root(2, &[8.0, 0.0, 0.0, 0.0], 0.5).unwrap();
        assert!((lifted[3] - 1.0 / 2f64.sqrt()).abs() < 1e-12, "{lifted:?}");
    }

    /// A well-conditioned symmetric positive definite matrix.
    fn positive(n: usize) -> Vec<f64> {
        let x: Vec<f64> = (0..n * n).map(|i| ((i * i % 997) as f64 * 0.37).sin()).collect();
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                a[i * n + j] = (0..n).map(|k| x[i * n + k] * x[j * n + k]).sum();
            }
            a[i * n + i] += n as f64 * 0.5;
        }
        a
    }

    fn furthest_from_identity(n: usize, a: &[f64], inverse: &[f64]) -> f64 {
        let mut worst: f64 = 0.0;
        for i in 0..n {
            for j in 0..n {
                let dot: f64 = (0..n).map(|k| a[i * n + k] * inverse[j * n + k]).sum();
                worst = worst.max((dot - f64::from(u8::from(i == j))).abs());
            }
        }
        worst
    }

    #[test]
    fn a_two_by_two_inverse_by_hand() {
        // The inverse of (2 1; 1 3) is (3 -1; -1 2) / 5. The upper triangle is not read.
        let mut a = [2.0f32, f32::NAN, 1.0, 3.0];
        spd_inverse(2, &mut a).unwrap();
        let want = [0.6, -0.2, -0.2, 0.4];
        assert!(a.iter().zip(want).all(|(a, want)| (a - want).abs() < 1e-6), "{a:?}");
    }

    #[test]
    fn a_matrix_times_its_inverse_is_the_identity_at_every_size_of_blocks() {
        for n in [1, 5, 31, 32, 33, 100, 257] {
            let a = positive(n);
            let mut inverse = a.clone();
            spd_inverse(n, &mut inverse).unwrap();
            assert!(furthest_from_identity(n, &a, &inverse) < 1e-10, "{n}");
            let mut single: Vec<f32> = a.iter().map(|x| *x as f32).collect();
            spd_inverse(n, &mut single).unwrap();
            let single: Vec<f64> = single.into_iter().map(f64::from).collect();
            assert!(furthest_from_identity(n, &a, &single) < 1e-3, "{n}");
        }
    }

    #[test]
    fn the_inverse_does_not_depend_on_the_number_of_threads() {
        let n = 300;
        let inverse = |threads| {
            let mut a: Vec<f32> = positive(n).into_iter().map(|x| x as f32).collect();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| spd_inverse(n, &mut a)).unwrap();
            a.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(inverse(1), inverse(2));
    }

    #[test]
    fn what_is_not_positive_definite_is_refused_at_its_row() {
        let mut a = [1.0f32, 0.0, 2.0, 1.0];
        assert_eq!(spd_inverse(2, &mut a), Err(NotPositiveDefinite { row: 1 }));
        assert_eq!(spd_inverse(1, &mut [f64::NAN]), Err(NotPositiveDefinite { row: 0 }));
        let mut a = positive(300);
        a[290 * 300 + 290] = 0.0;
        assert_eq!(spd_inverse(300, &mut a), Err(NotPositiveDefinite { row: 290 }));
        assert!(cholesky_solve(&mut [0.0], &mut [1.0]).is_err());
        assert!(spd_inverse::<f32>(0, &mut []).is_ok());
    }

    #[test]
    fn a_small_system_is_solved() {
        // (2 1; 1 3) · (1, 2) = (4, 7)
        let mut b = [4.0, 7.0];
        cholesky_solve(&mut [2.0, f32::NAN, 1.0, 3.0], &mut b).unwrap();
        assert!((b[0] - 1.0).abs() < 1e-6 && (b[1] - 2.0).abs() < 1e-6);
    }

    #[test]
    fn eigenvectors_rebuild_the_matrix() {
        let n = 20;
        let a = positive(n);
        let (values, vectors) = symmetric_eigen(n, &a).unwrap();
        assert!(values.is_sorted());
        for i in 0..n {
            for j in 0..n {
                let rebuilt: f64 =
                    (0..n).map(|k| values[k] * vectors[k * n + i] * vectors[k * n + j]).sum();
                assert!((rebuilt - a[i * n + j]).abs() < 1e-9);
            }
        }
        assert!(symmetric_eigen(1, &[f64::INFINITY]).is_none());
    }
}
