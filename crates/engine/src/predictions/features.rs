//! Columns of users and items as numbers, for models that learn from them.
//!
//! Categories are labels, numbers are numbers; short texts that repeat, such as a profession, are labels too. Titles, descriptions and
//! codes that hardly repeat are left to the text encoder.

use std::collections::{HashMap, HashSet};

use tastemaker_core::{Feature, FeatureValues, Features};
use tastemaker_data::{Column, Dataset, Table, Values};

/// Rows that a value of a text column stands for on average, at least, to be a label.
const REPEATS: usize = 4;
/// Columns with one label say nothing.
const FEWEST_LABELS: usize = 2;

/// Makes features of the columns of a data set.
pub fn features(data: &Dataset) -> Features {
    Features { users: columns(&data.users), items: columns(&data.items) }
}

fn columns(table: &Table) -> Vec<Feature> {
    table.columns().iter().filter_map(column).collect()
}

fn column(column: &Column) -> Option<Feature> {
    let values = match &column.values {
        Values::Number(numbers) => {
            let known = |x: &f32| (!x.is_nan()).then_some(*x);
            FeatureValues::Numbers(numbers.iter().map(known).collect())
        }
        words => words_as_labels(words)?,
    };
    if let (Values::Text(texts), FeatureValues::Labels { n_labels, .. }) = (&column.values, &values)
    {
        let filled = texts.iter().filter(|text| !text.is_empty()).count();
        if n_labels * REPEATS > filled {
            return None;
        }
    }
    match &values {
        FeatureValues::Labels { n_labels, .. } if *n_labels < FEWEST_LABELS => None,
        _ => Some(Feature { name: column.name.clone(), values }),
    }
}

/// Numbers the words of a column; a text that is not empty is one word. `None` for numbers.
pub(super) fn words_as_labels(values: &Values) -> Option<FeatureValues> {
    match values {
        Values::Number(_) => None,
        Values::Categories(lists) => {
            Some(labels(lists.iter().map(|list| list.iter().map(String::as_str).collect())))
        }
        Values::Text(texts) => {
            let word = |text: &'_ String| !text.is_empty();
            let rows = texts.iter().map(|text| Some(text).filter(|text| word(text)));
            Some(labels(rows.map(|word| word.map(String::as_str).into_iter().collect())))
        }
    }
}

/// Names the labels in the order of their numbers.
pub(super) fn label_names(values: &Values) -> Vec<String> {
    let words: Vec<&String> = match values {
        Values::Number(_) => Vec::new(),
        Values::Categories(lists) => lists.iter().flatten().collect(),
        Values::Text(texts) => texts.iter().filter(|text| !text.is_empty()).collect(),
    };
    let mut known = HashSet::new();
    words.into_iter().filter(|word| known.insert(*word)).cloned().collect()
}

/// Numbers labels in order of first appearance.
fn labels<'a>(lists: impl Iterator<Item = Vec<&'a str>>) -> FeatureValues {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut rows = Vec::new();
    for list in lists {
        let mut row: Vec<u32> = Vec::with_capacity(list.len());
        for label in list {
            let next = numbers.len() as u32;
            let number = *numbers.entry(label).or_insert(next);
            if !row.contains(&number) {
                row.push(number);
            }
        }
        rows.push(row);
    }
    FeatureValues::Labels { n_labels: numbers.len(), rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: Values) -> Option<FeatureValues> {
        column(&Column { name: "x".into(), values }).map(|feature| feature.values)
    }

    #[test]
    fn words_that_repeat_are_labels_and_titles_are_not() {
        let text = |words: &[&str]| Values::Text(words.iter().map(ToString::to_string).collect());
        let jobs =
            of(text(&["nurse", "cook", "nurse", "", "cook", "nurse", "cook", "cook", "cook"]));
        let row = |n| vec![n];
        let mut rows: Vec<Vec<u32>> = [0, 1, 0, 9, 1, 0, 1, 1, 1].map(row).into();
        rows[3].clear();
        assert_eq!(jobs, Some(FeatureValues::Labels { n_labels: 2, rows }));
        assert_eq!(of(text(&["Heat", "Alien", "Brazil", "Big"])), None);
        assert_eq!(of(text(&["same", "same", "same", "same"])), None);
    }

    #[test]
    fn numbers_keep_their_gaps_and_categories_are_counted_once() {
        let numbers = of(Values::Number(vec![1.5, f32::NAN]));
        assert_eq!(numbers, Some(FeatureValues::Numbers(vec![Some(1.5), None])));
        let lists = vec![vec!["a".to_owned(), "b".into(), "a".into()], vec![]];
        let rows = vec![vec![0, 1], vec![]];
        assert_eq!(
            of(Values::Categories(lists)),
            Some(FeatureValues::Labels { n_labels: 2, rows })
        );
    }
}
