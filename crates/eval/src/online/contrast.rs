//! One arm against another, by numbers that may be looked at any time.
//!
//! A test of fixed size is right at one moment that was chosen before. Looked at every day until it says yes, it says yes to almost
//! everything. The mixture sequential probability ratio test (Johari, Koomen, Pekelis and Walsh, “Peeking at A/B tests”, KDD 2017) weighs the
//! difference `d` against all others under a normal mixture; its inverse is a p-value that is below `α` ever, at any look, with a chance of at
//! most `α`. In the scale of asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, “Time-uniform central limit
//! theory and asymptotic confidence sequences”, 2021), with `t` users and `v` the squared error of `d`:
//!
//! `Λ = (1 + tρ²)^(-½) exp(d² / v · tρ² / (2 (1 + tρ²)))`, `p = 1 / Λ`,
//! `d ± √(v · 2 (1 + tρ²) / (tρ²) · log(√(1 + tρ²) / α))`.
//!
//! Each user must be one outcome that does not change any more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::share::{Share, Z};
use super::tails::normal_two_sided;

/// The chance of a difference where there is none.
const ALPHA: f64 = 0.05;
/// Fewest users of an arm who took something, and who did not: with less, sums are not normal yet.
const FEWEST: u64 = 5;

/// How the share of one arm differs from that of another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contrast {
    /// The one share less the other.
    pub difference: f64,
    /// The difference, as a part of the other share.
    pub lift: f64,
    /// Lower end of the 95 % interval that holds at every look.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// The p-value that holds at every look.
    pub p: f64,
    /// Lower end of the 95 % interval that holds for a single look, at a moment that was chosen before the beginning.
    pub fixed_low: f64,
    /// Upper end of it.
    pub fixed_high: f64,
    /// The p-value that holds for such a look.
    pub fixed_p: f64,
}

impl Contrast {
    /// Compares `share` with `control`; `planned` users of both together make the interval tightest. `None` where there are too few.
    pub fn new(share: &Share, control: &Share, planned: f64) -> Option<Self> {
        let has_few = |share: &Share| share.takers.min(share.users - share.takers) < FEWEST;
        if has_few(share) || has_few(control) {
            return None;
        }
        let difference = share.mean() - control.mean();
        let squared_error = share.squared_error() + control.squared_error();
        // ρ² of Waudby-Smith et al., times the users there are.
        let spread = 2.0 * (1.0 / ALPHA).ln();
        let times =
            (share.users + control.users) as f64 / planned.max(1.0) * (spread + spread.ln() + 1.0);
        let z = difference / squared_error.sqrt();
        let log_ratio = z * z * times / (2.0 * (1.0 + times)) - 0.5 * times.ln_1p();
        let half = (squared_error * (1.0 + times) / times * (spread + times.ln_1p())).sqrt();
        let fixed = Z * squared_error.sqrt();
        Some(Self {
            difference,
            lift: difference / control.mean(),
            low: difference - half,
            high: difference + half,
            p: (-log_ratio).exp().min(1.0),
            fixed_low: difference - fixed,
            fixed_high: difference + fixed,
            fixed_p: normal_two_sided(z),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tastemaker_core::seed::stream;

    use super::*;

    fn share(users: u64, takers: u64) -> Share {
        Share { users, takers }
    }

    #[test]
    fn a_difference_by_hand() {
        // 10 % and 15 % of 1000: v = (.09 + .1275) / 999 = 2.1772e-4, z = 3.3886, fixed p = 7.02e-4, half 1.95996 · .014756 = .028920.
        // tρ² = 5.99146 + ln 5.99146 + 1 = 8.7818; log Λ = 11.4828 · 8.7818 / 19.5636 - ½ ln 9.7818 = 4.0142, p = .01806;
        // half = √(2.1772e-4 · 9.7818 / 8.7818 · (5.99146 + 2.2805)) = .044788
        let got = Contrast::new(&share(1000, 150), &share(1000, 100), 2000.0).unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} is not {b}");
        close(got.difference, 0.05);
        close(got.lift, 0.5);
        close(got.fixed_p, 0.000_702);
        close(got.fixed_low, 0.05 - 0.028_920);
        close(got.p, 0.018_06);
        close(got.low, 0.05 - 0.044_788);
        close(got.high, 0.05 + 0.044_788);
        assert_eq!(Contrast::new(&share(1000, 4), &share(1000, 100), 2000.0), None);
        assert_eq!(Contrast::new(&share(1000, 997), &share(1000, 100), 2000.0), None);
    }

    /// Counts how many of 400 experiments find a difference at any of 40 looks: by the fixed p, and by the one that holds at every look.
    fn found(control: f64, other: f64, name: &str) -> (usize, usize) {
        let (mut fixed, mut always) = (0, 0);
        for run in 0..400 {
            let mut rng = stream(14, &format!("{name}/{run}"));
            let mut arms = [Share::default(); 2];
            let (mut by_fixed, mut by_always) = (false, false);
            for _ in 0..40 {
                for (arm, rate) in arms.iter_mut().zip([control, other]) {
                    arm.takers += (0..50).filter(|_| rng.random::<f64>() < rate).count() as u64;
                    arm.users += 50;
                }
                let look = Contrast::new(&arms[1], &arms[0], 2000.0);
                by_fixed |= look.is_some_and(|look| look.fixed_p < 0.05);
                by_always |= look.is_some_and(|look| look.p < 0.05);
            }
            fixed += usize::from(by_fixed);
            always += usize::from(by_always);
        }
        (fixed, always)
    }

    #[test]
    fn who_looks_often_finds_what_is_not_there_by_fixed_tests_and_what_is_there_by_both() {
        let (fixed, always) = found(0.1, 0.1, "same");
        // 5 % of 400 are 20, and 9 more are two deviations.
        assert!(fixed > 100 && always <= 29, "no difference: {fixed} and {always} of 400");
        let (_, always) = found(0.1, 0.15, "other");
        assert!(always > 380, "a difference: {always} of 400");
    }

    proptest! {
        #[test]
        fn both_tests_agree_with_their_intervals(a in 5u64..500, b in 5u64..500, planned in 10.0..1e5f64) {
            let got = Contrast::new(&share(505, a), &share(505, b), planned).unwrap();
            let leaves_out = |low: f64, high: f64| low > 0.0 || high < 0.0;
            prop_assert!(leaves_out(got.low, got.high) == (got.p < 0.05));
            prop_assert!(leaves_out(got.fixed_low, got.fixed_high) == (got.fixed_p < 0.05));
            prop_assert!(got.low <= got.fixed_low && got.fixed_high <= got.high, "what holds always says less");
        }
    }
}
