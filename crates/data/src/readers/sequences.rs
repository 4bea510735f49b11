//! One line per user: the user, then items in order of time, separated by blanks.

use csv::ByteRecord;

use crate::{
    Error, Place, RowFault,
    reader::{Field, Lines, Reader, Text},
};

/// Reads sequences as one row per event.
pub(crate) struct Sequences {
    lines: Lines,
    columns: Vec<Field>,
    line: Vec<u8>,
    /// Where the user's name ends, and where the next item is looked for.
    user: usize,
    next: usize,
}

impl Sequences {
    pub(crate) fn open(text: Text) -> Self {
        let columns = ["user_id", "item_id"].map(Field::any).to_vec();
        Self { lines: Lines::new(text), columns, line: Vec::new(), user: 0, next: 0 }
    }

    /// Returns the start and end of the next word from `from` on.
    fn word(&self, from: usize) -> Option<(usize, usize)> {
        let is_blank = |b: &u8| b.is_ascii_whitespace();
        let start = from + self.line.get(from..)?.iter().position(|b| !is_blank(b))?;
        let len = self.line[start..].iter().position(is_blank);
        Some((start, len.map_or(self.line.len(), |len| start + len)))
    }
}

impl Reader for Sequences {
    fn columns(&self) -> &[Field] {
        &self.columns
    }

    fn read(&mut self, row: &mut ByteRecord) -> Result<bool, Error> {
        row.clear();
        if self.word(self.next).is_none() {
            let Some(line) = self.lines.next_line()? else { return Ok(false) };
            self.line.clear();
            self.line.extend_from_slice(line.trim_ascii());
            self.user = self.word(0).map_or(0, |(_, end)| end);
            self.next = self.user;
            if self.word(self.next).is_none() {
                return Err(self.lines.fault(RowFault::Fields { found: 1, expected: 2 }));
            }
        }
        let Some((start, end)) = self.word(self.next) else { return Ok(false) };
        row.push_field(&self.line[..self.user]);
        row.push_field(&self.line[start..end]);
        self.next = end;
        Ok(true)
    }

    fn place(&self) -> Place {
        Place::Line(self.lines.line())
    }
}
