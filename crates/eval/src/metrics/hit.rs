//! What of the targets is in the list: hit rate, recall, precision.

use crate::{Kind, Metric, Name, Ranked};

/// Counts the targets among the first `k`.
fn found(ranked: &Ranked<'_>, k: usize) -> f64 {
    ranked.ranks.iter().filter(|rank| **rank < k as f64).count() as f64
}

/// 1 when any target is among the first `k`, else 0.
pub(crate) struct Hit(pub usize);

impl Metric for Hit {
    fn name(&self) -> Name {
        Name::at(Kind::Hit, self.0)
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        found(ranked, self.0).min(1.0)
    }
}

/// Share of the targets among the first `k`.
pub(crate) struct Recall(pub usize);

impl Metric for Recall {
    fn name(&self) -> Name {
        Name::at(Kind::Recall, self.0)
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        found(ranked, self.0) / ranked.ranks.len().max(1) as f64
    }
}

/// Targets among the first `k`, over `k`.
pub(crate) struct Precision(pub usize);

impl Metric for Precision {
    fn name(&self) -> Name {
        Name::at(Kind::Precision, self.0)
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        found(ranked, self.0) / self.0 as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_targets_two_of_them_in_the_first_five() {
        let ranked = Ranked { ranks: &[1.0, 4.0, 9.0], n_candidates: 20, list: &[], history: &[] };
        assert!((Hit(5).of(&ranked) - 1.0).abs() < 1e-12);
        assert!((Recall(5).of(&ranked) - 2.0 / 3.0).abs() < 1e-12);
        assert!((Precision(5).of(&ranked) - 2.0 / 5.0).abs() < 1e-12);
        assert!(Hit(1).of(&ranked).abs() < 1e-12); // the best stands second
    }
}
