//! Times out of a histogram: what most requests took.

use crate::metrics::BARS;

/// Returns the milliseconds within which a share of requests was answered, by a straight line within a bar; of those beyond the last bar
/// it is only known that they took longer than its end.
pub(super) fn quantile(bars: &[u64; BARS.len()], n: u64, share: f64) -> Option<f64> {
    if n == 0 {
        return None;
    }
    let wanted = share * n as f64;
    let mut below = 0;
    let mut begin = 0.0;
    for (end, &bar) in BARS.iter().zip(bars) {
        if bar > 0 && (below + bar) as f64 >= wanted {
            let part = (wanted - below as f64) / bar as f64;
            return Some(1000.0 * (begin + part.clamp(0.0, 1.0) * (end - begin)));
        }
        below += bar;
        begin = *end;
    }
    Some(1000.0 * begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_within_its_bar() {
        // Ten took at most 0.5 ms, ten from 1 to 2 ms.
        let mut bars = [0; BARS.len()];
        (bars[0], bars[2]) = (10, 10);
        let near = |share: f64, ms: f64| {
            let found = quantile(&bars, 20, share).unwrap();
            assert!((found - ms).abs() < 1e-9, "{share}: {found}");
        };
        near(0.25, 0.25);
        near(0.5, 0.5);
        near(0.75, 1.5);
        near(1.0, 2.0);
        assert_eq!(quantile(&[0; BARS.len()], 0, 0.5), None);
        // One that took longer than all bars.
        assert_eq!(quantile(&[0; BARS.len()], 1, 0.5), Some(10_000.0));
    }
}
