//! Tails of the normal and the chi-square distribution.

use std::f64::consts::PI;

/// Where the series ends and the continued fraction begins; both are exact to some 1e-14 there.
const SEAM: f64 = 2.0;

/// Returns the complementary error function of a number that is not negative.
fn erfc(x: f64) -> f64 {
    if x < SEAM {
        // erf x = 2 e^(-x²) / √π · Σ 2^n x^(2n+1) / (1 · 3 · … · (2n+1))
        let (mut term, mut sum) = (x, x);
        for n in 1..60 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        return 1.0 - 2.0 / PI.sqrt() * (-x * x).exp() * sum;
    }
    // erfc x = e^(-x²) / √π / (x + ½ / (x + 1 / (x + 3/2 / (x + …))))
    let fraction = (1..80).rev().fold(x, |below, n| x + 0.5 * f64::from(n) / below);
    (-x * x).exp() / PI.sqrt() / fraction
}

/// Returns the chance that a standard normal number is at least so far from 0.
pub(super) fn normal_two_sided(z: f64) -> f64 {
    erfc(z.abs() / 2f64.sqrt())
}

/// Returns the chance that a chi-square number of so many degrees of freedom is at least `x`.
pub(super) fn chi_square(x: f64, degrees: usize) -> f64 {
    // Q(s + 1, y) = Q(s, y) + y^s e^(-y) / Γ(s + 1), from Q(½, y) = erfc √y or Q(1, y) = e^(-y)
    let y = x.max(0.0) / 2.0;
    let (mut s, mut tail, mut step) = match degrees % 2 {
        0 => (1.0, (-y).exp(), y * (-y).exp()),
        _ => (0.5, erfc(y.sqrt()), 2.0 * (y / PI).sqrt() * (-y).exp()),
    };
    while s < degrees as f64 / 2.0 {
        tail += step;
        s += 1.0;
        step *= y / s;
    }
    tail.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_tables() {
        for (z, p) in [(0.0, 1.0), (1.0, 0.317_310_507_9), (1.959_964, 0.05), (5.0, 5.733_031e-7)] {
            assert!((normal_two_sided(z) / p - 1.0).abs() < 1e-5, "{z}: {}", normal_two_sided(z));
        }
        // The quantiles of 95 and 99.9 %.
        let quantiles = [
            (3.841_459, 1, 0.05),
            (5.991_465, 2, 0.05),
            (7.814_728, 3, 0.05),
            (16.266_236, 3, 0.001),
        ];
        for (x, degrees, p) in quantiles {
            let tail = chi_square(x, degrees);
            assert!((tail / p - 1.0).abs() < 1e-5, "{x} of {degrees}: {tail}");
        }
    }

    #[test]
    fn the_series_and_the_fraction_meet() {
        let (below, above) = (erfc(SEAM - 1e-12), erfc(SEAM));
        assert!((below - above).abs() < 1e-12, "{below} {above}");
    }
}
