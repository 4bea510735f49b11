//! How likely continuations are: the talk is read once, then all of them in blocks, each attending to the talk and to itself.

use std::sync::PoisonError;

use tastemaker_kernels::Span;

use super::model::{GgufChat, State};
use crate::generate::decoder::Entry;
use crate::{Error, Likelihood, LogProb, Turn};

/// Tokens of continuations that are read together.
const TOGETHER: usize = 512;
/// Rows whose logits are computed at once: a vocabulary is wide.
const ROWS: usize = 16;

impl Likelihood for GgufChat {
    fn log_probs(&self, turns: &[Turn], continuations: &[&str]) -> Result<Vec<LogProb>, Error> {
        let all = self.log_probs_while(turns, continuations, &mut || true)?;
        Ok(all.expect("nobody ended the reading"))
    }

    fn log_probs_while(
        &self,
        turns: &[Turn],
        continuations: &[&str],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<LogProb>>, Error> {
        let prompt = self.prompt(turns)?;
        let mut all = Vec::with_capacity(continuations.len());
        for text in continuations {
            let tokens = self.tokenizer.encode(text)?;
            let length = prompt.len() + tokens.len();
            if length > self.context {
                return Err(Error::TooLong { tokens: length, limit: self.context });
            }
            all.push(tokens);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (logits, _) = self.read(&prompt, &mut state, go_on)?;
        let Some(logits) = logits else { return Ok(None) };
        let first = LogSum::of(&logits);
        let mut sums: Vec<LogProb> = all
            .iter()
            .map(|tokens| LogProb {
                sum: tokens.first().map_or(0.0, |token| first.log_prob(&logits, *token)),
                tokens: tokens.len(),
            })
            .collect();
        // A continuation of one token is known from the talk alone.
        let longer: Vec<usize> = (0..all.len()).filter(|at| all[*at].len() > 1).collect();
        let mut from = 0;
        while from < longer.len() {
            if !go_on() {
                return Ok(None);
            }
            let (mut to, mut tokens) = (from, 0);
            while to < longer.len()
                && (to == from || tokens + all[longer[to]].len() - 1 <= TOGETHER)
            {
                tokens += all[longer[to]].len() - 1;
                to += 1;
            }
            let block: Vec<(usize, &[u32])> =
                longer[from..to].iter().map(|at| (*at, &all[*at][..])).collect();
            self.score(&block, &mut state, &mut sums)?;
            from = to;
        }
        Ok(Some(sums))
    }
}

impl GgufChat {
    /// Adds the probabilities of all tokens but the first of each continuation.
    fn score(
        &self,
        block: &[(usize, &[u32])],
        state: &mut State,
        sums: &mut [LogProb],
    ) -> Result<(), Error> {
        let shared = state.memory.len();
        let (mut entries, mut wanted) = (Vec::new(), Vec::new());
        for (at, tokens) in block {
            let from = shared + entries.len();
            for (n, pair) in tokens.windows(2).enumerate() {
                let span = Span { shared, from, to: from + n + 1 };
                entries.push(Entry { token: pair[0], place: shared + n, span });
                wanted.push((*at, pair[1]));
            }
        }
        let rows = self.decoder.pass(&entries, &mut state.memory);
        // The talk stays, its continuations do not.
        state.memory.truncate(shared);
        let mut rows = rows?;
        let architecture = self.decoder.architecture();
        let (width, vocabulary) = (architecture.width, architecture.vocabulary);
        let mut logits = vec![0.0; vocabulary * ROWS.min(wanted.len())];
        for (rows, wanted) in rows.chunks_mut(ROWS * width).zip(wanted.chunks(ROWS)) {
            let logits = &mut logits[..wanted.len() * vocabulary];
            self.decoder.logits(rows, logits);
            for (logits, (at, token)) in logits.chunks_exact(vocabulary).zip(wanted) {
                sums[*at].sum += LogSum::of(logits).log_prob(logits, *token);
            }
        }
        Ok(())
    }
}

/// The logarithm of the sum of exponentials.
struct LogSum(f64);

impl LogSum {
    fn of(logits: &[f32]) -> Self {
        let greatest = logits.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
        let sum: f64 = logits.iter().map(|x| f64::from((x - greatest).exp())).sum();
        Self(f64::from(greatest) + sum.ln())
    }

    fn log_prob(&self, logits: &[f32], token: u32) -> f64 {
        f64::from(logits[token as usize]) - self.0
    }
}
