//! The course of a run: loss and validation of every epoch.

use serde::{Deserialize, Serialize};
use tastemaker_core::Epoch;

/// All epochs of a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The epochs.
    pub epochs: Vec<Epoch>,
}

impl Curve {
    /// Returns the number (from 1) of the best epoch on validation, the first among equals; the last without a judge.
    pub fn best(&self) -> usize {
        let mut best: Option<(usize, f64)> = None;
        for (at, epoch) in self.epochs.iter().enumerate() {
            if let Some(value) = epoch.validation
                && best.is_none_or(|(_, so_far)| value > so_far)
            {
                best = Some((at + 1, value));
            }
        }
        best.map_or(self.epochs.len(), |(at, _)| at)
    }

    /// Returns how many epochs have passed since the best one.
    pub fn since_best(&self) -> usize {
        self.epochs.len() - self.best()
    }

    /// Returns the samples gone through in a second of training.
    pub fn samples_per_second(&self) -> f64 {
        let (samples, seconds) = self
            .epochs
            .iter()
            .fold((0, 0.0), |(n, s), epoch| (n + epoch.samples, s + epoch.seconds));
        if seconds > 0.0 { samples as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[Option<f64>]) -> Curve {
        let epoch = |validation| Epoch { loss: 1.0, validation, samples: 10, seconds: 2.0 };
        Curve { epochs: values.iter().copied().map(epoch).collect() }
    }

    #[test]
    fn the_first_of_the_best_epochs_counts() {
        let judged = curve(&[Some(0.1), Some(0.3), Some(0.3), Some(0.2)]);
        assert_eq!((judged.best(), judged.since_best()), (2, 2));
        assert_eq!(curve(&[None, None]).best(), 2);
        assert_eq!(curve(&[]).since_best(), 0);
        assert!((judged.samples_per_second() - 5.0).abs() < 1e-9);
    }
}
