//! What a search has found so far, as a value: enough to go on with it. Files are the keeper's business.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Assignment;

/// Settings that were tried, and what came of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Number of the settings in the search's list, from 0.
    pub number: usize,
    /// Rung of successive halving, from 0.
    pub rung: usize,
    /// Share of a whole fit that it got.
    pub share: f64,
    /// The settings: those of the space alone.
    pub settings: Assignment,
    /// How good they are, higher being better; `None` when they could not be tried.
    pub value: Option<f64>,
    /// Bits of `value`: JSON may round it.
    bits: Option<u64>,
    /// Why they could not be tried.
    pub failure: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
}

impl Trial {
    /// Puts a trial together; the value's bits are kept beside it.
    pub fn new(
        (number, rung, share): (usize, usize, f64),
        settings: Assignment,
        outcome: Result<f64, String>,
        seconds: f64,
    ) -> Self {
        let (value, failure) = match outcome {
            Ok(value) => (Some(value), None),
            Err(failure) => (None, Some(failure)),
        };
        let bits = value.map(f64::to_bits);
        Self { number, rung, share, settings, value, bits, failure, seconds }
    }
}

/// All trials of a search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// What the search depends on: a journal of another search is not gone on with.
    pub search: Value,
    /// Seconds that passed until the last of the trials ended, those of all runs together; what runs at once counts once.
    #[serde(default)]
    pub seconds: f64,
    /// Trials that came to an end, by rung and number.
    pub trials: Vec<Trial>,
}

impl Journal {
    /// Begins a search.
    pub const fn new(search: Value) -> Self {
        Self { search, seconds: 0.0, trials: Vec::new() }
    }

    /// Reads what was written; `None` when it is no journal.
    pub fn read(text: &str) -> Option<Self> {
        let mut journal: Self = serde_json::from_str(text).ok()?;
        for trial in &mut journal.trials {
            trial.value = trial.bits.map(f64::from_bits);
        }
        Some(journal)
    }

    /// Returns a trial, if it has come to its end.
    pub fn find(&self, number: usize, rung: usize) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.number == number && trial.rung == rung)
    }

    /// Takes a trial in, in its place.
    pub fn add(&mut self, trial: Trial) {
        let place = |trial: &Trial| (trial.rung, trial.number);
        let at = self.trials.partition_point(|other| place(other) < place(&trial));
        self.trials.insert(at, trial);
    }

    /// Returns the best trial: of the highest rung that has one with a value, the first of the best.
    pub fn best(&self) -> Option<&Trial> {
        let valued = || self.trials.iter().filter(|trial| trial.value.is_some());
        let top = valued().map(|trial| trial.rung).max()?;
        valued()
            .filter(|trial| trial.rung == top)
            .reduce(|best, trial| if trial.value > best.value { trial } else { best })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trial(number: usize, rung: usize, value: Option<f64>) -> Trial {
        let outcome = value.ok_or_else(|| "no".to_owned());
        Trial::new((number, rung, 1.0), Assignment::new(), outcome, 0.5)
    }

    #[test]
    fn what_is_written_comes_back_to_the_last_bit_and_in_order() {
        let mut journal = Journal::new(json!({ "seed": 1 }));
        for (number, rung, value) in
            [(2, 0, Some(0.1 + 0.2)), (1, 1, None), (0, 0, Some(1.0 / 3.0)), (2, 1, Some(0.25))]
        {
            journal.add(trial(number, rung, value));
        }
        let order: Vec<_> = journal.trials.iter().map(|t| (t.rung, t.number)).collect();
        assert_eq!(order, [(0, 0), (0, 2), (1, 1), (1, 2)]);
        let text = serde_json::to_string_pretty(&journal).unwrap();
        assert_eq!(Journal::read(&text), Some(journal));
        assert_eq!(Journal::read(&text[..text.len() / 2]), None);
    }

    #[test]
    fn the_best_is_the_first_of_the_best_of_the_highest_rung() {
        let mut journal = Journal::default();
        assert!(journal.best().is_none());
        journal.add(trial(0, 0, Some(0.9)));
        journal.add(trial(1, 1, None));
        assert_eq!(journal.best().unwrap().number, 0, "a failure is not the best of anything");
        journal.add(trial(2, 1, Some(0.4)));
        journal.add(trial(3, 1, Some(0.4)));
        assert_eq!(journal.best().unwrap().number, 2);
    }
}
