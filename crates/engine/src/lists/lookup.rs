//! What settings of a pipeline name, found in the tables of a data set.

use std::sync::Arc;

use tastemaker_core::{ItemId, Labels, UserId};
use tastemaker_data::{Expression, Interner, Table, Values};
use tastemaker_pipeline::{Lookup, Question};

use crate::predictions::named_labels;

/// The tables of a data set.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) items: &'a Table,
    pub(super) users: &'a Table,
}

impl Lookup for Columns<'_> {
    fn item(&self, id: &str) -> Result<ItemId, String> {
        let ids: &Interner = self.items.ids();
        ids.get(id).map(ItemId).ok_or_else(|| {
            let near = ids.nearest(id).map(|near| format!("; did you mean `{near}`?"));
            format!(
                "names the item `{id}`, which is not in the catalogue{}",
                near.unwrap_or_default()
            )
        })
    }

    fn question(&self, text: &str) -> Result<Question, String> {
        let said = |error: tastemaker_data::Error| error.to_string();
        let expression = Expression::new(text, self.items, self.users).map_err(said)?;
        if !expression.reads_user() {
            let answers = expression.all(self.items, self.users, None).map_err(said)?;
            return Ok(Question::Fixed(Arc::new(answers)));
        }
        let (items, users) = (self.items.clone(), self.users.clone());
        let ask = move |user: Option<UserId>| {
            let row = user.map(UserId::index).filter(|row| *row < users.len());
            // What cannot be judged for somebody is a no.
            expression.all(&items, &users, row).unwrap_or_else(|error| {
                tracing::warn!("{error}");
                vec![false; items.len()]
            })
        };
        Ok(Question::PerUser(Arc::new(ask)))
    }

    fn labels(&self, column: &str) -> Result<(Labels, Vec<String>), String> {
        let found = self.items.column(column).and_then(|column| named_labels(&column.values));
        found.ok_or_else(|| {
            self.unknown(column, "of words", |values| !matches!(values, Values::Number(_)))
        })
    }

    fn numbers(&self, column: &str) -> Result<Vec<f64>, String> {
        match self.items.column(column).map(|column| &column.values) {
            Some(Values::Number(numbers)) => Ok(numbers.iter().map(|x| f64::from(*x)).collect()),
            _ => {
                Err(self
                    .unknown(column, "of numbers", |values| matches!(values, Values::Number(_))))
            }
        }
    }
}

impl Columns<'_> {
    fn unknown(&self, column: &str, what: &str, fits: fn(&Values) -> bool) -> String {
        let known = self.items.columns().iter().filter(|column| fits(&column.values));
        let known: Vec<&str> = known.map(|column| column.name.as_str()).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        format!("names `{column}`, and the items have no such column {what}; they have: {known}")
    }
}
