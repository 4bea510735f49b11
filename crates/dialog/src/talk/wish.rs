//! One thing that is wanted of items, or not, and the question over their fields that it stands for.

use serde::{Deserialize, Serialize};

use super::lexicon::{Field, NumberField, Role};
use crate::Language;

/// Names that the language of expressions keeps for itself.
const RESERVED: [&str; 24] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "id",
    "if",
    "import",
    "in",
    "item",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "user",
    "var",
    "void",
    "while",
];

/// An end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The number.
    pub value: f64,
    /// The number itself is outside.
    pub is_open: bool,
}

/// One wish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Wish {
    /// Items that have a label, or have it not.
    Label {
        /// The column.
        column: String,
        /// The label.
        label: String,
        /// A row may have several.
        is_list: bool,
        /// Wanted, or not.
        wanted: bool,
    },
    /// Items with a number in a range.
    Range {
        /// The column.
        column: String,
        /// Its values are texts.
        is_text: bool,
        /// It counts years.
        is_year: bool,
        /// The lower end.
        low: Option<Bound>,
        /// The upper end.
        high: Option<Bound>,
    },
}

impl Bound {
    /// Tells whether nothing lies above this and below `high`.
    fn excludes(self, high: Self) -> bool {
        let is_open = self.is_open || high.is_open;
        if is_open { self.value >= high.value } else { self.value > high.value }
    }
}

impl Wish {
    pub(super) fn label(field: &Field, wanted: bool) -> Self {
        Self::Label {
            column: field.column.clone(),
            label: field.label.clone(),
            is_list: field.is_list,
            wanted,
        }
    }

    /// Returns the wish for the opposite. A span between two numbers has none: what is outside lies on both sides.
    pub fn denied(self) -> Option<Self> {
        let flipped = |bound: Bound| Some(Bound { is_open: !bound.is_open, ..bound });
        match self {
            Self::Label { column, label, is_list, .. } => {
                Some(Self::Label { column, label, is_list, wanted: false })
            }
            Self::Range { column, is_text, is_year, low: Some(low), high: None } => {
                Some(Self::Range { column, is_text, is_year, low: None, high: flipped(low) })
            }
            Self::Range { column, is_text, is_year, low: None, high: Some(high) } => {
                Some(Self::Range { column, is_text, is_year, low: flipped(high), high: None })
            }
            Self::Range { .. } => None,
        }
    }

    pub(super) fn range(field: &NumberField, low: Option<Bound>, high: Option<Bound>) -> Self {
        let (column, is_year) = (field.column.clone(), field.role == Role::Year);
        Self::Range { column, is_text: field.is_text, is_year, low, high }
    }

    /// Returns the expression that items must fulfil.
    pub fn expression(&self) -> String {
        match self {
            Self::Label { column, label, is_list, wanted } => {
                let column = variable(column);
                let label = quoted(label);
                match (is_list, wanted) {
                    (true, true) => format!("{label} in {column}"),
                    (true, false) => format!("!({label} in {column})"),
                    (false, true) => format!("{column} == {label}"),
                    // What has no label has not this one either.
                    (false, false) => format!("({column} == null || {column} != {label})"),
                }
            }
            Self::Range { column, is_text, low, high, .. } => {
                let column = variable(column);
                let value = if *is_text { format!("double({column})") } else { column };
                let ends = [(low, ">"), (high, "<")];
                let parts: Vec<String> = ends
                    .into_iter()
                    .filter_map(|(end, sign)| {
                        let bound = end.as_ref()?;
                        let equal = if bound.is_open { "" } else { "=" };
                        Some(format!("{value} {sign}{equal} {:?}", bound.value))
                    })
                    .collect();
                if parts.is_empty() { "true".into() } else { parts.join(" && ") }
            }
        }
    }

    /// Says the wish. Labels are the catalogue's own words; nothing of what somebody typed is repeated but numbers.
    pub fn say(&self, language: Language) -> String {
        let number = |bound: &Bound| {
            if (bound.value.fract()).abs() < f64::EPSILON {
                format!("{:.0}", bound.value)
            } else {
                format!("{}", bound.value)
            }
        };
        match (self, language) {
            (Self::Label { label, wanted: true, .. }, _) => label.clone(),
            (Self::Label { label, .. }, Language::English) => format!("no {label}"),
            (Self::Label { label, .. }, Language::Chinese) => format!("不要 {label}"),
            (Self::Range { column, is_year, low, high, .. }, language) => {
                let what =
                    if *is_year { String::new() } else { format!("{} ", column.replace('_', " ")) };
                let (below, above) = match (language, is_year) {
                    (Language::English, true) => (("before", "up to"), ("after", "from")),
                    (Language::English, false) => (("below", "at most"), ("above", "at least")),
                    (Language::Chinese, true) => (("早于", "不晚于"), ("晚于", "不早于")),
                    (Language::Chinese, false) => (("低于", "不超过"), ("高于", "不低于")),
                };
                let side = |bound: &Bound, (open, closed): (&str, &str)| {
                    format!("{} {}", if bound.is_open { open } else { closed }, number(bound))
                };
                let parts: Vec<String> = low
                    .iter()
                    .map(|bound| side(bound, above))
                    .chain(high.iter().map(|bound| side(bound, below)))
                    .collect();
                let and = if language == Language::English { ", " } else { "、" };
                format!("{what}{}", parts.join(and))
            }
        }
    }

    /// Puts a newer wish in the place of an older one about the same; tells whether it was about the same.
    pub(super) fn replace(&mut self, newer: &Self) -> bool {
        match (self, newer) {
            (
                Self::Label { column, label, wanted, .. },
                Self::Label { column: c, label: l, wanted: w, .. },
            ) if column == c && label == l => {
                *wanted = *w;
                true
            }
            (
                Self::Range { column, low, high, .. },
                Self::Range { column: c, low: l, high: h, .. },
            ) if column == c => {
                (*low, *high) = (l.or(*low), h.or(*high));
                // What contradicts an older end takes its place.
                if let (Some(below), Some(above)) = (*low, *high)
                    && below.excludes(above)
                {
                    (*low, *high) = (*l, *h);
                }
                true
            }
            _ => false,
        }
    }
}

/// Writes a column as a variable of an expression.
fn variable(column: &str) -> String {
    let mut letters = column.chars();
    let starts = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let goes_on = letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if starts && goes_on && !RESERVED.contains(&column) {
        column.to_owned()
    } else {
        format!("item[{}]", quoted(column))
    }
}

/// Writes a text between quotation marks, so that nothing in it is read as part of the expression.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn years(low: Option<f64>, high: Option<f64>) -> Wish {
        let bound = |value| Bound { value, is_open: true };
        Wish::Range {
            column: "year".into(),
            is_text: false,
            is_year: true,
            low: low.map(bound),
            high: high.map(bound),
        }
    }

    #[test]
    fn wishes_become_expressions_and_words() {
        let horror = |wanted| Wish::Label {
            column: "release class".into(),
            label: "A \"B\"".into(),
            is_list: true,
            wanted,
        };
        assert_eq!(horror(true).expression(), r#""A \"B\"" in item["release class"]"#);
        assert_eq!(horror(false).expression(), r#"!("A \"B\"" in item["release class"])"#);
        assert_eq!(years(Some(1990.0), None).expression(), "year > 1990.0");
        assert_eq!(years(Some(1990.0), None).say(Language::English), "after 1990");
        assert_eq!(
            years(Some(1990.0), Some(2000.0)).say(Language::Chinese),
            "晚于 1990、早于 2000"
        );
    }

    #[test]
    fn a_newer_wish_about_the_same_counts() {
        let mut range = years(Some(1990.0), None);
        assert!(range.replace(&years(None, Some(1995.0))));
        assert_eq!(range, years(Some(1990.0), Some(1995.0)));
        assert!(range.replace(&years(None, Some(1980.0))), "before 1980 takes back after 1990");
        assert_eq!(range, years(None, Some(1980.0)));
        assert!(range.replace(&years(Some(1980.0), None)), "nothing is after and before 1980");
        assert_eq!(range, years(Some(1980.0), None));
    }

    #[test]
    fn the_opposite_of_a_range_is_what_lies_beyond_its_end() {
        let expression = |wish: Wish| wish.denied().map(|wish| wish.expression());
        assert_eq!(expression(years(None, Some(1970.0))).as_deref(), Some("year >= 1970.0"));
        assert_eq!(expression(years(Some(1990.0), None)).as_deref(), Some("year <= 1990.0"));
        assert_eq!(expression(years(Some(1970.0), Some(1990.0))), None);
    }
}
