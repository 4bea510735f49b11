//! Reader: one file format in, rows of bytes out. Finds the format by name and content, and undoes compression.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use csv::ByteRecord;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Part, Place, RowFault, intern, readers, schema};

/// Reads one file row by row.
pub(crate) trait Reader {
    /// Returns the columns known so far; more may come while rows are read, never fewer.
    fn columns(&self) -> &[Field];

    /// Reads the next row into `row`, false at the end. Fields beyond the end of `row` are missing.
    ///
    /// After [`Error::Row`] the next row can be read, unless the row was too long.
    fn read(&mut self, row: &mut ByteRecord) -> Result<bool, Error>;

    /// Says why the value in a column of the row read last cannot be an id, where its text does not tell.
    fn id_fault(&self, _column: usize) -> Option<RowFault> {
        None
    }

    /// Tells where the row read last began.
    fn place(&self) -> Place;
}

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) hint: Hint,
}

/// What a format says of a column beyond its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Nothing.
    Any,
    /// Tokens separated by spaces.
    Words,
}

impl Field {
    pub(crate) fn any(name: impl Into<String>) -> Self {
        Self { name: name.into(), hint: Hint::Any }
    }
}

/// Names the file formats.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Comma-, tab-, semicolon- or bar-separated values with a header.
    Csv,
    /// One JSON object per line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
    /// `ratings.dat`, `movies.dat`, `users.dat`, `u.data`, `u.item`, `u.user`.
    Movielens,
    /// `RecBole` atomic files: `.inter`, `.item`, `.user`.
    Atomic,
    /// One line per user: user, item, item, …
    Sequences,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] =
        [Self::Csv, Self::Jsonl, Self::Parquet, Self::Movielens, Self::Atomic, Self::Sequences];

    /// Returns the name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
            Self::Movielens => "movielens",
            Self::Atomic => "atomic",
            Self::Sequences => "sequences",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name);
            Error::Unknown {
                what: "format",
                given: name.into(),
                nearest: intern::nearest(name, known).map(Into::into),
                known: known.to_vec(),
            }
        })
    }
}

/// A file opened for reading.
pub(crate) struct Opened {
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) format: Format,
    /// Bytes of the file read so far, and all of them.
    pub(crate) done: Arc<AtomicU64>,
    pub(crate) total: u64,
}

/// Bytes looked at to find the format.
const HEAD_BYTES: u64 = 1 << 16;

/// What stands in a file, before it is read as rows.
pub(crate) enum Source {
    Parquet(Box<readers::Parquet>),
    Text(Format, Text),
}

/// Opens a file; `format` overrules what its name and content say.
pub(crate) fn open(path: &Path, part: Part, format: Option<Format>) -> Result<Opened, Error> {
    let (source, done, total) = source(path, part, format)?;
    let (reader, format): (Box<dyn Reader>, _) = match source {
        Source::Parquet(reader) => (reader, Format::Parquet),
        Source::Text(format, text) => (readers::open(format, text)?, format),
    };
    Ok(Opened { reader, format, done, total })
}

/// Opens a file and finds out what it is; with the bytes read so far, and all of them.
pub(crate) fn source(
    path: &Path,
    part: Part,
    format: Option<Format>,
) -> Result<(Source, Arc<AtomicU64>, u64), Error> {
    let failed = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(Error::IsFolder { path: path.into() });
    }
    let (done, total) = (Arc::new(AtomicU64::new(0)), about.len());
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic).map_err(failed)?;
    let bare = bare_name(path);
    let named_parquet = bare.ends_with(".parquet") || bare.ends_with(".pq");
    let is_parquet = format.map_or(magic == b"PAR1" || named_parquet, |f| f == Format::Parquet);
    if is_parquet && !magic.is_empty() {
        let reader = Box::new(readers::Parquet::open(path, file, Arc::clone(&done), total)?);
        return Ok((Source::Parquet(reader), done, total));
    }
    let compression = Compression::of(&magic);
    let raw = Counted { inner: io::Cursor::new(magic).chain(file), done: Arc::clone(&done) };
    let mut input = compression.undo(BufReader::with_capacity(1 << 16, raw)).map_err(failed)?;
    let mut head = Vec::new();
    if let Err(e) = input.by_ref().take(HEAD_BYTES).read_to_end(&mut head) {
        return Err(broken_input(path, 0, e));
    }
    if head.trim_ascii().is_empty() {
        return Err(Error::Empty { path: path.into(), part });
    }
    let format = format.unwrap_or_else(|| detect(&bare, &head, part));
    let text = Text {
        path: path.into(),
        part,
        input: Box::new(io::Cursor::new(head.clone()).chain(input)),
        head,
    };
    Ok((Source::Text(format, text), done, total))
}

/// An uncompressed text file with its first bytes for a look ahead.
pub(crate) struct Text {
    pub(crate) path: PathBuf,
    pub(crate) part: Part,
    pub(crate) input: Box<dyn BufRead>,
    pub(crate) head: Vec<u8>,
}

impl Text {
    /// Returns the complete lines of the head that are not blank, without their ends.
    pub(crate) fn first_lines(&self) -> impl Iterator<Item = &[u8]> {
        lines(&self.head)
    }
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty())
}

/// Largest row of a text file.
pub(crate) const MAX_ROW_BYTES: usize = 16 << 20;

/// Reads a text file line by line, with a limit.
pub(crate) struct Lines {
    pub(crate) path: PathBuf,
    input: Box<dyn BufRead>,
    buffer: Vec<u8>,
    line: u64,
}

impl Lines {
    pub(crate) fn new(text: Text) -> Self {
        Self { path: text.path, input: text.input, buffer: Vec::new(), line: 0 }
    }

    /// Returns the next line that is not blank, without its end.
    pub(crate) fn next_line(&mut self) -> Result<Option<&[u8]>, Error> {
        loop {
            self.buffer.clear();
            let limited = &mut self.input.by_ref().take(MAX_ROW_BYTES as u64 + 1);
            match limited.read_until(b'\n', &mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(_) => self.line += 1,
                Err(e) => return Err(broken_input(&self.path, self.line, e)),
            }
            if self.buffer.len() > MAX_ROW_BYTES {
                return Err(self.fault(too_long()));
            }
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(self.now()))
    }

    /// Returns the line read last.
    pub(crate) fn now(&self) -> &[u8] {
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    pub(crate) fn fault(&self, fault: RowFault) -> Error {
        Error::Row { path: self.path.clone(), place: Place::Line(self.line), fault }
    }
}

pub(crate) const fn too_long() -> RowFault {
    RowFault::TooLong { limit_mb: MAX_ROW_BYTES >> 20 }
}

/// Tells a damaged compressed stream from a failure of the system.
pub(crate) fn broken_input(path: &Path, line: u64, error: io::Error) -> Error {
    if error.raw_os_error().is_some() {
        Error::io("read", path, error)
    } else {
        Error::Damaged { path: path.into(), line, why: error.to_string() }
    }
}

/// Returns the file's name in lower case, without the ending of a compressed file.
fn bare_name(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let bare = [".gz", ".gzip", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end));
    bare.unwrap_or(&name).into()
}

fn detect(name: &str, head: &[u8], part: Part) -> Format {
    let ends = |endings: &[&str]| endings.iter().any(|end| name.ends_with(end));
    if ends(&[".jsonl", ".ndjson", ".json"]) {
        return Format::Jsonl;
    }
    let first = lines(head).next().unwrap_or_default();
    if first.starts_with(b"{") && !ends(&[".csv", ".tsv"]) {
        return Format::Jsonl;
    }
    if readers::is_atomic(first) {
        return Format::Atomic;
    }
    if readers::is_movielens(name, first) {
        return Format::Movielens;
    }
    let separated = ends(&[".csv", ".tsv"]) || first.iter().any(|b| b",;\t|".contains(b));
    let text = String::from_utf8_lossy(first);
    let words: Vec<String> = text.split_whitespace().map(Into::into).collect();
    let is_sequences = part == Part::Interactions
        && !separated
        && words.len() >= 2
        && schema::known_names(&words) == 0;
    if is_sequences { Format::Sequences } else { Format::Csv }
}

enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::None,
        }
    }

    fn undo(self, raw: impl BufRead + 'static) -> io::Result<Box<dyn BufRead>> {
        let plain: Box<dyn Read> = match self {
            Self::None => return Ok(Box::new(raw)),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(raw)?),
        };
        Ok(Box::new(BufReader::with_capacity(1 << 16, plain)))
    }
}

/// Counts the bytes that pass.
struct Counted<R> {
    inner: R,
    done: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.done.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_seen_by_name_and_by_content() {
        let seen = |name: &str, head: &str| detect(name, head.as_bytes(), Part::Interactions);
        assert_eq!(seen("log.txt", "{\"user_id\": 1}\n"), Format::Jsonl);
        assert_eq!(seen("x.inter", "user_id:token\titem_id:token\n"), Format::Atomic);
        assert_eq!(seen("ratings.dat", "1::1193::5::978300760\n"), Format::Movielens);
        assert_eq!(seen("u.data", "196\t242\t3\t881250949\n"), Format::Movielens);
        assert_eq!(seen("beauty.txt", "1 1 2 3\n2 5 6\n"), Format::Sequences);
        assert_eq!(seen("events", "\u{feff}user_id;item_id\n"), Format::Csv);
        assert_eq!(seen("events.txt", "user_id item_id\n"), Format::Csv);
        assert_eq!(bare_name(Path::new("/x/U.Data.GZ")), "u.data");
    }
}
