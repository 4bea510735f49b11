//! Requests of a key within a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// Keys whose buckets are kept.
const KEYS: usize = 10_000;

/// A bucket for each key, that fills with time and loses a drop with each request.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    buckets: Mutex<HashMap<String, (f64, f64)>>,
}

impl Rates {
    /// Takes a drop out of a key's bucket; `rate` is how many flow in within a second and how many it holds.
    pub(crate) fn take(&self, key: &str, rate: u32, now: f64) -> Result<(), Error> {
        if rate == 0 || key.is_empty() {
            return Ok(());
        }
        let rate = f64::from(rate);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= KEYS {
            // Full buckets say nothing that a new one does not.
            buckets.retain(|_, (drops, at)| *drops + (now - *at) * rate < rate);
        }
        let (drops, at) = buckets.entry(key.to_owned()).or_insert((rate, now));
        *drops = (*drops + (now - *at).max(0.0) * rate).min(rate);
        *at = now;
        if *drops < 1.0 {
            return Err(Error::TooFast);
        }
        *drops -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let rates = Rates::default();
        assert!(rates.take("a", 2, 0.0).is_ok() && rates.take("a", 2, 0.0).is_ok());
        assert!(rates.take("a", 2, 0.1).is_err() && rates.take("b", 2, 0.1).is_ok());
        assert!(rates.take("a", 2, 0.6).is_ok());
        assert!((0..99).all(|_| rates.take("a", 0, 0.6).is_ok()));
    }
}
