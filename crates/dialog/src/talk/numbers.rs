//! Ranges in a turn: "after 1990", "under 50 dollars", "from the 90s", "between 1980 and 1989", "1990年以后".

use super::lexicon::{Lexicon, NumberField, Role};
use super::tokens::Token;
use super::wish::{Bound, Wish};

/// Which end of a range a number is, and whether it is outside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Low { is_open: bool },
    High { is_open: bool },
}

/// Words before a number.
const BEFORE: &[(&str, End)] = &[
    ("after", End::Low { is_open: true }),
    ("newer than", End::Low { is_open: true }),
    ("later than", End::Low { is_open: true }),
    ("since", End::Low { is_open: false }),
    ("from", End::Low { is_open: false }),
    ("over", End::Low { is_open: true }),
    ("above", End::Low { is_open: true }),
    ("more than", End::Low { is_open: true }),
    ("longer than", End::Low { is_open: true }),
    ("at least", End::Low { is_open: false }),
    ("before", End::High { is_open: true }),
    ("older than", End::High { is_open: true }),
    ("earlier than", End::High { is_open: true }),
    ("until", End::High { is_open: false }),
    ("under", End::High { is_open: true }),
    ("below", End::High { is_open: true }),
    ("less than", End::High { is_open: true }),
    ("cheaper than", End::High { is_open: true }),
    ("shorter than", End::High { is_open: true }),
    ("at most", End::High { is_open: false }),
    ("up to", End::High { is_open: false }),
    ("no more than", End::High { is_open: false }),
    ("低 于", End::High { is_open: true }),
    ("少 于", End::High { is_open: true }),
    ("早 于", End::High { is_open: true }),
    ("不 超 过", End::High { is_open: false }),
    ("高 于", End::Low { is_open: true }),
    ("超 过", End::Low { is_open: true }),
    ("晚 于", End::Low { is_open: true }),
    ("不 低 于", End::Low { is_open: false }),
    ("至 少", End::Low { is_open: false }),
];

/// Words behind a number and its unit.
const BEHIND: &[(&str, End)] = &[
    ("以 后", End::Low { is_open: true }),
    ("之 后", End::Low { is_open: true }),
    ("后", End::Low { is_open: true }),
    ("以 来", End::Low { is_open: false }),
    ("以 上", End::Low { is_open: false }),
    ("or newer", End::Low { is_open: false }),
    ("or later", End::Low { is_open: false }),
    ("or more", End::Low { is_open: false }),
    ("以 前", End::High { is_open: true }),
    ("之 前", End::High { is_open: true }),
    ("前", End::High { is_open: true }),
    ("以 下", End::High { is_open: false }),
    ("以 内", End::High { is_open: false }),
    ("or older", End::High { is_open: false }),
    ("or less", End::High { is_open: false }),
];

const UNITS: &[(&str, Role)] = &[
    ("dollars", Role::Price),
    ("dollar", Role::Price),
    ("euros", Role::Price),
    ("euro", Role::Price),
    ("usd", Role::Price),
    ("元", Role::Price),
    ("块", Role::Price),
    ("minutes", Role::Length),
    ("min", Role::Length),
    ("pages", Role::Length),
    ("分 钟", Role::Length),
    ("页", Role::Length),
    ("stars", Role::Rating),
    ("年", Role::Year),
];

/// Finds ranges; marks the tokens they are made of.
pub(super) fn ranges(tokens: &[Token], lexicon: &Lexicon, used: &mut [bool]) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if used[at] || tokens[at].quoted.is_some() {
            at += 1;
            continue;
        }
        let found = decade(tokens, at, lexicon)
            .or_else(|| between(tokens, at, lexicon))
            .or_else(|| single(tokens, at, lexicon));
        match found {
            Some((wish, from, to)) => {
                used[from..to].fill(true);
                wishes.push(wish);
                at = to;
            }
            None => at += 1,
        }
    }
    wishes
}

type Found = (Wish, usize, usize);

/// "90s", "the 1990s", "90年代".
fn decade(tokens: &[Token], at: usize, lexicon: &Lexicon) -> Option<Found> {
    let word = &tokens[at].word;
    let (digits, to) = match word.strip_suffix('s') {
        Some(digits) => (digits, at + 1),
        None if end_of(tokens, at + 1, "年 代").is_some() => (word.as_str(), at + 3),
        None => return None,
    };
    let field = lexicon.number(Role::Year)?;
    let start: u32 = digits.parse().ok()?;
    let start = match (digits.len(), start) {
        (2, 30..) => 1900 + start,
        (2, _) => 2000 + start,
        (4, 1800..=2100) => start,
        _ => return None,
    };
    let end = |value: u32| Some(Bound { value: f64::from(value), is_open: false });
    let from = back(tokens, at, &["from the", "of the", "in the", "from", "in", "the"]);
    Some((Wish::range(field, end(start), end(start + 9)), from, to))
}

/// "between 1980 and 1989", "from 1980 to 1989", "1980-1989", "1980到1989年".
fn between(tokens: &[Token], at: usize, lexicon: &Lexicon) -> Option<Found> {
    let low = tokens[at].number?;
    let next = tokens.get(at + 1)?;
    let joins = ["and", "to", "till", "until", "到", "至"].contains(&next.word.as_str());
    let second = if joins { at + 2 } else { at + 1 };
    let high = tokens.get(second)?.number?;
    let before = at.checked_sub(1).map(|at| tokens[at].word.as_str());
    if high <= low
        || (next.word == "and" && before != Some("between"))
        || (!joins && (tokens[second].after_break || high < 1800.0))
    {
        return None;
    }
    let (field, to) = field(tokens, (low, second + 1), lexicon)?;
    let end = |value| Some(Bound { value, is_open: false });
    let from = back(tokens, at, &["between", "from", "in"]);
    Some((Wish::range(field, end(low), end(high)), from, to))
}

/// "after 1990", "under 50 dollars", "in 1994", "1990年以后".
fn single(tokens: &[Token], at: usize, lexicon: &Lexicon) -> Option<Found> {
    let value = tokens[at].number?;
    let (field, unit_end) = field(tokens, (value, at + 1), lexicon)?;
    let is = |is_open| Some(Bound { value, is_open });
    if let Some((end, from)) = longest(BEFORE, |words| start_of(tokens, at, words)) {
        let (low, high) = end.of(is);
        return Some((Wish::range(field, low, high), from, unit_end));
    }
    if let Some((end, to)) = longest(BEHIND, |words| end_of(tokens, unit_end, words)) {
        let (low, high) = end.of(is);
        return Some((Wish::range(field, low, high), at, to));
    }
    // A year by itself is that year; any other number may be anything.
    let from = start_of(tokens, at, "in").or_else(|| start_of(tokens, at, "of"));
    let is_year = field.role == Role::Year && (from.is_some() || unit_end > at + 1);
    is_year.then(|| (Wish::range(field, is(false), is(false)), from.unwrap_or(at), unit_end))
}

impl End {
    fn of(self, bound: impl Fn(bool) -> Option<Bound>) -> (Option<Bound>, Option<Bound>) {
        match self {
            Self::Low { is_open } => (bound(is_open), None),
            Self::High { is_open } => (None, bound(is_open)),
        }
    }
}

/// Returns the longest phrase that stands there, with where it begins or ends.
fn longest(table: &[(&str, End)], stands: impl Fn(&str) -> Option<usize>) -> Option<(End, usize)> {
    let fitting = table.iter().filter_map(|(words, end)| Some((words.len(), *end, stands(words)?)));
    fitting.max_by_key(|(length, ..)| *length).map(|(_, end, place)| (end, place))
}

/// Returns the column a number is about, and where its unit ends: by the unit, by the name of a column, by what numbers of its size are.
fn field<'a>(
    tokens: &[Token],
    (value, behind): (f64, usize),
    lexicon: &'a Lexicon,
) -> Option<(&'a NumberField, usize)> {
    for (unit, role) in UNITS {
        if let Some(end) = end_of(tokens, behind, unit) {
            return lexicon.number(*role).map(|field| (field, end));
        }
    }
    if (1800.0..=2100.0).contains(&value)
        && let Some(field) = lexicon.number(Role::Year)
    {
        return Some((field, behind));
    }
    let named = lexicon.numbers.iter().find(|field| {
        let name = field.column.to_lowercase();
        tokens.iter().any(|token| token.word == name)
    });
    named
        .or_else(|| lexicon.number(Role::Price))
        .filter(|field| field.role != Role::Year || value > 1000.0)
        .map(|field| (field, behind))
}

/// Returns where a phrase begins that ends right before `at`; an article may stand between.
fn start_of(tokens: &[Token], at: usize, phrase: &str) -> Option<usize> {
    let words: Vec<&str> = phrase.split(' ').collect();
    let article =
        at.checked_sub(1).is_some_and(|at| ["the", "year"].contains(&tokens[at].word.as_str()));
    let end = at - usize::from(article);
    let start = end.checked_sub(words.len())?;
    let is_same = tokens[start..end].iter().zip(&words).all(|(token, word)| token.word == *word);
    is_same.then_some(start)
}

/// Returns where a phrase ends that begins at `at`.
fn end_of(tokens: &[Token], at: usize, phrase: &str) -> Option<usize> {
    let words: Vec<&str> = phrase.split(' ').collect();
    let there = tokens.get(at..at + words.len())?;
    let is_same = there.iter().zip(&words).all(|(token, word)| token.word == *word);
    is_same.then_some(at + words.len())
}

/// Returns where the first of the phrases begins that ends right before `at`; `at` where none does.
fn back(tokens: &[Token], at: usize, phrases: &[&str]) -> usize {
    phrases.iter().find_map(|phrase| start_of(tokens, at, phrase)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::super::lexicon::LexiconParts;
    use super::super::tokens::tokens;
    use super::*;
    use crate::Language;

    fn said(text: &str) -> String {
        let number = |column: &str| NumberField {
            column: column.into(),
            role: Role::of(column),
            is_text: false,
        };
        let numbers = ["year", "price", "runtime"].map(number).into();
        let lexicon = Lexicon::new(LexiconParts { numbers, ..LexiconParts::default() });
        let tokens = tokens(text);
        let mut used = vec![false; tokens.len()];
        let wishes = ranges(&tokens, &lexicon, &mut used);
        wishes.iter().map(|wish| wish.say(Language::English)).collect::<Vec<_>>().join(" & ")
    }

    #[test]
    fn numbers_are_read_as_people_mean_them() {
        assert_eq!(said("not scary, after 1990"), "after 1990");
        assert_eq!(
            said("something from the 90s under 20 dollars"),
            "from 1990, up to 1999 & price below 20"
        );
        assert_eq!(said("between 1980 and 1989"), "from 1980, up to 1989");
        assert_eq!(said("1990年以后的电影"), "after 1990");
        assert_eq!(said("80年代的喜剧"), "from 1980, up to 1989");
        assert_eq!(said("不超过50元"), "price at most 50");
        assert_eq!(
            said("at most 90 minutes, in 1994"),
            "runtime at most 90 & from 1994, up to 1994"
        );
        assert_eq!(said("show me 3 films with 12 monkeys"), "", "a number by itself says nothing");
        assert_eq!(said("cheaper than 9.5"), "price below 9.5");
    }
}
