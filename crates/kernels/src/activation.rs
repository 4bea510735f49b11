//! Activations, in place.

use multiversion::{multiversion, target::target_cfg_f};

use crate::exp::{exp_lane, multiply_add};

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

/// Computes `x * P(N(0, 1) <= x)`.
#[inline(always)]
pub(crate) fn gelu_lane(fused: bool, x: f32) -> f32 {
    let half = 0.5 * x;
    multiply_add(fused, half, erf_lane(fused, x * std::f32::consts::FRAC_1_SQRT_2), half)
}

/// Replaces every value by `x * P(N(0, 1) <= x)`, the exact Gaussian error linear unit, to 1e-6.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub fn gelu(values: &mut [f32]) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    for x in values {
        *x = gelu_lane(fused, *x);
    }
}

/// An activation with its derivative, for layers that learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// `x P(N(0, 1) <= x)` (Hendrycks and Gimpel 2016).
    #[default]
    Gelu,
    /// `max(x, 0)`.
    Relu,
    /// `x sigmoid(x)` (Elfwing et al. 2017).
    Silu,
}

impl Activation {
    /// Writes the activation of `x` to `y`.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn forward(self, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(x);
        match self {
            Self::Gelu => gelu(y),
            Self::Relu => y.iter_mut().for_each(|y| *y = y.max(0.0)),
            Self::Silu => silu(y),
        }
    }

    /// Multiplies `dy` with the derivative at `x`.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn backward(self, x: &[f32], dy: &mut [f32]) {
        assert_eq!(x.len(), dy.len(), "every input has a gradient");
        match self {
            Self::Gelu => gelu_backward(x, dy),
            Self::Relu => {
                dy.iter_mut().zip(x).for_each(|(dy, x)| *dy *= f32::from(u8::from(*x > 0.0)));
            }
            Self::Silu => silu_backward(x, dy),
        }
    }
}

#[inline(always)]
fn sigmoid_lane(fused: bool, x: f32) -> f32 {
    1.0 / (1.0 + exp_lane(fused, -x))
}

/// Replaces every value by `1 / (1 + e^-x)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub fn sigmoid(values: &mut [f32]) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    for x in values {
        *x = sigmoid_lane(fused, *x);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn silu(values: &mut [f32]) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    for x in values {
        *x *= sigmoid_lane(fused, *x);
    }
}

/// Replaces every gate by `gate sigmoid(gate) x` (Shazeer 2020).
///
/// # Panics
/// When the lengths differ.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub fn swiglu(gates: &mut [f32], xs: &[f32]) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    assert_eq!(gates.len(), xs.len(), "every gate has a number");
    for (gate, x) in gates.iter_mut().zip(xs) {
        *gate = *gate * sigmoid_lane(fused, *gate) * x;
    }
}

/// `s (1 + x (1 - s))` with `s = sigmoid(x)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn silu_backward(x: &[f32], dy: &mut [f32]) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    for (dy, x) in dy.iter_mut().zip(x) {
        let s = sigmoid_lane(fused, *x);
        *dy *= s * multiply_add(fused, *x, 1.0 - s, 1.0);
    }
}

/// `P(x) + x p(x)` with the normal distribution `P` and its density `p`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn gelu_backward(x: &[f32], dy: &mut [f32]) {
    const DENSITY: f32 = 0.398_942_3;
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    for (dy, x) in dy.iter_mut().zip(x) {
        let p =
            multiply_add(fused, 0.5, erf_lane(fused, *x * std::f32::consts::FRAC_1_SQRT_2), 0.5);
        *dy *= multiply_add(fused, *x * DENSITY, exp_lane(fused, -0.5 * *x * *x), p);
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

    #[test]
    fn a_gate_by_hand() {
        // 2 sigmoid(2) = 1.761594, times 3; and 0 whatever it meets.
        let mut gates = [2.0, 0.0];
        swiglu(&mut gates, &[3.0, 9.0]);
        assert!((gates[0] - 5.284_783).abs() < 1e-5 && gates[1].abs() < f32::EPSILON);
    }

    #[test]
    fn derivatives_equal_numeric_ones() {
        let xs: Vec<f32> = (-80..80).map(|i| i as f32 * 0.1 + 0.03).collect();
        for activation in [Activation::Gelu, Activation::Relu, Activation::Silu] {
            let at = |by: f32| {
                let moved: Vec<f32> = xs.iter().map(|x| x + by).collect();
                let mut y = vec![0.0; xs.len()];
                activation.forward(&moved, &mut y);
                y
            };
            let (above, below) = (at(5e-3), at(-5e-3));
            let mut dy = vec![2.0; xs.len()];
            activation.backward(&xs, &mut dy);
            for ((got, above), below) in dy.iter().zip(above).zip(below) {
                let want = 2.0 * (above - below) / 1e-2;
                assert!((got - want).abs() < 2e-3, "{activation:?}: {got} {want}");
            }
        }
    }
}
