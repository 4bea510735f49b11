//! What a data set can be asked for: the titles, labels, numbers and words of its items.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use tastemaker_core::ItemId;
use tastemaker_data::{Column, Values};
use tastemaker_dialog::talk::{Field, Lexicon, LexiconParts, NumberField, Role};

use crate::Engine;

/// Different values of a column of texts that are taken for labels.
const MOST_LABELS: usize = 200;
/// Letters of a text that is taken for a label.
const LONGEST_LABEL: usize = 40;
/// Items whose texts are read for their words.
const MOST_TEXTS: usize = 50_000;
/// Share of texts that must be numbers.
const NUMBERS: f64 = 0.8;

impl Engine {
    /// Tells whether a column holds the titles.
    pub(crate) fn is_title(column: &Column) -> bool {
        let name = column.name.to_lowercase();
        name.contains("title") || name == "name"
    }

    /// Returns what the catalogue can be asked for.
    pub(crate) fn lexicon(&self) -> Arc<Lexicon> {
        self.lexicon.get_or_init(|| Arc::new(self.read_lexicon())).clone()
    }

    fn read_lexicon(&self) -> Lexicon {
        let items = &self.data().items;
        let mut order: Vec<ItemId> = (0..items.len()).map(ItemId::from_index).collect();
        order.sort_by_key(|item| Reverse(self.counts().get(item.index()).copied().unwrap_or(0)));
        let has_titles = items.columns().iter().any(Self::is_title);
        let titles = order.iter().filter(|_| has_titles).map(|item| (*item, self.title(*item)));
        let mut parts = LexiconParts { titles: titles.collect(), ..LexiconParts::default() };
        parts.has_answers = answers(items.columns()).is_some();
        for column in items.columns() {
            match &column.values {
                Values::Categories(lists) => {
                    let all = lists.iter().flatten().map(String::as_str);
                    parts.labels.extend(fields(&column.name, all, true));
                }
                Values::Number(_) => parts.numbers.push(number(&column.name, false)),
                Values::Text(texts) if are_numbers(texts) => {
                    parts.numbers.push(number(&column.name, true));
                }
                Values::Text(texts) => {
                    let given = texts.iter().map(String::as_str).filter(|text| !text.is_empty());
                    if !Self::is_title(column) && are_labels(texts) {
                        parts.labels.extend(fields(&column.name, given.clone(), false));
                    }
                    parts.texts.extend(given.take(MOST_TEXTS).map(str::to_owned));
                }
            }
        }
        parts.texts.extend(parts.labels.iter().map(|field| field.label.clone()));
        Lexicon::new(parts)
    }
}

/// Returns the columns of questions and of answers, where there are both.
pub(super) fn answers(columns: &[Column]) -> Option<(&str, &str)> {
    let find = |names: &[&str]| {
        let is_one = |column: &&Column| names.contains(&column.name.to_lowercase().as_str());
        columns.iter().find(is_one).map(|column| column.name.as_str())
    };
    find(&["question", "questions", "问题"]).zip(find(&["answer", "answers", "回答", "答案"]))
}

fn number(column: &str, is_text: bool) -> NumberField {
    NumberField { column: column.into(), role: Role::of(column), is_text }
}

/// Lists the labels of a column, the most frequent first.
fn fields<'a>(
    column: &str,
    labels: impl Iterator<Item = &'a str>,
    is_list: bool,
) -> impl Iterator<Item = Field> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    labels.for_each(|label| *counts.entry(label).or_default() += 1);
    let mut sorted: Vec<(&str, usize)> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| Reverse(*count));
    let field =
        |(label, _): (&str, usize)| Field { column: column.into(), label: label.into(), is_list };
    sorted.into_iter().map(field).collect::<Vec<_>>().into_iter()
}

fn are_numbers(texts: &[String]) -> bool {
    let given = texts.iter().filter(|text| !text.trim().is_empty());
    let (mut all, mut numbers) = (0usize, 0usize);
    for text in given {
        all += 1;
        numbers += usize::from(text.trim().parse::<f64>().is_ok_and(f64::is_finite));
    }
    all > 0 && numbers as f64 >= NUMBERS * all as f64
}

/// Tells whether texts are few and short, and each stands for several rows.
fn are_labels(texts: &[String]) -> bool {
    let mut different: BTreeMap<&str, usize> = BTreeMap::new();
    let mut given = 0usize;
    for text in texts.iter().filter(|text| !text.is_empty()) {
        given += 1;
        if text.chars().count() > LONGEST_LABEL {
            return false;
        }
        *different.entry(text).or_default() += 1;
        if different.len() > MOST_LABELS {
            return false;
        }
    }
    2 * different.len() <= given
}
