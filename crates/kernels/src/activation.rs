//! Activations, in place.

use multiversion::{multiversion, target::target_cfg_f};

use crate::exp::multiply_add;

/// Error function as a ratio of polynomials on [-4, 4] (coefficients of Eigen's `erf<float>`).
#[inline(always)]
fn erf_lane(fused: bool, x: f32) -> f32 {
    let x = if x > -4.0 { x } else { -4.0 };
    let x = if x < 4.0 { x } else { 4.0 };
    let x2 = x * x;
    let mut p = -2.726_142_3e-10;
    for c in [
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ] {
        p = multiply_add(fused, p, x2, c);
    }
    let mut q = -1.456_607_2e-5;
    for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2] {
        q = multiply_add(fused, q, x2, c);
    }
    x * p / q
}

/// Replaces every value by `x * P(N(0, 1) <= x)`, the exact Gaussian error linear unit, to 1e-6.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub fn gelu(values: &mut [f32]) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    for x in values {
        let half = 0.5 * *x;
        *x = multiply_add(fused, half, erf_lane(fused, *x * std::f32::consts::FRAC_1_SQRT_2), half);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Integrates the normal density from 0 to `x` by Simpson's rule.
    fn gelu_by_integration(x: f64) -> f64 {
        let steps = 2000;
        let h = x / f64::from(steps);
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let sum: f64 = (0..=steps)
            .map(|i| {
                let weight = if i == 0 || i == steps { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
                weight * density(f64::from(i) * h)
            })
            .sum();
        x * (0.5 + sum * h / 3.0)
    }

    #[test]
    fn equals_the_exact_function_to_a_millionth() {
        let xs: Vec<f32> = (-1200..=1200).map(|i| i as f32 * 0.01).collect();
        let mut got = xs.clone();
        gelu(&mut got);
        for (x, y) in xs.iter().zip(got) {
            let want = gelu_by_integration(f64::from(*x));
            let allowed = 1e-6_f64.max(want.abs() * 1e-6);
            assert!((f64::from(y) - want).abs() < allowed, "gelu({x}) = {y}, not {want}");
        }
    }

    #[test]
    fn known_value_at_one() {
        // Phi(1) = 0.841345, so gelu(1) = 0.841345 and gelu(-1) = -(1 - 0.841345) = -0.158655.
        let mut x = [1.0, -1.0, 0.0];
        gelu(&mut x);
        assert!((x[0] - 0.841_345).abs() < 1e-6 && (x[1] + 0.158_655).abs() < 1e-6);
        assert!(x[2].abs() < f32::EPSILON);
    }
}
