//! What a pipeline knows of items, and whom it asks about ids, expressions and columns.

use std::fmt;
use std::sync::Arc;

use tastemaker_core::{ItemId, Labels, UserId, Vectors};

/// What is known of items.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// `[n_items]`: how often each was taken.
    pub counts: Vec<u32>,
    /// `[n_items]`: greater is newer; NaN where it is not known.
    pub dates: Vec<f64>,
    /// `[n_items, dim]`: text vectors of length 1; 0 where there is no text.
    pub vectors: Option<Arc<Vectors>>,
}

impl Catalogue {
    /// Returns the cosine of two items' texts; 0 where one has none.
    pub(super) fn cosine(&self, a: ItemId, b: ItemId) -> f32 {
        let row = |item: ItemId| {
            self.vectors.as_ref().filter(|v| item.index() < v.rows()).map(|v| v.row(item.index()))
        };
        match (row(a), row(b)) {
            (Some(a), Some(b)) => a.iter().zip(b).map(|(x, y)| x * y).sum(),
            _ => 0.0,
        }
    }
}

/// Answers for every item, for somebody who asks.
type PerUser = Arc<dyn Fn(Option<UserId>) -> Vec<bool> + Send + Sync>;

/// A yes or no for every item.
#[derive(Clone)]
pub enum Question {
    /// The same for everybody, `[n_items]`.
    Fixed(Arc<Vec<bool>>),
    /// It depends on who asks.
    PerUser(PerUser),
}

impl Question {
    /// Answers for every item.
    pub(super) fn answers(&self, user: Option<UserId>) -> Arc<Vec<bool>> {
        match self {
            Self::Fixed(answers) => answers.clone(),
            Self::PerUser(ask) => Arc::new(ask(user)),
        }
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(answers) => write!(f, "Fixed({} items)", answers.len()),
            Self::PerUser(_) => f.write_str("PerUser"),
        }
    }
}

/// Knows what settings name. Problems are said as the end of a sentence, with what to do.
pub trait Lookup {
    /// Finds an item by its outside id.
    fn item(&self, id: &str) -> Result<ItemId, String>;

    /// Reads an expression over the fields of items and users.
    fn question(&self, text: &str) -> Result<Question, String>;

    /// Returns the labels in a column, and the name of each.
    fn labels(&self, column: &str) -> Result<(Labels, Vec<String>), String>;

    /// Returns the numbers of a column, NaN where one is missing.
    fn numbers(&self, column: &str) -> Result<Vec<f64>, String>;
}
