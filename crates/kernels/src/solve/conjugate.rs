//! Conjugate gradients for a diagonal plus a few outer products: the system of one user or one item of a factor model.

use crate::{WeightedRows, axpy, dot};

/// The symmetric matrix `diag(diagonal) + sum of weight * row rowᵀ`, positive definite when the diagonal is positive
/// and the weights are not negative.
#[derive(Clone, Copy, Debug)]
pub struct DiagonalPlusRows<'a> {
    /// The diagonal.
    pub diagonal: &'a [f32],
    /// The outer products.
    pub rows: WeightedRows<'a>,
}

/// The right side of a system.
#[derive(Clone, Copy, Debug)]
pub enum RightSide<'a> {
    /// As it stands.
    Dense(&'a [f32]),
    /// The sum of the rows of the system, each times its number here.
    Rows(&'a [f32]),
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// Steps to take at most.
    pub steps: usize,
    /// The size of the residual, as a share of the solution's, that is small enough; both in the norm of the
    /// diagonal.
    pub tolerance: f32,
}

/// Vectors that one solve needs; keep it to solve many systems of one width.
#[derive(Clone, Debug)]
pub struct ConjugateScratch {
    residual: Vec<f32>,
    direction: Vec<f32>,
    product: Vec<f32>,
    inverse: Vec<f32>,
}

impl ConjugateScratch {
    /// Makes room for systems of `dim` unknowns.
    pub fn new(dim: usize) -> Self {
        let zeros = vec![0.0; dim];
        Self {
            residual: zeros.clone(),
            direction: zeros.clone(),
            product: zeros.clone(),
            inverse: zeros,
        }
    }
}

impl DiagonalPlusRows<'_> {
    /// Improves `x` towards the solution of `self · x = right`, preconditioned by the diagonal.
    ///
    /// # Panics
    /// When the right side, `x`, the scratch and the matrix differ in width.
    pub fn solve(
        &self,
        right: RightSide<'_>,
        x: &mut [f32],
        stop: Stop,
        scratch: &mut ConjugateScratch,
    ) {
        let ConjugateScratch { residual: r, direction: p, product, inverse } = scratch;
        for (inverse, d) in inverse.iter_mut().zip(self.diagonal) {
            *inverse = 1.0 / d;
        }
        self.residual(right, x, r);
        for ((p, r), inverse) in p.iter_mut().zip(&*r).zip(&*inverse) {
            *p = r * inverse;
        }
        let mut along = dot(r, p);
        for _ in 0..stop.steps {
            let size: f32 = x.iter().zip(self.diagonal).map(|(x, d)| x * x * d).sum();
            if along.is_nan() || along <= stop.tolerance * stop.tolerance * size {
                break;
            }
            self.multiply(p, product);
            let curvature = dot(p, product);
            if curvature.is_nan() || curvature <= 0.0 {
                break;
            }
            let step = along / curvature;
            axpy(step, p, x);
            axpy(-step, product, r);
            // `product` is free now: it takes the preconditioned residual.
            for ((z, r), inverse) in product.iter_mut().zip(&*r).zip(&*inverse) {
                *z = r * inverse;
            }
            let next = dot(r, product);
            let turn = next / along;
            along = next;
            for (p, z) in p.iter_mut().zip(&*product) {
                *p = z + turn * *p;
            }
        }
    }

    /// Writes `right - self · x`.
    fn residual(&self, right: RightSide<'_>, x: &[f32], out: &mut [f32]) {
        match right {
            RightSide::Dense(b) => {
                self.multiply(x, out);
                for (out, b) in out.iter_mut().zip(b) {
                    *out = b - *out;
                }
            }
            RightSide::Rows(wanted) => {
                for ((out, x), d) in out.iter_mut().zip(x).zip(self.diagonal) {
                    *out = -x * d;
                }
                self.rows.add_residual_to(wanted, x, out);
            }
        }
    }

    /// Writes `self · x`.
    fn multiply(&self, x: &[f32], out: &mut [f32]) {
        for ((out, x), d) in out.iter_mut().zip(x).zip(self.diagonal) {
            *out = x * d;
        }
        self.rows.add_product_to(x, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_outer_product_by_hand() {
        // diag(1, 1) + 2 · (1, 1)(1, 1)ᵀ = (3 2; 2 3); times (1, 0) gives (3, 2).
        let system = DiagonalPlusRows {
            diagonal: &[1.0, 1.0],
            rows: WeightedRows { matrix: &[1.0, 1.0], dim: 2, ids: &[0], weights: &[2.0] },
        };
        let mut x = [0.0; 2];
        let stop = Stop { steps: 2, tolerance: 0.0 };
        system.solve(RightSide::Dense(&[3.0, 2.0]), &mut x, stop, &mut ConjugateScratch::new(2));
        assert!((x[0] - 1.0).abs() < 1e-5 && x[1].abs() < 1e-5, "{x:?}");
        // (3, 3) as three times the one row: (0.6, 0.6).
        system.solve(RightSide::Rows(&[3.0]), &mut x, stop, &mut ConjugateScratch::new(2));
        assert!(x.iter().all(|x| (x - 0.6).abs() < 1e-5), "{x:?}");
    }

    proptest! {
        #[test]
        fn the_solution_solves(dim in 1usize..40, n in 0usize..30, seed in 1u32..500) {
            let at = |x: usize| ((x as f32 + 1.0) * (seed as f32 * 0.31)).sin();
            let diagonal: Vec<f32> = (0..dim).map(|c| 1.0 + at(c).abs()).collect();
            let matrix: Vec<f32> = (0..n * dim).map(at).collect();
            let ids: Vec<u32> = (0..n as u32).collect();
            let weights: Vec<f32> = (0..n).map(|i| at(i).abs()).collect();
            let rows = WeightedRows { matrix: &matrix, dim, ids: &ids, weights: &weights };
            let system = DiagonalPlusRows { diagonal: &diagonal, rows };
            let b: Vec<f32> = (0..dim).map(|c| at(c * 7)).collect();
            let mut x: Vec<f32> = (0..dim).map(at).collect();
            let stop = Stop { steps: 3 * dim + 10, tolerance: 1e-6 };
            system.solve(RightSide::Dense(&b), &mut x, stop, &mut ConjugateScratch::new(dim));
            let mut product = vec![0.0; dim];
            system.multiply(&x, &mut product);
            prop_assert!(product.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3));
        }
    }
}
