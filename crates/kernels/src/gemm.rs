//! Matrix products on row-major slices. Single-threaded: callers run one product per task and spread tasks over cores,
//! so that results do not depend on the number of threads.

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
}
