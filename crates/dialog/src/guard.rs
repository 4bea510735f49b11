//! No claim without evidence: holds any reason, whoever wrote it, to the facts it cites.

use crate::explain::inside;
use crate::{Error, Evidence, Reason};

/// Lists all claims of `reason` that `evidence` does not back; `Ok` when there are none.
///
/// Every clause must cite a piece of evidence and mention its title or one of its numbers; titles in quotation
/// marks, terms in parentheses and numbers must all be in the piece cited; and the sentence must be made of its
/// clauses alone.
pub fn check(reason: &Reason, evidence: &[Evidence]) -> Result<(), Vec<Error>> {
    let mut faults = Vec::new();
    for (clause, part) in reason.clauses.iter().enumerate() {
        let index = part.evidence_index;
        match evidence.get(index) {
            Some(fact) => check_clause(clause, &part.text, fact, &mut faults),
            None => faults.push(Error::NoEvidence { clause, index, count: evidence.len() }),
        }
    }
    if let Some(text) = uncovered(reason) {
        faults.push(Error::Uncovered { text: text.into() });
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

pub(crate) fn check_clause(clause: usize, text: &str, fact: &Evidence, faults: &mut Vec<Error>) {
    let said = Said::parse(text);
    let title = fact.title().map(inside);
    let numbers: Vec<String> = fact.numbers().iter().map(u32::to_string).collect();
    let before = faults.len();
    for name in &said.titles {
        if title.as_ref() != Some(&inside(name)) {
            faults.push(Error::Title { clause, title: (*name).into() });
        }
    }
    for term in &said.terms {
        if !fact.terms().iter().any(|known| known == term) {
            faults.push(Error::Term { clause, term: (*term).into() });
        }
    }
    for number in &said.numbers {
        if !numbers.iter().any(|known| known == number) {
            faults.push(Error::Number { clause, number: (*number).into() });
        }
    }
    if faults.len() == before && said.titles.is_empty() && said.numbers.is_empty() {
        faults.push(Error::Empty { clause });
    }
}

/// What a clause claims, as far as it can be held to something.
#[derive(Default)]
pub(crate) struct Said<'a> {
    titles: Vec<&'a str>,
    terms: Vec<&'a str>,
    numbers: Vec<&'a str>,
    /// What is left: the words around them.
    pub(crate) rest: Vec<&'a str>,
}

impl<'a> Said<'a> {
    pub(crate) fn parse(mut text: &'a str) -> Self {
        let mut said = Self::default();
        while let Some(first) = text.chars().next() {
            let after = &text[first.len_utf8()..];
            text = match first {
                '“' | '”' => until(after, '”', |title| said.titles.push(title)),
                '"' => until(after, '"', |title| said.titles.push(title)),
                '《' | '》' => until(after, '》', |title| said.titles.push(title)),
                '「' | '」' => until(after, '」', |title| said.titles.push(title)),
                '『' | '』' => until(after, '』', |title| said.titles.push(title)),
                '«' | '»' => until(after, '»', |title| said.titles.push(title)),
                '(' => until(after, ')', |terms| said.terms.extend(terms.split(", "))),
                '（' => until(after, '）', |terms| said.terms.extend(terms.split('、'))),
                _ if first.is_numeric() => {
                    let end = text.find(|c: char| !c.is_numeric()).unwrap_or(text.len());
                    said.numbers.push(&text[..end]);
                    &text[end..]
                }
                _ => {
                    let marks =
                        ['“', '”', '"', '《', '》', '「', '」', '『', '』', '«', '»', '(', '（'];
                    let ends = |c: char| marks.contains(&c) || c.is_numeric();
                    let end = text.find(ends).unwrap_or(text.len());
                    said.rest.push(&text[..end]);
                    &text[end..]
                }
            };
        }
        said
    }
}

/// Hands over what stands before `end`, all of it where `end` is missing, and returns what follows.
fn until<'a>(text: &'a str, end: char, mut take: impl FnMut(&'a str)) -> &'a str {
    let (inside, rest) = text.split_once(end).unwrap_or((text, ""));
    take(inside);
    rest
}

/// Returns what is left of the sentence from where it departs from its clauses.
fn uncovered(reason: &Reason) -> Option<&str> {
    let glue = |c: char| c.is_whitespace() || matches!(c, ';' | ',' | '.' | '；' | '，' | '。');
    let mut rest = reason.text.as_str();
    for clause in &reason.clauses {
        rest = rest.trim_start_matches(glue);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
        let mut letters = rest.chars();
        let mut wanted = clause.text.chars();
        let same_first = match (letters.next(), wanted.next()) {
            (Some(a), Some(b)) => a == b || a.to_string() == b.to_uppercase().to_string(),
            _ => false,
        };
        match letters.as_str().strip_prefix(wanted.as_str()) {
            Some(after) if same_first => rest = after,
            _ => return Some(rest),
        }
    }
    let rest = rest.trim_start_matches(glue);
    (!rest.is_empty()).then_some(rest)
}
