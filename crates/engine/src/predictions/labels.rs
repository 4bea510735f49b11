//! The column of labels by which lists are mixed.

use std::sync::Arc;

use tastemaker_core::{FeatureValues, Labels};
use tastemaker_data::{Dataset, Values};

use super::features::labels as numbered;
use crate::Error;

/// Returns the labels of items in the column `name`, or in the first column of categories; `None` where there is none.
pub(crate) fn labels(data: &Dataset, name: Option<&str>) -> Result<Option<Labels>, Error> {
    let columns = data.items.columns();
    let wanted = |values: &Values| matches!(values, Values::Categories(_));
    let found =
        match name {
            Some(name) => {
                let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                let column = columns.iter().find(|column| column.name == name);
                let column = column.filter(|column| !matches!(column.values, Values::Number(_)));
                Some(column.ok_or_else(|| Error::NoLabels {
                    name: name.into(),
                    known: known.join(", "),
                })?)
            }
            None => columns.iter().find(|column| wanted(&column.values)),
        };
    let values = found.map(|column| match &column.values {
        Values::Categories(lists) => {
            numbered(lists.iter().map(|list| list.iter().map(String::as_str).collect()))
        }
        Values::Text(texts) => {
            let some = |text: &'_ String| !text.is_empty();
            numbered(texts.iter().map(|text| {
                Some(text).filter(|text| some(text)).map(String::as_str).into_iter().collect()
            }))
        }
        Values::Number(_) => FeatureValues::Labels { n_labels: 0, rows: Vec::new() },
    });
    Ok(values.and_then(|values| match values {
        FeatureValues::Labels { n_labels, rows } => Some(Labels { rows: Arc::new(rows), n_labels }),
        FeatureValues::Numbers(_) => None,
    }))
}
