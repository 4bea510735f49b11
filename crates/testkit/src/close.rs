//! Near enough, said plainly.

/// Tells whether two numbers differ by at most `tolerance`, absolutely or relative to the larger one.
pub fn is_close(got: f64, want: f64, tolerance: f64) -> bool {
    (got - want).abs() <= tolerance * got.abs().max(want.abs()).max(1.0)
}

/// Asserts that two numbers differ by at most `tolerance`, absolutely or relative to the larger one.
///
/// # Panics
/// When they do not, or when one is not a number.
#[track_caller]
pub fn assert_close(got: impl Into<f64>, want: impl Into<f64>, tolerance: f64) {
    let (got, want) = (got.into(), want.into());
    assert!(is_close(got, want, tolerance), "got {got}, want {want} within {tolerance}");
}

/// Asserts [`assert_close`] number by number.
///
/// # Panics
/// When a pair is not close, or the lengths differ.
#[track_caller]
pub fn assert_all_close(got: &[f32], want: &[f32], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "lengths");
    for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!(
            is_close(f64::from(got), f64::from(want), tolerance),
            "at {at}: got {got}, want {want} within {tolerance}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_passes_and_far_or_nan_does_not() {
        assert_close(1.0, 1.0 + 1e-7, 1e-6);
        assert_close(1e9, 1e9 + 1.0, 1e-6);
        assert!(!is_close(1.0, 1.1, 1e-3));
        assert!(!is_close(f64::NAN, f64::NAN, 1.0));
    }
}
