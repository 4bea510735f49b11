//! Sixteen values side by side, with the functions that open and close gates: what a recurrent layer does between its
//! products. Sums and products are loops without branches, which compilers turn into vector code.

use std::ops::{Add, Mul, Sub};

use crate::exp::{exp_lane, multiply_add};

/// Values computed side by side.
const LANES: usize = 16;

/// A piece of a row.
#[derive(Clone, Copy)]
pub(super) struct Lanes([f32; LANES]);

/// Returns where the pieces of a row of `dim` values begin.
#[inline(always)]
pub(super) fn pieces(dim: usize) -> impl Iterator<Item = usize> {
    (0..dim).step_by(LANES)
}

impl Lanes {
    /// Reads the values from `at` on, and zeros beyond the end of the row.
    #[inline(always)]
    pub(super) fn load(row: &[f32], at: usize) -> Self {
        let rest = &row[at..];
        if let Some(full) = rest.first_chunk() {
            return Self(*full);
        }
        let mut lanes = [0.0; LANES];
        lanes[..rest.len()].copy_from_slice(rest);
        Self(lanes)
    }

    /// Writes the values from `at` on, as far as the row goes.
    #[inline(always)]
    pub(super) fn store(self, row: &mut [f32], at: usize) {
        let rest = &mut row[at..];
        if let Some(full) = rest.first_chunk_mut() {
            *full = self.0;
        } else {
            rest.copy_from_slice(&self.0[..rest.len()]);
        }
    }

    #[inline(always)]
    pub(super) const fn splat(x: f32) -> Self {
        Self([x; LANES])
    }

    /// Returns `1 / (1 + e^-x)`; see [`multiply_add`] for `fused`.
    #[inline(always)]
    pub(super) fn sigmoid(mut self, fused: bool) -> Self {
        for x in &mut self.0 {
            *x = sigmoid_lane(fused, *x);
        }
        self
    }

    /// Returns the hyperbolic tangent; see [`multiply_add`] for `fused`.
    #[inline(always)]
    pub(super) fn tanh(mut self, fused: bool) -> Self {
        for x in &mut self.0 {
            *x = tanh_lane(fused, *x);
        }
        self
    }
}

impl Add for Lanes {
    type Output = Self;

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for (x, y) in self.0.iter_mut().zip(&other.0) {
            *x += y;
        }
        self
    }
}

impl Sub for Lanes {
    type Output = Self;

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for (x, y) in self.0.iter_mut().zip(&other.0) {
            *x -= y;
        }
        self
    }
}

impl Mul for Lanes {
    type Output = Self;

    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for (x, y) in self.0.iter_mut().zip(&other.0) {
            *x *= y;
        }
        self
    }
}

/// Computes `1 / (1 + e^-x)` to a relative error of 4e-7 on [-87, 87]; see [`multiply_add`] for `fused`.
#[inline(always)]
pub(crate) fn sigmoid_lane(fused: bool, x: f32) -> f32 {
    1.0 / (1.0 + exp_lane(fused, -x))
}

/// Computes the hyperbolic tangent to a relative error of 5e-7; see [`multiply_add`] for `fused`.
#[inline(always)]
pub(crate) fn tanh_lane(fused: bool, x: f32) -> f32 {
    // A ratio of polynomials (coefficients of Eigen's `ptanh<float>`); beyond the ends it is one to the last bit.
    const END: f32 = 7.905_311;
    let x = if x > -END { x } else { -END };
    let x = if x < END { x } else { END };
    let x2 = x * x;
    let mut p = -2.760_768_5e-16;
    for c in
        [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619e-4, 4.893_524_6e-3]
    {
        p = multiply_add(fused, p, x2, c);
    }
    let mut q = 1.198_258_4e-6;
    for c in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = multiply_add(fused, q, x2, c);
    }
    x * p / q
}

#[cfg(test)]
mod tests {
    use multiversion::{multiversion, target::target_cfg_f};

    use super::*;

    #[multiversion(targets("x86_64+avx512f+avx2+fma", "x86_64+avx2+fma"))]
    fn both(xs: &[f32]) -> Vec<(f32, f32)> {
        let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
        xs.iter().map(|&x| (sigmoid_lane(fused, x), tanh_lane(fused, x))).collect()
    }

    #[test]
    fn gates_equal_the_library_to_half_a_millionth() {
        let xs: Vec<f32> = (-8000..=8000).map(|i| i as f32 * 0.01).chain([1e-6, -1e-4]).collect();
        for (x, (sigmoid, tanh)) in xs.iter().zip(both(&xs)) {
            let x = f64::from(*x);
            let want = 1.0 / (1.0 + (-x).exp());
            assert!((f64::from(sigmoid) / want - 1.0).abs() < 4e-7, "sigmoid({x}) = {sigmoid}");
            let error = (f64::from(tanh) - x.tanh()).abs();
            assert!(error <= 5e-7 * x.tanh().abs(), "tanh({x}) = {tanh}, {error}");
        }
    }

    #[test]
    fn gates_stay_in_bounds_at_the_ends() {
        let ends = both(&[f32::NEG_INFINITY, -1e30, 1e30, f32::INFINITY]);
        for (sigmoid, tanh) in ends {
            assert!((0.0..=1.0).contains(&sigmoid) && tanh.abs() <= 1.0, "{sigmoid} {tanh}");
        }
    }

    #[test]
    fn a_piece_beyond_the_end_of_a_row_is_cut() {
        let row: Vec<f32> = (0..19).map(|x| x as f32).collect();
        let mut out = [9.0; 19];
        for at in pieces(19) {
            let x = Lanes::load(&row, at);
            (x * x + Lanes::splat(1.0) - x).store(&mut out, at);
        }
        // 18² + 1 - 18 = 307
        assert!((out[18] - 307.0).abs() < 1e-6 && (out[0] - 1.0).abs() < 1e-6);
    }
}
