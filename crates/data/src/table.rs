//! Items or users as typed columns: texts, categories, numbers.

use crate::{Error, Interner, MAX_ID_BYTES, intern};

/// One row per id, one typed column per field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    ids: Interner,
    columns: Vec<Column>,
}

/// One field of every row.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The field's name in the source.
    pub name: String,
    /// One value per row.
    pub values: Values,
}

/// The values of a column; `""`, an empty list and NaN stand for missing.
#[derive(Clone, Debug)]
pub enum Values {
    /// Free text.
    Text(Vec<String>),
    /// Any number of labels per row.
    Categories(Vec<Vec<String>>),
    /// Numbers.
    Number(Vec<f32>),
}

impl PartialEq for Values {
    /// Compares bit by bit, so that missing equals missing.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Categories(a), Self::Categories(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
            }
            _ => false,
        }
    }
}

impl Table {
    /// Joins ids and columns; every column needs one value per id.
    pub fn new(ids: Interner, columns: Vec<Column>) -> Result<Self, Error> {
        for (i, column) in columns.iter().enumerate() {
            let twice = columns[..i].iter().any(|c| c.name == column.name);
            if twice || column.values.len() != ids.len() {
                return Err(Error::Table { name: column.name.clone() });
            }
        }
        Ok(Self { ids, columns })
    }

    /// Returns the outside ids; row number = dense id.
    pub const fn ids(&self) -> &Interner {
        &self.ids
    }

    /// Counts the rows.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Tells whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns all columns in the order of the source.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Renders one field; `None` when it is missing. Categories are joined by ", ".
    pub fn field(&self, row: usize, name: &str) -> Option<String> {
        self.column(name)?.values.render(row)
    }

    /// Adds a row and returns its number; fields not given are missing.
    ///
    /// A table without any column takes every field as text; otherwise fields must be columns.
    pub(crate) fn push(&mut self, id: &str, fields: &[(String, String)]) -> Result<u32, Error> {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(Error::BadId { len: id.len(), limit: MAX_ID_BYTES });
        }
        if self.ids.get(id).is_some() {
            return Err(Error::ItemExists { id: id.into() });
        }
        if self.columns.is_empty() {
            self.columns = text_columns(fields, self.ids.len());
        }
        let mut row: Vec<Option<&str>> = vec![None; self.columns.len()];
        for (name, value) in fields {
            let Some(at) = self.columns.iter().position(|c| &c.name == name) else {
                let names: Vec<String> = self.columns.iter().map(|c| c.name.clone()).collect();
                let nearest =
                    intern::nearest(name, names.iter().map(String::as_str)).map(Into::into);
                return Err(Error::NoSuchField { name: name.clone(), fields: names, nearest });
            };
            if matches!(self.columns[at].values, Values::Number(_)) && number(value).is_none() {
                return Err(Error::BadField { name: name.clone(), value: value.clone() });
            }
            row[at] = Some(value);
        }
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.values.push(value.unwrap_or_default());
        }
        Ok(self.ids.intern(id))
    }
}

/// Makes text columns for the fields of the first described row.
fn text_columns(fields: &[(String, String)], rows: usize) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (name, _) in fields {
        if columns.iter().all(|c| &c.name != name) {
            let values = Values::Text(vec![String::new(); rows]);
            columns.push(Column { name: name.clone(), values });
        }
    }
    columns
}

impl Values {
    /// Counts the rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(x) => x.len(),
            Self::Categories(x) => x.len(),
            Self::Number(x) => x.len(),
        }
    }

    /// Tells whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names the type: `text`, `categories` or `number`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Categories(_) => "categories",
            Self::Number(_) => "number",
        }
    }

    /// Renders the value of one row; `None` when it is missing or beyond the end.
    pub fn render(&self, row: usize) -> Option<String> {
        match self {
            Self::Text(x) => x.get(row).filter(|t| !t.is_empty()).cloned(),
            Self::Categories(x) => x.get(row).filter(|c| !c.is_empty()).map(|c| c.join(", ")),
            Self::Number(x) => x.get(row).filter(|n| !n.is_nan()).map(ToString::to_string),
        }
    }

    /// Tells whether the value of a row is missing.
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Text(x) => x.get(row).is_none_or(String::is_empty),
            Self::Categories(x) => x.get(row).is_none_or(Vec::is_empty),
            Self::Number(x) => x.get(row).is_none_or(|n| n.is_nan()),
        }
    }

    fn push(&mut self, value: &str) {
        match self {
            Self::Text(x) => x.push(value.trim().into()),
            Self::Categories(x) => x.push(crate::typing::labels(value)),
            Self::Number(x) => x.push(number(value).unwrap_or(f32::NAN)),
        }
    }

    /// Returns the rows named by `rows`, `None` giving a missing value.
    pub(crate) fn gather(&self, rows: &[Option<u32>]) -> Self {
        fn pick<T: Clone>(all: &[T], rows: &[Option<u32>], missing: &T) -> Vec<T> {
            rows.iter()
                .map(|r| r.map_or_else(|| missing.clone(), |r| all[r as usize].clone()))
                .collect()
        }
        match self {
            Self::Text(x) => Self::Text(pick(x, rows, &String::new())),
            Self::Categories(x) => Self::Categories(pick(x, rows, &Vec::new())),
            Self::Number(x) => Self::Number(pick(x, rows, &f32::NAN)),
        }
    }
}

/// Parses a finite number; an empty field is NaN.
fn number(value: &str) -> Option<f32> {
    let value = value.trim();
    if value.is_empty() {
        return Some(f32::NAN);
    }
    value.parse().ok().filter(|n: &f32| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn films() -> Table {
        let ids = Interner::from_ids(["1", "2"]).unwrap();
        let columns = vec![
            Column {
                name: "title".into(),
                values: Values::Text(vec!["Heat".into(), String::new()]),
            },
            Column {
                name: "genres".into(),
                values: Values::Categories(vec![vec!["Crime".into(), "Drama".into()], vec![]]),
            },
            Column { name: "year".into(), values: Values::Number(vec![1995.0, f32::NAN]) },
        ];
        Table::new(ids, columns).unwrap()
    }

    #[test]
    fn fields_are_rendered_and_missing_ones_are_none() {
        let films = films();
        let row = |r| ["title", "genres", "year", "x"].map(|name| films.field(r, name));
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(row(0), [some("Heat"), some("Crime, Drama"), some("1995"), None]);
        assert_eq!(row(1), [None, None, None, None]);
    }

    #[test]
    fn a_new_row_is_typed_like_the_others_or_refused_whole() {
        let mut films = films();
        let field = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        let bad = [
            films.push("1", &[]),
            films.push("", &[]),
            films.push("3", &[field("titel", "x")]),
            films.push("3", &[field("year", "soon")]),
        ]
        .map(|r| r.unwrap_err().to_string());
        assert!(bad[0].contains("exists already") && bad[1].contains("1 to"));
        assert!(bad[2].contains("did you mean `title`"), "{}", bad[2]);
        assert!(bad[3].contains("`soon`"));
        assert_eq!(films.len(), 2);
        films.push("3", &[field("genres", "Comedy|Crime"), field("year", "2001")]).unwrap();
        assert_eq!(films.field(2, "genres").as_deref(), Some("Comedy, Crime"));
        assert_eq!(films.columns().iter().map(|c| c.values.len()).collect::<Vec<_>>(), [3, 3, 3]);
    }

    #[test]
    fn a_table_without_columns_takes_any_field_as_text() {
        let mut items = Table::new(Interner::from_ids(["a"]).unwrap(), vec![]).unwrap();
        items.push("b", &[("title".into(), "New".into())]).unwrap();
        assert_eq!(items.field(1, "title").as_deref(), Some("New"));
        assert_eq!(items.field(0, "title"), None);
    }
}
