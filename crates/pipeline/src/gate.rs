//! Weights that depend on how much history a user has.

use serde::{Deserialize, Serialize};

/// The weights of one range of history lengths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Longest history that falls into the bucket; `None` for the last.
    pub up_to: Option<usize>,
    /// One weight per part; they sum to 1.
    pub weights: Vec<f32>,
}

/// Chooses weights by the length of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate(Vec<Bucket>);

impl Gate {
    /// Uses the same weights for everyone.
    pub fn same(weights: Vec<f32>) -> Self {
        Self(vec![Bucket { up_to: None, weights }])
    }

    /// Takes buckets in rising order, the last of them open; `None` when they are not, or differ in width.
    pub fn new(buckets: Vec<Bucket>) -> Option<Self> {
        let (last, head) = buckets.split_last()?;
        let ends: Option<Vec<usize>> = head.iter().map(|b| b.up_to).collect();
        let width = last.weights.len();
        let finite =
            |b: &Bucket| b.weights.len() == width && b.weights.iter().all(|w| w.is_finite());
        let fits = last.up_to.is_none() && ends?.is_sorted() && buckets.iter().all(finite);
        fits.then_some(Self(buckets))
    }

    /// Returns the weights for a history of `length` events.
    pub fn weights(&self, length: usize) -> &[f32] {
        let place = self.0.iter().position(|b| b.up_to.is_none_or(|end| length <= end));
        &self.0[place.unwrap_or(self.0.len() - 1)].weights
    }

    /// Lists the buckets from short histories to long ones.
    pub fn buckets(&self) -> &[Bucket] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::assert_all_close;

    use super::*;

    #[test]
    fn a_history_falls_into_the_first_bucket_that_holds_it() {
        let bucket = |up_to, w| Bucket { up_to, weights: vec![w] };
        let gate =
            Gate::new(vec![bucket(Some(3), 0.1), bucket(Some(9), 0.2), bucket(None, 0.3)]).unwrap();
        let at: Vec<f32> = [0, 3, 4, 9, 10].iter().map(|&n| gate.weights(n)[0]).collect();
        assert_all_close(&at, &[0.1, 0.1, 0.2, 0.2, 0.3], 1e-5);
        assert!(Gate::new(vec![bucket(Some(3), 0.1)]).is_none());
        assert!(Gate::new(vec![]).is_none());
    }
}
