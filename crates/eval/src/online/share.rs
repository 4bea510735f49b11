//! What an arm did: the share of its users who took something, and the share of its lists.

use crate::Stat;

/// The quantile of the standard normal distribution that leaves 2.5 % above it.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// Users, each of whom took something or did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many there are.
    pub users: u64,
    /// How many took something.
    pub takers: u64,
}

impl Share {
    /// Returns their share.
    pub fn mean(&self) -> f64 {
        self.takers as f64 / self.users.max(1) as f64
    }

    /// Returns the squared standard error of the share.
    pub(super) fn squared_error(&self) -> f64 {
        let mean = self.mean();
        mean * (1.0 - mean) / self.users.saturating_sub(1).max(1) as f64
    }

    /// Returns the share with its 95 % interval (Wilson 1927); `None` of nobody.
    pub fn stat(&self) -> Option<Stat> {
        let n = Some(self.users as f64).filter(|n| *n > 0.0)?;
        let (mean, squared) = (self.mean(), Z * Z / n);
        let middle = (mean + squared / 2.0) / (1.0 + squared);
        let half = Z / (1.0 + squared) * (mean * (1.0 - mean) / n + squared / (4.0 * n)).sqrt();
        // Rounding must not leave the mean outside.
        Some(Stat {
            mean,
            low: (middle - half).clamp(0.0, mean),
            high: (middle + half).clamp(mean, 1.0),
        })
    }
}

/// Sums over users of the lists they got and of those they took something from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerList {
    users: f64,
    lists: f64,
    taken: f64,
    squares: [f64; 3],
}

impl PerList {
    /// Adds a user.
    pub fn add(&mut self, lists: u64, taken: u64) {
        let (lists, taken) = (lists as f64, taken as f64);
        self.users += 1.0;
        self.lists += lists;
        self.taken += taken;
        let squares = [taken * taken, taken * lists, lists * lists];
        self.squares.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square);
    }

    /// Returns the share `R = Σ taken / Σ lists` with its 95 % interval by the delta method (Deng, Knoblich and Lu 2018): its squared error is
    /// `n / (n - 1) · Σ (taken - R lists)² / (Σ lists)²`, a sum over users, whose lists are not independent. `None` of less than two users.
    pub fn stat(&self) -> Option<Stat> {
        if self.users < 2.0 || self.lists <= 0.0 {
            return None;
        }
        let mean = self.taken / self.lists;
        let [taken, both, lists] = self.squares;
        let squares = (taken - 2.0 * mean * both + mean * mean * lists).max(0.0);
        let half = Z * (self.users / (self.users - 1.0) * squares).sqrt() / self.lists;
        Some(Stat { mean, low: (mean - half).max(0.0), high: (mean + half).min(1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_by_hand() {
        // n = 10, 2 of them, z² / n = .38415: middle (.2 + .19207) / 1.38415 = .28326,
        // half 1.95996 / 1.38415 · √(.016 + .38415 / 40) = .22658
        let stat = Share { users: 10, takers: 2 }.stat().unwrap();
        assert!(
            (stat.low - 0.05668).abs() < 1e-4 && (stat.high - 0.50984).abs() < 1e-4,
            "{stat:?}"
        );
        assert_eq!(Share::default().stat(), None);
        let none = Share { users: 10, takers: 0 }.stat().unwrap();
        assert!(none.low.abs() < 1e-12 && (none.high - 0.27753).abs() < 1e-4, "{none:?}");
    }

    #[test]
    fn lists_of_one_user_are_not_taken_for_many() {
        // Users with (lists, taken) = (2, 1), (4, 3): R = 4 / 6; residuals 1 - 4/3 and 3 - 8/3 = ∓ 1/3;
        // squared error 2 · (2 / 9) / 36 = .012346, half 1.96 · .11111 = .21777
        let mut some = PerList::default();
        some.add(2, 1);
        assert_eq!(some.stat(), None);
        some.add(4, 3);
        let stat = some.stat().unwrap();
        assert!(
            (stat.mean - 2.0 / 3.0).abs() < 1e-12 && (stat.high - stat.mean - 0.21777).abs() < 1e-4,
            "{stat:?}"
        );
    }
}
