//! What a field is, by its name and content: a number, a list of categories, or text.

use serde_json::Value;

use crate::{
    Values,
    reader::{Field, Hint},
    schema::fold,
};

/// Cells of one column as they stand in the file: one buffer for all.
pub(crate) struct RawColumn {
    field: Field,
    text: String,
    ends: Vec<usize>,
}

/// Words that make a column a list of labels, as the last part of its name.
const LABELS: [&str; 14] = [
    "category",
    "categories",
    "genre",
    "genres",
    "tag",
    "tags",
    "label",
    "labels",
    "topic",
    "topics",
    "class",
    "keywords",
    "subjects",
    "cat",
];
/// Words that make a column text, be it called a list by its format.
const PROSE: [&str; 10] = [
    "title",
    "name",
    "text",
    "description",
    "summary",
    "plot",
    "abstract",
    "review",
    "body",
    "comment",
];
/// Ends of names that stand for codes, whose digits are no quantity.
const CODES: [&str; 7] = ["id", "zip", "zipcode", "code", "phone", "isbn", "asin"];
/// More digits than this are a code or a date, not a quantity.
const MAX_DIGITS: usize = 9;
/// Longest label of a list found by content.
const MAX_LABEL_BYTES: usize = 64;

impl RawColumn {
    pub(crate) const fn new(field: Field) -> Self {
        Self { field, text: String::new(), ends: Vec::new() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.field.name
    }

    /// Sets the cell of a row after the last one set; rows between are missing. Invalid UTF-8 is replaced.
    pub(crate) fn set(&mut self, row: usize, cell: &[u8]) {
        self.ends.resize(row, self.text.len());
        self.text.push_str(String::from_utf8_lossy(cell.trim_ascii()).as_ref());
        self.ends.push(self.text.len());
    }

    /// Chooses the type and parses `rows` cells.
    pub(crate) fn into_values(mut self, rows: usize) -> Values {
        self.ends.resize(rows, self.text.len());
        match self.kind() {
            Kind::Number => {
                let number = |cell: &str| cell.parse().unwrap_or(f32::NAN);
                Values::Number(self.cells().map(number).collect())
            }
            Kind::Words => {
                let words = |cell: &str| cell.split_whitespace().map(Into::into).collect();
                Values::Categories(self.cells().map(words).collect())
            }
            Kind::Labels(separator) => {
                Values::Categories(self.cells().map(|cell| split(cell, separator)).collect())
            }
            Kind::Text => Values::Text(self.cells().map(prose).collect()),
        }
    }

    fn cells(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.text[start..end])
    }

    fn filled(&self) -> impl Iterator<Item = &str> {
        self.cells().filter(|cell| !is_missing(cell))
    }

    fn kind(&self) -> Kind {
        let name = last_word(self.name());
        let is_prose = PROSE.contains(&name.as_str());
        let is_code =
            CODES.iter().any(|code| name.ends_with(code) && !LABELS.contains(&name.as_str()));
        if self.filled().next().is_none() {
            return if LABELS.contains(&name.as_str()) { Kind::Labels('|') } else { Kind::Text };
        }
        if self.field.hint == Hint::Words && !is_prose {
            return Kind::Words;
        }
        if !is_code && !is_prose && self.filled().all(is_quantity) {
            return Kind::Number;
        }
        if LABELS.contains(&name.as_str()) {
            let has = |separator: char| self.filled().any(|cell| cell.contains(separator));
            let separator = ['|', ';', ','].into_iter().find(|&s| has(s)).unwrap_or('|');
            return Kind::Labels(separator);
        }
        if !is_prose && (self.filled().all(is_list) || self.has_bars()) {
            return Kind::Labels('|');
        }
        Kind::Text
    }

    /// Tells whether the cells are short labels, many of them joined by bars without blanks.
    fn has_bars(&self) -> bool {
        let (mut filled, mut barred) = (0, 0);
        for cell in self.filled() {
            if cell.split('|').any(|l| l.len() > MAX_LABEL_BYTES || l.trim() != l || l.is_empty()) {
                return false;
            }
            filled += 1;
            barred += usize::from(cell.contains('|'));
        }
        barred * 10 >= filled
    }
}

enum Kind {
    Number,
    Words,
    Labels(char),
    Text,
}

/// Splits what a person typed into labels.
pub(crate) fn labels(cell: &str) -> Vec<String> {
    split(cell.trim(), if cell.contains('|') { '|' } else { ',' })
}

fn split(cell: &str, separator: char) -> Vec<String> {
    if is_missing(cell) {
        return Vec::new();
    }
    if let Some(list) = parse_list(cell) {
        return list;
    }
    cell.split(separator).map(str::trim).filter(|l| !l.is_empty()).map(Into::into).collect()
}

/// Returns text; lists of texts, as some catalogues write them, are joined.
fn prose(cell: &str) -> String {
    if is_missing(cell) {
        return String::new();
    }
    parse_list(cell).map_or_else(|| cell.into(), |list| list.join(" "))
}

fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "NaN" | "nan" | "null" | "NULL" | "None" | "\\N" | "[]" | "{}")
}

fn is_list(cell: &str) -> bool {
    parse_list(cell).is_some()
}

/// Parses `["a", "b"]`, also with single quotes as Python prints it; lists inside are flattened.
fn parse_list(cell: &str) -> Option<Vec<String>> {
    if !(cell.starts_with('[') && cell.ends_with(']')) {
        return None;
    }
    let parsed: Option<Value> = serde_json::from_str(cell).ok();
    let mut labels = Vec::new();
    match parsed {
        Some(value) => collect(&value, &mut labels)?,
        None => {
            for part in quoted(cell)? {
                labels.push(part.into());
            }
        }
    }
    Some(labels)
}

/// Collects the strings of a list; `None` where something else is found.
fn collect(value: &Value, labels: &mut Vec<String>) -> Option<()> {
    match value {
        Value::String(label) => labels.push(label.trim().into()),
        Value::Array(list) => list.iter().try_for_each(|v| collect(v, labels))?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    }
    labels.retain(|l| !l.is_empty());
    Some(())
}

/// Finds `'a', "b"` between brackets; `None` when anything else stands there.
fn quoted(cell: &str) -> Option<Vec<&str>> {
    let mut rest = cell.trim_matches(['[', ']', ' ']);
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (part, after) = rest[1..].split_once(quote)?;
        parts.push(part.trim());
        rest = after.trim_start_matches([',', ' ', '[', ']']);
    }
    Some(parts)
}

/// Tells a quantity from a code: a finite number, no leading zeros, not too many digits.
fn is_quantity(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let whole = digits.split('.').next().unwrap_or_default();
    let is_code = (whole.len() > 1 && whole.starts_with('0')) || whole.len() > MAX_DIGITS;
    !is_code
        && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && cell.parse().is_ok_and(|n: f32| n.is_finite())
}

/// Returns the last word of a name in lower case: `movieTitle`, `movie_title` and `Movie title` give `title`.
fn last_word(name: &str) -> String {
    let start = name
        .char_indices()
        .rev()
        .find_map(|(i, c)| {
            if !c.is_alphanumeric() {
                return Some(i + c.len_utf8());
            }
            let before = name[..i].chars().next_back();
            (c.is_uppercase() && before.is_some_and(char::is_lowercase)).then_some(i)
        })
        .unwrap_or(0);
    let word = fold(&name[start..]);
    if word.is_empty() { fold(name) } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(name: &str, hint: Hint, cells: &[&str]) -> Values {
        let mut raw = RawColumn::new(Field { name: name.into(), hint });
        for (row, cell) in cells.iter().enumerate() {
            raw.set(row, cell.as_bytes());
        }
        raw.into_values(cells.len())
    }

    fn shown(name: &str, cells: &[&str]) -> (&'static str, Vec<Option<String>>) {
        let values = typed(name, Hint::Any, cells);
        (values.kind(), (0..cells.len()).map(|row| values.render(row)).collect())
    }

    fn some(cells: &[&str]) -> Vec<Option<String>> {
        cells.iter().map(|c| (!c.is_empty()).then(|| (*c).into())).collect()
    }

    #[test]
    fn numbers_are_quantities_and_codes_stay_text() {
        assert_eq!(shown("year", &["1995", "", "2001"]), ("number", some(&["1995", "", "2001"])));
        assert_eq!(shown("price", &["0.5", "-3", "1e3"]), ("number", some(&["0.5", "-3", "1000"])));
        assert_eq!(shown("zip", &["48067", "70072"]).0, "text");
        assert_eq!(shown("barcode", &["9780195153448"]).0, "text");
        assert_eq!(shown("ref", &["007", "12"]).0, "text");
        assert_eq!(shown("title", &["1984", "2001"]).0, "text");
        assert_eq!(shown("runtime", &["90", "long"]).0, "text");
        assert_eq!(shown("height", &["inf", "1"]).0, "text");
    }

    #[test]
    fn categories_are_known_by_name_or_by_content() {
        assert_eq!(
            shown("genres", &["Drama", "Crime|War"]),
            ("categories", some(&["Drama", "Crime, War"]))
        );
        assert_eq!(shown("itemTags", &["a, b", "c"]), ("categories", some(&["a, b", "c"])));
        assert_eq!(shown("a_b", &["x|y", "z"]).0, "categories");
        assert_eq!(shown("title", &["Face|Off", "x"]).0, "text");
        assert_eq!(shown("headline", &["one | two", "x"]).0, "text");
        assert_eq!(
            shown("categories", &["[['Beauty', \"Men's\"]]", "[]", "[\"A, B\"]"]),
            ("categories", some(&["Beauty, Men's", "", "A, B"]))
        );
    }

    #[test]
    fn token_sequences_are_words_unless_the_name_says_text() {
        assert_eq!(typed("class", Hint::Words, &["Action War"]).render(0).unwrap(), "Action, War");
        assert_eq!(
            typed("movie_title", Hint::Words, &["Toy Story"]).render(0).unwrap(),
            "Toy Story"
        );
    }

    #[test]
    fn lists_in_text_columns_are_joined_and_rows_left_out_are_missing() {
        assert_eq!(
            shown("description", &["[\"One.\", \"Two.\"]", "x"]).1,
            some(&["One. Two.", "x"])
        );
        let mut raw = RawColumn::new(Field::any("note"));
        raw.set(2, b"late");
        assert_eq!(raw.into_values(4), Values::Text(["", "", "late", ""].map(Into::into).to_vec()));
    }

    #[test]
    fn the_last_word_of_a_name_counts() {
        for name in ["movieTitle", "movie_title", "Movie title", "TITLE", "movie-Title"] {
            assert_eq!(last_word(name), "title", "{name}");
        }
    }
}
