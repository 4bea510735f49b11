//! The column of labels by which lists are mixed.

use std::sync::Arc;

use tastemaker_core::{FeatureValues, Labels};
use tastemaker_data::{Dataset, Values};

use super::features::{label_names, words_as_labels};
use crate::Error;

/// Returns the label of every item that has exactly one in the column `name`, and the names of the labels.
pub(crate) fn single_labels(
    data: &Dataset,
    name: &str,
) -> Result<(Vec<Option<u32>>, Vec<String>), Error> {
    let columns = data.items.columns();
    let one = |words: &[String]| match words {
        [word] if !word.is_empty() => Some(word.clone()),
        _ => None,
    };
    let column = columns.iter().find(|column| column.name == name);
    let words: Vec<Option<String>> = match column.map(|column| &column.values) {
        Some(Values::Categories(lists)) => lists.iter().map(|list| one(list)).collect(),
        Some(Values::Text(texts)) => {
            texts.iter().map(|text| one(std::slice::from_ref(text))).collect()
        }
        Some(Values::Number(_)) | None => {
            let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            return Err(Error::NoTuneLabels { name: name.into(), known: known.join(", ") });
        }
    };
    let mut names: Vec<String> = words.iter().flatten().cloned().collect();
    names.sort_unstable();
    names.dedup();
    let number = |word: &String| names.binary_search(word).ok().map(|at| at as u32);
    let labels = words.iter().map(|word| word.as_ref().and_then(number)).collect();
    Ok((labels, names))
}

/// Returns the labels of items in the column `name`, or in the first column of categories; `None` where there is none.
pub(crate) fn labels(data: &Dataset, name: Option<&str>) -> Result<Option<Labels>, Error> {
    let columns = data.items.columns();
    let found = match name {
        Some(name) => columns.iter().find(|column| column.name == name),
        None => columns.iter().find(|column| matches!(column.values, Values::Categories(_))),
    };
    match (found.and_then(|column| words_as_labels(&column.values)), name) {
        (Some(FeatureValues::Labels { n_labels, rows }), _) => {
            Ok(Some(Labels { rows: Arc::new(rows), n_labels }))
        }
        (_, Some(name)) => {
            let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            Err(Error::NoLabels { name: name.into(), known: known.join(", ") })
        }
        (_, None) => Ok(None),
    }
}

/// Returns the labels of items in a column of words, and the name of each; `None` for numbers.
pub(crate) fn named_labels(values: &Values) -> Option<(Labels, Vec<String>)> {
    match words_as_labels(values)? {
        FeatureValues::Labels { n_labels, rows } => {
            Some((Labels { rows: Arc::new(rows), n_labels }, label_names(values)))
        }
        FeatureValues::Numbers(_) => None,
    }
}
