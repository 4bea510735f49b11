//! How well a yes is told from a no: AUC with exact ties, log-loss, and the calibration that turns scores into log-odds.

/// Probabilities nearer to 0 or 1 count as this near, so that one sure mistake is not an infinite loss.
const NEAREST: f64 = 1e-7;

/// Returns the probability that a positive scores above a negative, ties counting half (Mann and Whitney 1947); `None` unless there
/// are both.
///
/// By ranks: `(Σ ranks of positives - P (P + 1) / 2) / (P N)`, equal scores sharing their mean rank.
pub fn auc(scores: &[f32], labels: &[bool]) -> Option<f64> {
    let mut order: Vec<(f32, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = order.iter().filter(|(_, label)| *label).count();
    let negatives = order.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (mut passed, mut sum) = (0usize, 0.0f64);
    // -0 and 0 are one score, so runs are told by comparing, not by bits.
    for run in order.chunk_by(|a, b| a.0 >= b.0) {
        let inside = run.iter().filter(|(_, label)| *label).count();
        sum += inside as f64 * (passed as f64 + (run.len() as f64 + 1.0) / 2.0);
        passed += run.len();
    }
    let (p, n) = (positives as f64, negatives as f64);
    Some((sum - p * (p + 1.0) / 2.0) / (p * n))
}

/// Returns the mean of `-ln p` over positives and `-ln (1 - p)` over negatives; `None` without any.
pub fn log_loss(probabilities: &[f64], labels: &[bool]) -> Option<f64> {
    let one = |(p, label): (&f64, &bool)| {
        let p = p.clamp(NEAREST, 1.0 - NEAREST);
        if *label { -p.ln() } else { -(-p).ln_1p() }
    };
    let n = labels.len();
    (n > 0).then(|| probabilities.iter().zip(labels).map(one).sum::<f64>() / n as f64)
}

/// Returns slope `a` and shift `b` so that `σ(a s + b)` fits the labels best (Platt 2000, with his softened targets), by Newton's
/// method; `None` unless there are both labels and different scores.
pub fn platt(scores: &[f32], labels: &[bool]) -> Option<[f64; 2]> {
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    let first = scores.first().copied()?;
    let is_flat = scores.iter().all(|s| (s - first).abs() <= f32::EPSILON * first.abs());
    if positives < 1.0 || negatives < 1.0 || is_flat {
        return None;
    }
    let [high, low] = [(positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0)];
    let target = |label: bool| if label { high } else { low };
    let loss = |a: f64, b: f64| -> f64 {
        let one = |(s, label): (&f32, &bool)| {
            let z = a * f64::from(*s) + b;
            z.max(0.0) + (-z.abs()).exp().ln_1p() - target(*label) * z
        };
        scores.iter().zip(labels).map(one).sum()
    };
    let (mut a, mut b) = (0.0, ((positives + 1.0) / (negatives + 1.0)).ln());
    let mut best = loss(a, b);
    for _ in 0..100 {
        let [mut da, mut db, mut aa, mut ab, mut bb] = [0.0, 0.0, 1e-12, 0.0, 1e-12];
        for (s, label) in scores.iter().zip(labels) {
            let s = f64::from(*s);
            let p = 1.0 / (1.0 + (-(a * s + b)).exp());
            let (d, curve) = (p - target(*label), p * (1.0 - p));
            da += d * s;
            db += d;
            aa += curve * s * s;
            ab += curve * s;
            bb += curve;
        }
        let det = aa * bb - ab * ab;
        if det <= 0.0 || (da.abs() + db.abs()) < 1e-9 * labels.len() as f64 {
            break;
        }
        let (step_a, step_b) = ((bb * da - ab * db) / det, (aa * db - ab * da) / det);
        // Halved until the loss falls.
        let sizes = (0..20).map(|halvings| 0.5f64.powi(halvings));
        let tried = sizes.map(|t| (a - t * step_a, b - t * step_b));
        let Some((next, value)) =
            tried.map(|(a, b)| ((a, b), loss(a, b))).find(|(_, value)| *value < best)
        else {
            break;
        };
        ((a, b), best) = (next, value);
    }
    (a.is_finite() && b.is_finite()).then_some([a, b])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_scores_by_hand() {
        // Pairs (.8, .4): won, (.8, .5): won, (.4, .4): tie, (.4, .5): lost. 2.5 of 4.
        let got = auc(&[0.8, 0.4, 0.4, 0.5], &[true, true, false, false]);
        assert!((got.unwrap() - 2.5 / 4.0).abs() < 1e-12);
        assert_eq!(auc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(auc(&[], &[]), None);
        assert!((auc(&[0.0, -0.0], &[true, false]).unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn log_loss_by_hand() {
        // (-ln .8 - ln(1 - .4)) / 2
        let got = log_loss(&[0.8, 0.4], &[true, false]).unwrap();
        assert!((got - (-(0.8f64.ln()) - 0.6f64.ln()) / 2.0).abs() < 1e-12);
        assert!(log_loss(&[0.0], &[true]).unwrap().is_finite());
        assert_eq!(log_loss(&[], &[]), None);
    }

    #[test]
    fn platt_finds_the_odds_behind_the_labels() {
        // At score -1 one in four is positive, at 1 three in four: log-odds -+ ln 3, so slope ln 3 and shift 0.
        let (mut scores, mut labels) = (Vec::new(), Vec::new());
        for i in 0..4000 {
            let high = i % 2 == 0;
            scores.push(if high { 1.0 } else { -1.0 });
            labels.push((i / 2 % 4 == 0) != high);
        }
        let [slope, shift] = platt(&scores, &labels).unwrap();
        assert!((slope - 3f64.ln()).abs() < 5e-3 && shift.abs() < 1e-3, "{slope} {shift}");
    }

    #[test]
    fn platt_refuses_what_tells_nothing_and_survives_what_tells_all() {
        assert_eq!(platt(&[1.0, 1.0], &[true, false]), None);
        assert_eq!(platt(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(platt(&[], &[]), None);
        let apart = platt(&[-1.0, -2.0, 1.0, 1000.0], &[false, false, true, true]).unwrap();
        assert!(apart[0] > 0.0 && apart.iter().all(|x| x.is_finite()), "{apart:?}");
    }

    proptest! {
        #[test]
        fn auc_equals_the_share_of_pairs_won(rows in prop::collection::vec((0u8..6, any::<bool>()), 0..40)) {
            let scores: Vec<f32> = rows.iter().map(|(s, _)| f32::from(*s) - 2.0).collect();
            let labels: Vec<bool> = rows.iter().map(|(_, l)| *l).collect();
            let (mut won, mut pairs) = (0.0, 0.0);
            for (a, _) in rows.iter().filter(|(_, l)| *l) {
                for (b, _) in rows.iter().filter(|(_, l)| !*l) {
                    pairs += 1.0;
                    won += if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
                }
            }
            let want = (pairs > 0.0).then_some(won / pairs);
            match (auc(&scores, &labels), want) {
                (Some(got), Some(want)) => prop_assert!((got - want).abs() < 1e-12),
                (got, want) => prop_assert_eq!(got, want),
            }
        }
    }
}
