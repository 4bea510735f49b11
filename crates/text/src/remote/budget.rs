//! What calls may cost: tokens and money in total, calls a minute. Shared by all threads that call.

use std::sync::{Mutex, PoisonError};

use tastemaker_core::{Clock as _, SystemClock};

use super::{RemoteFault, ServiceSettings};

/// Tokens of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) sent: u64,
    pub(super) written: u64,
}

impl Tokens {
    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent.saturating_add(other.sent),
            written: self.written.saturating_add(other.written),
        }
    }

    fn less(self, other: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(other.sent),
            written: self.written.saturating_sub(other.written),
        }
    }

    fn total(self) -> u64 {
        self.sent.saturating_add(self.written)
    }
}

/// Guesses the tokens of a text where the service does not count them: four letters of ASCII to one, else one a character.
pub(super) fn guess(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    let others = text.chars().count() - ascii;
    (ascii.div_ceil(4) + others) as u64
}

/// Ceilings, and how near they are.
#[derive(Debug)]
pub(super) struct Budget {
    per_minute: f64,
    max_tokens: u64,
    /// Prices of a million tokens sent and written.
    prices: (f64, f64),
    max_cost: f64,
    state: Mutex<State>,
    clock: SystemClock,
}

#[derive(Debug, Default)]
struct State {
    spent: Tokens,
    /// Of calls under way.
    reserved: Tokens,
    /// When the next call may begin.
    next: f64,
}

impl Budget {
    pub(super) fn new(service: &ServiceSettings, reply_price: f64) -> Self {
        Self {
            per_minute: service.requests_per_minute,
            max_tokens: service.max_tokens_total,
            prices: (service.price_per_million_tokens, reply_price),
            max_cost: service.max_cost,
            state: Mutex::default(),
            clock: SystemClock::default(),
        }
    }

    /// Sets tokens aside for a call; they are given back when it is not settled.
    pub(super) fn reserve(&self, tokens: Tokens) -> Result<Reserved<'_>, RemoteFault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let used = state.spent.add(state.reserved);
        let after = used.add(tokens);
        if self.max_tokens > 0 && after.total() > self.max_tokens {
            return Err(RemoteFault::Ceiling {
                setting: "max_tokens_total",
                limit: self.max_tokens as f64,
                spent: used.total() as f64,
                next: tokens.total() as f64,
            });
        }
        if self.max_cost > 0.0 && self.cost(after) > self.max_cost {
            return Err(RemoteFault::Ceiling {
                setting: "max_cost",
                limit: self.max_cost,
                spent: rounded(self.cost(used)),
                next: rounded(self.cost(tokens)),
            });
        }
        state.reserved = state.reserved.add(tokens);
        Ok(Reserved { budget: self, tokens })
    }

    /// Takes the next place in the row of calls; returns seconds until it is free.
    pub(super) fn wait(&self) -> f64 {
        if self.per_minute <= 0.0 {
            return 0.0;
        }
        let now = self.clock.seconds();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = state.next.max(now);
        state.next = at + 60.0 / self.per_minute;
        at - now
    }

    fn cost(&self, tokens: Tokens) -> f64 {
        (tokens.sent as f64 * self.prices.0 + tokens.written as f64 * self.prices.1) / 1e6
    }
}

fn rounded(cost: f64) -> f64 {
    (cost * 1e6).round() / 1e6
}

/// Tokens set aside for a call.
#[derive(Debug)]
pub(super) struct Reserved<'a> {
    budget: &'a Budget,
    tokens: Tokens,
}

impl Reserved<'_> {
    /// Counts what the call took; without `actual`, what was set aside.
    pub(super) fn settle(self, actual: Option<Tokens>) {
        let mut state = self.budget.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.spent = state.spent.add(actual.unwrap_or(self.tokens));
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.reserved = state.reserved.less(self.tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(sent: u64, written: u64) -> Tokens {
        Tokens { sent, written }
    }

    #[test]
    fn what_is_set_aside_counts_until_it_is_given_back_or_settled() {
        let service = ServiceSettings { max_tokens_total: 100, ..ServiceSettings::default() };
        let budget = Budget::new(&service, 0.0);
        let first = budget.reserve(tokens(60, 0)).unwrap();
        assert!(budget.reserve(tokens(30, 11)).is_err());
        drop(first);
        budget.reserve(tokens(60, 0)).unwrap().settle(Some(tokens(50, 10)));
        budget.reserve(tokens(40, 0)).unwrap().settle(None);
        let fault = budget.reserve(tokens(1, 0)).unwrap_err().to_string();
        assert!(fault.contains("100 of `max_tokens_total` = 100"), "{fault}");
    }

    #[test]
    fn money_is_tokens_by_their_price() {
        let service = ServiceSettings {
            price_per_million_tokens: 2.0,
            max_cost: 0.001,
            ..ServiceSettings::default()
        };
        let budget = Budget::new(&service, 10.0);
        // 200 * 2 / 1e6 + 50 * 10 / 1e6 = .0009; 100 more to send make .0011.
        budget.reserve(tokens(200, 50)).unwrap().settle(None);
        let fault = budget.reserve(tokens(100, 0)).unwrap_err();
        let wanted =
            RemoteFault::Ceiling { setting: "max_cost", limit: 0.001, spent: 0.0009, next: 0.0002 };
        assert_eq!(fault, wanted);
        assert!(budget.reserve(tokens(50, 0)).is_ok());
    }

    #[test]
    fn calls_a_minute_stand_in_a_row() {
        let service = ServiceSettings { requests_per_minute: 60.0, ..ServiceSettings::default() };
        let budget = Budget::new(&service, 0.0);
        let waits: Vec<f64> = (0..3).map(|_| budget.wait()).collect();
        assert!(waits[0] <= 0.0, "{waits:?}");
        assert!((0.5..=1.0).contains(&waits[1]) && (1.5..=2.0).contains(&waits[2]), "{waits:?}");
    }

    #[test]
    fn tokens_are_guessed_by_length() {
        assert_eq!((guess(""), guess("abcde"), guess("电影 a")), (0, 2, 3));
    }
}
