//! Successive halving (Jamieson and Talwalkar 2016): many settings get little, the best of them more.
//!
//! With `n` settings, rung `k` of `s` keeps `⌊n / η^k⌋` of them and gives each the share `η^(k - s)` of what a whole fit takes.

/// A round of successive halving.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// Settings that are tried.
    pub n: usize,
    /// Share of a whole fit that each of them gets.
    pub share: f64,
}

/// Returns the rungs for `n` settings: as many as leave at least one setting and give none less than the share `least`.
pub fn rungs(n: usize, eta: usize, least: f64) -> Vec<Rung> {
    let eta = eta.max(2);
    let mut last = 0u32;
    // The share of the first of `last + 2` rungs is `η^-(last + 1)`.
    while n / eta.pow(last + 1) >= 1 && (eta as f64).powi(-(last as i32 + 1)) >= least * 0.999_999 {
        last += 1;
    }
    (0..=last)
        .map(|k| Rung { n: n / eta.pow(k), share: (eta as f64).powi(k as i32 - last as i32) })
        .filter(|rung| rung.n > 0)
        .collect()
}

/// Returns the numbers of the `n` best trials, rising; a trial without a value is the worst, the earlier of equals the better.
pub fn survivors(values: &[(usize, Option<f64>)], n: usize) -> Vec<usize> {
    let mut order: Vec<&(usize, Option<f64>)> =
        values.iter().filter(|(_, value)| value.is_some()).collect();
    order.sort_by(|a, b| {
        let value = |trial: &(usize, Option<f64>)| trial.1.unwrap_or(f64::NEG_INFINITY);
        value(b).total_cmp(&value(a)).then(a.0.cmp(&b.0))
    });
    let mut best: Vec<usize> = order.into_iter().take(n).map(|(number, _)| *number).collect();
    best.sort_unstable();
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(n: usize, eta: usize, least: f64) -> Vec<(usize, u32)> {
        rungs(n, eta, least).iter().map(|r| (r.n, (1.0 / r.share).round() as u32)).collect()
    }

    #[test]
    fn rungs_by_hand() {
        // 27 settings at 1/27, 9 at 1/9, 3 at 1/3, 1 at the whole: each rung costs one whole fit.
        assert_eq!(shape(27, 3, 1.0 / 27.0), [(27, 27), (9, 9), (3, 3), (1, 1)]);
        // Not below 1/9 of a fit: three rungs, and three settings get the whole.
        assert_eq!(shape(27, 3, 1.0 / 9.0), [(27, 9), (9, 3), (3, 1)]);
        assert_eq!(shape(10, 2, 0.0), [(10, 8), (5, 4), (2, 2), (1, 1)]);
        assert_eq!(shape(2, 3, 0.0), [(2, 1)]);
        assert_eq!(shape(20, 3, 1.0), [(20, 1)]);
    }

    #[test]
    fn the_best_go_on_and_failures_do_not() {
        let values = [(0, Some(0.2)), (1, None), (2, Some(0.5)), (3, Some(0.2)), (4, Some(0.1))];
        assert_eq!(survivors(&values, 2), [0, 2], "of equals the earlier");
        assert_eq!(survivors(&values, 9), [0, 2, 3, 4]);
    }
}
