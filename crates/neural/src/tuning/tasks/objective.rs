//! What the loop asks of a task: the texts of a step, the loss of what the encoder made of them, and a measure to stop by.

use tastemaker_text::BertTokens;

use super::augment::Augment;
use crate::tuning::encode::Model;

/// A number with its name.
pub(in crate::tuning) type Fact = (&'static str, f64);

/// What is read of the encoder's outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tuning) enum Reading {
    /// One vector per text, as the folder pools.
    #[default]
    Pooled,
    /// The vectors of these tokens of each text, one text after another.
    Tokens(Vec<Vec<u32>>),
}

/// The texts of a step.
#[derive(Clone, Debug, Default)]
pub(in crate::tuning) struct Input {
    /// None is empty.
    pub(in crate::tuning) texts: Vec<BertTokens>,
    pub(in crate::tuning) reading: Reading,
}

impl Input {
    /// Reads the first token of each text; texts without tokens are passed over.
    pub(in crate::tuning) fn of_first(texts: Vec<BertTokens>) -> Self {
        let reading = Reading::Tokens(vec![vec![0]; texts.len()]);
        Self { texts, reading }
    }
}

/// Where a loss reads and writes.
pub(in crate::tuning) struct Pass<'a> {
    /// What was read of the encoder's outputs, `[rows, dim]`; may be overwritten.
    pub(in crate::tuning) vectors: &'a mut [f32],
    /// Gets their gradient.
    pub(in crate::tuning) d_vectors: &'a mut Vec<f32>,
    /// The task's own parameters.
    pub(in crate::tuning) head: &'a [f32],
    /// Their gradient is added to it.
    pub(in crate::tuning) d_head: &'a mut [f32],
    /// The encoder's table of words, `[vocabulary, dim]`.
    pub(in crate::tuning) words: &'a [f32],
    /// Where the table is trained: gets the gradient that it has beside the encoder's; is 0.
    pub(in crate::tuning) d_words: Option<&'a mut [f32]>,
}

/// A task.
pub(in crate::tuning) trait Objective {
    /// Counts the steps that go once through what there is to learn from.
    fn steps(&self) -> usize;

    /// Returns the task's own parameters as they start.
    fn head(&self) -> Vec<f32> {
        Vec::new()
    }

    /// Tells whether epochs begin with the vectors of all items.
    fn reads_all(&self) -> bool {
        false
    }

    /// Gets ready for the steps of an epoch, given the vectors of all items as they stand.
    fn begin(&mut self, _vectors: Vec<f32>) {}

    /// Counts the events of every item, for a task that compares items' vectors; it can stand behind a layer that does without the
    /// encoder while it learns alone.
    fn counts(&self) -> Option<&[u32]> {
        None
    }

    /// Returns the items of a step over so many users, as the rows of its input, for such a task.
    fn alone(&mut self, _step: usize, _users: usize) -> Option<&[u32]> {
        None
    }

    /// Returns how good the vectors of all items are, for such a task.
    fn judged(&self, _vectors: Vec<f32>, _head: &[f32]) -> Option<f64> {
        None
    }

    /// Returns the texts of a step, which follow from its number and the seed.
    fn input(&mut self, step: usize, augment: &Augment) -> Input;

    /// Returns the mean loss of the step whose input was asked for last, and how many samples it had.
    fn loss(&mut self, pass: Pass<'_>) -> (f64, usize);

    /// Returns how good the encoder is on what it does not learn from, higher being better, for other tasks.
    fn validate(&self, _model: Model<'_>, _head: &[f32]) -> Option<f64> {
        None
    }

    /// Returns what else can be said of the encoder by what it does not learn from.
    fn facts(&self, _model: Model<'_>, _head: &[f32]) -> Vec<Fact> {
        Vec::new()
    }
}
