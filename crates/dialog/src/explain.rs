//! Evidence to one plain sentence: a clause for each piece of evidence, and nothing besides.

use serde::{Deserialize, Serialize};

use crate::{Evidence, evidence::percent};

/// Words that depend on what is recommended. Choose a verb whose past and participle are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wording {
    /// What users do with items, in the past: "watched", "bought", "read".
    pub took: String,
    /// What an item's text is called: "plot", "description".
    pub text: String,
}

impl Default for Wording {
    fn default() -> Self {
        Self::new("picked", "description")
    }
}

impl Wording {
    /// Says "you `took` it" and "its `text`".
    pub fn new(took: &str, text: &str) -> Self {
        Self { took: took.into(), text: text.into() }
    }
}

/// Why an item is recommended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One sentence.
    pub text: String,
    /// Its clauses in order.
    pub clauses: Vec<Clause>,
}

/// A part of a sentence, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// The words.
    pub text: String,
    /// Which piece of evidence backs them, from 0.
    pub evidence_index: usize,
}

/// How many shared words are named.
const MAX_TERMS: usize = 3;

/// Says why, from the strongest evidence to the weakest as given, in at most `max_clauses` clauses.
///
/// Facts that do not speak for the item are passed over, and so are repetitions. `None` when nothing is left:
/// no reason is better than an invented one.
///
/// ```
/// use tastemaker_dialog::{Evidence, Wording, explain};
/// let evidence = [
///     Evidence::Took { item: "Alien".into(), share: 0.6 },
///     Evidence::AlsoLiked { item: "Blade Runner".into() },
/// ];
/// let reason = explain(&evidence, &Wording::new("watched", "plot"), 3).unwrap();
/// assert_eq!(reason.text, "Because you watched “Alien”; people who liked “Blade Runner” also liked it.");
/// ```
pub fn explain(evidence: &[Evidence], wording: &Wording, max_clauses: usize) -> Option<Reason> {
    let mut clauses: Vec<Clause> = Vec::new();
    for (evidence_index, fact) in evidence.iter().enumerate() {
        if clauses.len() == max_clauses {
            break;
        }
        let repeats = |clause: &Clause| {
            let told = &evidence[clause.evidence_index];
            std::mem::discriminant(told) == std::mem::discriminant(fact)
                && told.title() == fact.title()
        };
        if fact.speaks() && !clauses.iter().any(repeats) {
            clauses.push(Clause { text: say(fact, wording), evidence_index });
        }
    }
    let texts: Vec<&str> = clauses.iter().map(|clause| clause.text.as_str()).collect();
    let sentence = texts.join("; ");
    let mut letters = sentence.chars();
    let first = letters.next()?;
    Some(Reason { text: format!("{}{}.", first.to_uppercase(), letters.as_str()), clauses })
}

fn say(fact: &Evidence, Wording { took, text }: &Wording) -> String {
    match fact {
        Evidence::Took { item, .. } => format!("because you {took} {}", quote(item)),
        Evidence::Transition { from } => {
            format!("people who {took} {} next {took} it", quote(from))
        }
        Evidence::AlsoLiked { item } => format!("people who liked {} also liked it", quote(item)),
        Evidence::TextLike { item, shared, .. } => {
            let plain = shared.iter().map(String::as_str).filter(|term| is_plain(term));
            let terms: Vec<&str> = plain.take(MAX_TERMS).collect();
            match terms[..] {
                [] => format!("its {text} resembles {}", quote(item)),
                _ => format!("its {text} resembles {} ({})", quote(item), terms.join(", ")),
            }
        }
        Evidence::Popular { count, rank } => {
            let times = if *count == 1 { "time" } else { "times" };
            format!("it was {took} {count} {times}, number {rank} of all")
        }
        Evidence::Category { name, share } => {
            format!("{}% of what you {took} is {}", percent(*share), quote(name))
        }
    }
}

/// Puts a title between quotation marks; marks inside become single ones, so that its end is never in doubt.
pub(crate) fn quote(title: &str) -> String {
    let words: Vec<&str> = title.split_whitespace().collect();
    let inside = words.join(" ").replace(['“', '”', '"'], "’");
    format!("“{inside}”")
}

/// Tells whether a term can stand in a list without being mistaken for two.
pub(crate) fn is_plain(term: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’' | ' ');
    !term.trim().is_empty() && term.trim() == term && term.chars().all(plain)
}
