//! The column of labels by which lists are mixed.

use std::sync::Arc;

use tastemaker_core::{FeatureValues, Labels};
use tastemaker_data::{Dataset, Values};

use super::features::{label_names, words_as_labels};
use crate::Error;

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
