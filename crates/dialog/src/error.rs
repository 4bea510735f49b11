//! Ways in which a reason can claim more than its evidence.

use thiserror::Error as ThisError;

/// One claim without evidence; `clause` counts from 0.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The cited evidence does not exist.
    #[error("clause {clause} cites evidence {index}, and there are only {count} pieces: drop it")]
    NoEvidence {
        /// The clause.
        clause: usize,
        /// What it cites.
        index: usize,
        /// How many pieces there are.
        count: usize,
    },
    /// A quoted title is not in the cited evidence.
    #[error("clause {clause} names “{title}”, which its evidence does not: drop it")]
    Title {
        /// The clause.
        clause: usize,
        /// The title.
        title: String,
    },
    /// A term in parentheses is not in the cited evidence.
    #[error("clause {clause} claims the shared term `{term}`, which its evidence lacks: drop it")]
    Term {
        /// The clause.
        clause: usize,
        /// The term.
        term: String,
    },
    /// A number is not in the cited evidence.
    #[error("clause {clause} states the number {number}, which its evidence does not: drop it")]
    Number {
        /// The clause.
        clause: usize,
        /// The digits.
        number: String,
    },
    /// The clause mentions nothing of what it cites.
    #[error("clause {clause} mentions nothing of its evidence: drop it")]
    Empty {
        /// The clause.
        clause: usize,
    },
    /// A word says more than evidence of this kind can.
    #[error("clause {clause} says `{word}`, which evidence of this kind does not tell: drop it")]
    Word {
        /// The clause.
        clause: usize,
        /// The word.
        word: String,
    },
    /// The sentence says something that no clause covers.
    #[error("the text says `{text}`, which is in none of its clauses: drop it")]
    Uncovered {
        /// The words left over.
        text: String,
    },
}
