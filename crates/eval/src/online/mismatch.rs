//! Whether users came to the arms as they should have: if not, something loses users of one arm, and no result can be trusted.

use super::tails::chi_square;

/// The chance below which shares are not by chance. Strict, because it is looked at often.
pub const SUSPICIOUS: f64 = 0.001;

/// Returns the chance that users come so unevenly or more to arms of such weights (chi-square); `None` where there are too few to tell.
///
/// `arms` are users and weight of each; of every arm at least five users must be expected.
pub fn mismatch(arms: &[(u64, f64)]) -> Option<f64> {
    let users: f64 = arms.iter().map(|(users, _)| *users as f64).sum();
    let weights: f64 = arms.iter().map(|(_, weight)| weight).sum();
    let expected = |weight: &f64| users * weight / weights;
    if arms.len() < 2 || arms.iter().any(|(_, weight)| expected(weight) < 5.0) {
        return None;
    }
    let part = |(users, weight): &(u64, f64)| {
        (*users as f64 - expected(weight)).powi(2) / expected(weight)
    };
    Some(chi_square(arms.iter().map(part).sum(), arms.len() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uneven_arms_are_told_by_hand() {
        // 480 and 520 of 500 each: 400 / 500 + 400 / 500 = 1.6 with one degree, p = .2059
        assert!((mismatch(&[(480, 1.0), (520, 1.0)]).unwrap() - 0.2059).abs() < 1e-4);
        // 450 and 550 where a third and two thirds are expected: 116.7² (1 / 333.3 + 1 / 666.7) = 61.2
        assert!(mismatch(&[(450, 1.0), (550, 2.0)]).unwrap() < 1e-10);
        assert_eq!(mismatch(&[(4, 1.0), (5, 1.0)]), None);
        assert_eq!(mismatch(&[(50, 1.0)]), None);
    }
}
