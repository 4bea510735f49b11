//! The `MovieLens` files without a header: `::` (1M, 10M), and `u.data`, `u.item`, `u.user` (100K). UTF-8 or Latin-1.

use csv::ByteRecord;

use crate::{
    Error, Part, Place, RowFault,
    reader::{Field, Lines, Reader, Text},
};

/// Reads `MovieLens` files; the part of the data decides what the fields are.
pub(crate) struct MovieLens {
    lines: Lines,
    columns: Vec<Field>,
    separator: &'static str,
    /// Names of the yes-or-no fields at the end of `u.item`.
    genres: &'static [&'static str],
}

const GENRES: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

impl MovieLens {
    pub(crate) fn open(text: Text) -> Self {
        let first = text.first_lines().next().unwrap_or_default();
        let separator = separator(first).unwrap_or("::");
        let bars = separator == "|";
        let n_fields = latin(first).split(separator).count();
        let names: &[&str] = match text.part {
            Part::Interactions => {
                let all = &["user_id", "item_id", "rating", "timestamp"];
                &all[..n_fields.clamp(2, all.len())]
            }
            Part::Items if bars => {
                &["item_id", "title", "release_date", "video_release_date", "imdb_url", "genres"]
            }
            Part::Items => &["item_id", "title", "genres"],
            Part::Users if bars => &["user_id", "age", "gender", "occupation", "zip_code"],
            Part::Users => &["user_id", "gender", "age", "occupation", "zip_code"],
        };
        let genres: &[&str] = if text.part == Part::Items && bars { &GENRES } else { &[] };
        let columns = names.iter().copied().map(Field::any).collect();
        Self { lines: Lines::new(text), columns, separator, genres }
    }

    /// Counts the fields of a line as it stands in the file.
    fn expected(&self) -> usize {
        if self.genres.is_empty() {
            self.columns.len()
        } else {
            self.columns.len() - 1 + GENRES.len()
        }
    }
}

impl Reader for MovieLens {
    fn columns(&self) -> &[Field] {
        &self.columns
    }

    fn read(&mut self, row: &mut ByteRecord) -> Result<bool, Error> {
        let (expected, genres, separator) = (self.expected(), self.genres, self.separator);
        let Some(line) = self.lines.next_line()? else { return Ok(false) };
        let line = latin(line);
        row.clear();
        let mut found = 0;
        let mut set: Vec<&str> = Vec::new();
        for field in line.split(separator) {
            match (found + genres.len()).checked_sub(expected) {
                Some(genre) if genre < genres.len() => {
                    set.extend((field.trim() == "1").then_some(genres[genre]));
                }
                _ => row.push_field(field.as_bytes()),
            }
            found += 1;
        }
        if found != expected {
            return Err(self.lines.fault(RowFault::Fields { found, expected }));
        }
        if !genres.is_empty() {
            row.push_field(set.join("|").as_bytes());
        }
        Ok(true)
    }

    fn place(&self) -> Place {
        Place::Line(self.lines.line())
    }
}

/// Tells whether a file looks like one of these, by its name or first line.
pub(crate) fn is_movielens(name: &str, first: &[u8]) -> bool {
    ["u.data", "u.item", "u.user"].contains(&name)
        || (separator(first) == Some("::") && !first.contains(&b','))
        || (name.ends_with(".data") && separator(first) == Some("\t"))
}

fn separator(line: &[u8]) -> Option<&'static str> {
    let line = latin(line);
    ["::", "\t", "|"].into_iter().find(|s| line.contains(s))
}

/// Decodes a line that is UTF-8, or else Latin-1.
fn latin(line: &[u8]) -> String {
    str::from_utf8(line).map_or_else(|_| line.iter().map(|&b| char::from(b)).collect(), Into::into)
}
