//! Comma-, tab-, semicolon- or bar-separated values with a header; the separator is found by looking.

use std::{
    cell::Cell,
    io::{self, BufRead, Read},
    path::PathBuf,
    rc::Rc,
};

use csv::{ByteRecord, ErrorKind};

use crate::{
    Error, Place, RowFault,
    reader::{Field, MAX_ROW_BYTES, Reader, Text, broken_input, too_long},
    schema,
};

/// Reads separated values.
pub(crate) struct Delimited {
    path: PathBuf,
    columns: Vec<Field>,
    rows: csv::Reader<Meter>,
    taken: Rc<Taken>,
    line: u64,
}

/// How fields are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) separator: u8,
    pub(super) quoting: bool,
}

const SEPARATORS: [u8; 4] = [b',', b'\t', b';', b'|'];

impl Delimited {
    pub(crate) fn open(text: Text) -> Result<Self, Error> {
        let dialect = sniff(&text);
        Self::with_dialect(text, dialect)
    }

    pub(super) fn with_dialect(text: Text, dialect: Dialect) -> Result<Self, Error> {
        let taken = Rc::new(Taken::default());
        let rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(dialect.separator)
            .quoting(dialect.quoting)
            .buffer_capacity(1 << 16)
            .from_reader(Meter { input: text.input, taken: Rc::clone(&taken) });
        let mut reader = Self { path: text.path, columns: Vec::new(), rows, taken, line: 0 };
        let mut header = ByteRecord::new();
        reader.next_record(&mut header)?;
        reader.columns = reader.named(&header)?;
        Ok(reader)
    }

    /// Gives way to headers of other kinds.
    pub(super) const fn columns_mut(&mut self) -> &mut Vec<Field> {
        &mut self.columns
    }

    fn named(&self, header: &ByteRecord) -> Result<Vec<Field>, Error> {
        let mut columns: Vec<Field> = Vec::with_capacity(header.len());
        for (i, name) in header.iter().enumerate() {
            let name = str::from_utf8(name)
                .map_err(|_| self.fault(RowFault::Utf8 { column: (i + 1).to_string() }))?
                .trim();
            let name = if name.is_empty() { format!("column_{}", i + 1) } else { name.into() };
            if columns.iter().any(|c| c.name == name) {
                return Err(Error::DuplicateColumn { path: self.path.clone(), name });
            }
            columns.push(Field::any(name));
        }
        Ok(columns)
    }

    fn next_record(&mut self, row: &mut ByteRecord) -> Result<bool, Error> {
        self.taken.by_row.set(0);
        match self.rows.read_byte_record(row) {
            Ok(found) => {
                self.line = row.position().map_or(self.line, csv::Position::line);
                match self.unclosed(row).filter(|_| found) {
                    Some(line) => Err(Error::UnclosedQuote { path: self.path.clone(), line }),
                    None => Ok(found),
                }
            }
            Err(error) => {
                self.line = self.rows.position().line();
                Err(match error.into_kind() {
                    ErrorKind::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                        self.fault(too_long())
                    }
                    ErrorKind::Io(e) => broken_input(&self.path, self.line, e),
                    other => {
                        let why = format!("{other:?}");
                        Error::Damaged { path: self.path.clone(), line: self.line, why }
                    }
                })
            }
        }
    }

    /// Returns the line where the last field of `row` began, if its quote is still open at the end of the file: only
    /// then does a row take both line ends that [`Meter`] adds there.
    fn unclosed(&self, row: &ByteRecord) -> Option<u64> {
        let position = self.rows.position();
        (position.byte() > self.taken.end.get()?.saturating_add(1)).then(|| {
            let field = row.iter().next_back().unwrap_or_default();
            let lines = field.iter().filter(|&&byte| byte == b'\n').count() as u64;
            position.line().saturating_sub(lines)
        })
    }

    fn fault(&self, fault: RowFault) -> Error {
        Error::Row { path: self.path.clone(), place: self.place(), fault }
    }
}

impl Reader for Delimited {
    fn columns(&self) -> &[Field] {
        &self.columns
    }

    fn read(&mut self, row: &mut ByteRecord) -> Result<bool, Error> {
        if !self.next_record(row)? {
            return Ok(false);
        }
        if row.len() == self.columns.len() {
            return Ok(true);
        }
        let fault = RowFault::Fields { found: row.len(), expected: self.columns.len() };
        Err(self.fault(fault))
    }

    fn place(&self) -> Place {
        Place::Line(self.line)
    }
}

/// Bytes handed to the parser.
#[derive(Default)]
struct Taken {
    /// Since the last row ended.
    by_row: Cell<usize>,
    all: Cell<u64>,
    /// Where the file ended, once it has.
    end: Cell<Option<u64>>,
}

/// Refuses to hand on more bytes than a row may have, and adds two line ends to the file.
struct Meter {
    input: Box<dyn BufRead>,
    taken: Rc<Taken>,
}

/// The first ends a row that the file leaves open, the second is a blank line; an open quote takes both.
const END: &[u8] = b"\n\n";

impl Read for Meter {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let by_row = self.taken.by_row.get();
        if by_row > MAX_ROW_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let n = self.input.read(buffer)?;
        self.taken.by_row.set(by_row + n);
        self.taken.all.set(self.taken.all.get() + n as u64);
        if n == 0 && buffer.len() >= END.len() && self.taken.end.get().is_none() {
            self.taken.end.set(Some(self.taken.all.get()));
            buffer[..END.len()].copy_from_slice(END);
            return Ok(END.len());
        }
        Ok(n)
    }
}

/// Chooses the separator that gives known column names, then equal rows, then many fields.
fn sniff(text: &Text) -> Dialect {
    let lines: Vec<&[u8]> = text.first_lines().take(2).collect();
    let score = |&separator: &u8| {
        let header = fields(lines.first().copied().unwrap_or_default(), separator);
        let second = lines.get(1).map(|line| fields(line, separator).len());
        let names: Vec<String> =
            header.iter().map(|f| String::from_utf8_lossy(f).trim_matches('"').into()).collect();
        let known = if header.len() > 1 { schema::known_names(&names) } else { 0 };
        (known, second == Some(header.len()), header.len())
    };
    // `max_by_key` returns the last of equals, so the usual separator comes last.
    let separator = SEPARATORS.into_iter().rev().max_by_key(score).unwrap_or(b',');
    let quoting = separator != b'\t' || text.first_lines().any(|line| has_quoted(line, separator));
    Dialect { separator, quoting }
}

/// Splits a line at separators outside quotes.
fn fields(line: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut quoted = false;
    line.split(|&b| {
        quoted ^= b == b'"';
        b == separator && !quoted
    })
    .collect()
}

fn has_quoted(line: &[u8], separator: u8) -> bool {
    line.split(|&b| b == separator)
        .any(|f| f.len() > 1 && f.starts_with(b"\"") && f.ends_with(b"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Part;

    fn text(content: &str) -> Text {
        let bytes = content.as_bytes().to_vec();
        Text {
            path: "x.csv".into(),
            part: Part::Interactions,
            input: Box::new(io::Cursor::new(bytes.clone())),
            head: bytes,
        }
    }

    fn read_all(content: &str) -> (Vec<String>, Vec<Vec<String>>) {
        let mut reader = Delimited::open(text(content)).unwrap();
        let (mut rows, mut row) = (Vec::new(), ByteRecord::new());
        while reader.read(&mut row).unwrap() {
            rows.push(row.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect());
        }
        (reader.columns.iter().map(|c| c.name.clone()).collect(), rows)
    }

    #[test]
    fn every_usual_separator_is_found() {
        for separator in [",", ";", "\t", "|"] {
            let content = "user_id,item_id,note\n1,2,x\n".replace(',', separator);
            let (columns, rows) = read_all(&content);
            assert_eq!(columns, ["user_id", "item_id", "note"], "{separator:?}");
            assert_eq!(rows, [["1", "2", "x"]], "{separator:?}");
        }
    }

    #[test]
    fn quotes_bom_and_windows_line_ends_are_understood() {
        let (columns, rows) =
            read_all("\u{feff}item_id,title\r\n1,\"A \"\"B\"\", c\nnext line\"\r\n\r\n2,\r\n");
        assert_eq!(columns, ["item_id", "title"]);
        assert_eq!(rows, [["1", "A \"B\", c\nnext line"], ["2", ""]]);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_told_with_the_line_of_its_field() {
        let fails = |content: &str| {
            let (mut row, mut reader) = (ByteRecord::new(), Delimited::open(text(content))?);
            while reader.read(&mut row)? {}
            Ok::<(), Error>(())
        };
        for end in ["", "\n", "\n\n", "\n3,c\n4,d", "\n3,\"\"c\n", "\n3,c\"\""] {
            for start in ["", "\u{feff}"] {
                for newline in ["\n", "\r\n"] {
                    let content = |rows: &str| {
                        format!("{start}item_id,title\n\n\n{rows}{end}").replace('\n', newline)
                    };
                    let line = |rows: &str| match fails(&content(rows)) {
                        Err(Error::UnclosedQuote { line, .. }) => line,
                        other => panic!("{other:?} for {:?}", content(rows)),
                    };
                    assert_eq!(line("1,a\n2,\"b"), 5);
                    assert_eq!(line("\"1\n2\",\"b"), 5, "the field before it has two lines");
                    assert_eq!(line("1,\""), 4);
                }
            }
        }
        assert!(matches!(
            fails("item_id,\"title\n1,a\n"),
            Err(Error::UnclosedQuote { line: 1, .. })
        ));
        for end in ["", "\n", "\r\n", "\r", "\n\n\n", "\n \n", "\n\r\n\r\n"] {
            for last in ["2,b", "2,\"b\"", "2,\"b\n\n\"", "2,b\"", "2,\"\"", "2,\"b\"\"\"", "2,"] {
                let result = fails(&format!("item_id,title\n1,a\n{last}{end}"));
                let blank_counts = end.contains(' ');
                assert!(result.is_ok() || blank_counts, "{result:?} for {last:?} {end:?}");
                assert!(!matches!(result, Err(Error::UnclosedQuote { .. })));
            }
        }
    }

    #[test]
    fn a_stray_quote_in_tab_separated_text_is_a_letter() {
        let (_, rows) = read_all("item_id\ttitle\n1\t\"Weird Al\n2\tb\n");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0][1], "\"Weird Al");
    }

    #[test]
    fn separators_in_titles_do_not_mislead() {
        let (columns, _) = read_all("item_id;title, with comma;text\n1;\"a,b,c,d\";x\n");
        assert_eq!(columns.len(), 3);
    }
}
