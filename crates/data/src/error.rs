//! What can be wrong with data: always with the place, and with what to do about it.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{MANIFEST_VERSION, schema::Part};

/// Says why data could not be read, written or split.
#[derive(Debug, Error)]
pub enum Error {
    /// The file or folder is not there.
    #[error("{} does not exist: check the path", .path.display())]
    NotFound {
        /// What was looked for.
        path: PathBuf,
    },
    /// A folder stands where a file was expected.
    #[error("{} is a folder: name the file inside it", .path.display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A pipe, a socket or a device stands where a file was expected.
    #[error("{} is a pipe or a device, which can be read only once: save it to a file first", .path.display())]
    NotAFile {
        /// What it is.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was tried, such as "read".
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No room is left.
    #[error("disk full while writing {}: free some space, or choose another --out", .path.display())]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },
    /// A compressed file ends in the middle or is damaged.
    #[error(
        "{} is cut off or damaged after {} ({why}): download or copy it again",
        .path.display(),
        Place::lines(*.line)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The last line that could be read.
        line: u64,
        /// What the decoder said.
        why: String,
    },
    /// A Parquet file cannot be decoded.
    #[error("{} is no readable Parquet file ({why}): it may be cut off; write or copy it again", .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        why: String,
    },
    /// The file has no bytes, or blank lines only.
    #[error("{} is empty: expected {}", .path.display(), .part.expects())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should have held.
        part: Part,
    },
    /// A header and nothing after it.
    #[error("{} has a header (columns {}) but no rows: expected {}", .path.display(), list(.found), .part.expects())]
    HeaderOnly {
        /// The file.
        path: PathBuf,
        /// What it should have held.
        part: Part,
        /// Columns of the header.
        found: Vec<String>,
    },
    /// A needed column is missing.
    #[error(
        "{}, line 1: no {role} column among {}; say which one it is with {flag} NAME{}",
        .path.display(),
        list(.found),
        if .found.len() == 1 { " (one column only: are fields separated by something else than comma, tab, `;` or `|`?)" } else { "" }
    )]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// What the column was wanted for.
        role: &'static str,
        /// The flag that names it.
        flag: &'static str,
        /// Columns there are.
        found: Vec<String>,
    },
    /// A column named by the user is not in the file.
    #[error(
        "{}, line 1: no column `{wanted}` (given by {flag}); columns are {}{}",
        .path.display(),
        list(.found),
        hint(.nearest.as_deref())
    )]
    NoSuchColumn {
        /// The file.
        path: PathBuf,
        /// The name given.
        wanted: String,
        /// The flag that gave it.
        flag: &'static str,
        /// Columns there are.
        found: Vec<String>,
        /// The one most like it.
        nearest: Option<String>,
    },
    /// A column is given for one thing and leaves another without a column.
    #[error(
        "{}, line 1: column `{column}` is given by {given}, which leaves no {role} column: name another one with {flag} NAME",
        .path.display()
    )]
    SharedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The flag that gives it.
        given: &'static str,
        /// What is left without a column.
        role: &'static str,
        /// The flag that names one for that.
        flag: &'static str,
    },
    /// Two columns have one name.
    #[error("{}, line 1: column `{name}` occurs twice: rename one of them", .path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A file has more columns than can be meant.
    #[error("{}, {place}: more than {limit} columns: drop those that are not needed", .path.display())]
    TooManyColumns {
        /// The file.
        path: PathBuf,
        /// Where it was noticed.
        place: Place,
        /// The limit.
        limit: usize,
    },
    /// A row cannot be used.
    #[error("{}, {place}: {fault}", .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Which row.
        place: Place,
        /// What is wrong with it.
        fault: RowFault,
    },
    /// A quote is still open at the end of the file, so that all rows after it are one field.
    #[error(
        "{}, line {line}: the quote that opens a field here is never closed: close it, or write a quote that belongs to the text as `\"\"` inside quotes",
        .path.display()
    )]
    UnclosedQuote {
        /// The file.
        path: PathBuf,
        /// Where the field begins.
        line: u64,
    },
    /// Every row was refused or filtered away.
    #[error("no events are left of {read} read ({}): relax --min-rating, --k-core or --min-history", list(.dropped))]
    NothingLeft {
        /// Rows read.
        read: usize,
        /// Where they went.
        dropped: Vec<String>,
    },
    /// More rows than ids can number.
    #[error("{}: more than 4 294 967 295 {what}: split the data", .path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// Of what.
        what: &'static str,
    },
    /// The target folder holds something else.
    #[error("{} is not empty and {}", .path.display(), occupied(format, .stranger.as_deref()))]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What it would have to be.
        format: &'static str,
        /// Something in it that its manifest does not list, where it is such a folder.
        stranger: Option<String>,
    },
    /// A source would be deleted with the folder that is replaced.
    #[error("{} lies in {}, which the import would replace: choose another --out", .path.display(), .out.display())]
    InsideTarget {
        /// The source.
        path: PathBuf,
        /// The target.
        out: PathBuf,
    },
    /// The new folder could not be put in its place, nor the old one back.
    #[error(
        "cannot write {}: {source}; what was there before is now {}: move it back by hand",
        .path.display(),
        .kept.display()
    )]
    SetAside {
        /// The target.
        path: PathBuf,
        /// Where the old folder is.
        kept: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder cannot be opened as a data set.
    #[error("{} is no data set (it has no manifest.json): make one with `tastemaker import`", .path.display())]
    NoManifest {
        /// The folder.
        path: PathBuf,
    },
    /// The manifest cannot be understood.
    #[error("{} cannot be understood ({why}): import the data again, into another folder", .path.display())]
    Manifest {
        /// The manifest file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The folder is something else than a data set.
    #[error(
        "{} is {}, not a data set: name a folder made by `tastemaker import`",
        .path.display(),
        .format.as_ref().map_or_else(|| "of another program".into(), |format| format!("a {format}"))
    )]
    NotADataset {
        /// The folder.
        path: PathBuf,
        /// What its manifest calls itself.
        format: Option<String>,
    },
    /// The data set was written by another version.
    #[error(
        "{} is of version {version}, and this tastemaker reads version {MANIFEST_VERSION}: import the data again",
        .path.display()
    )]
    OtherVersion {
        /// The manifest file.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// A file of a data set is not what the manifest says.
    #[error("{} was changed after the import ({why}): import the data again", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// An id exists already.
    #[error("item `{id}` exists already: choose another id")]
    ItemExists {
        /// The id.
        id: String,
    },
    /// A new item's id is empty or too long.
    #[error("an item id has 1 to {limit} bytes, this one has {len}")]
    BadId {
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A field is not a column of the table.
    #[error("no field `{name}`; fields are {}{}", list(.fields), hint(.nearest.as_deref()))]
    NoSuchField {
        /// The name given.
        name: String,
        /// The fields there are.
        fields: Vec<String>,
        /// The one most like it.
        nearest: Option<String>,
    },
    /// An expression that cannot be read, or that does not tell yes from no.
    #[error("`{}`: {problem}", shorten(.text))]
    Expression {
        /// The expression.
        text: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A field's text does not fit its column.
    #[error("field `{name}` holds numbers, but `{value}` is none")]
    BadField {
        /// The field.
        name: String,
        /// What was given.
        value: String,
    },
    /// Columns of a table differ in length or an id occurs twice.
    #[error("table is inconsistent at `{name}`: every column needs one value per id")]
    Table {
        /// The column.
        name: String,
    },
    /// A name is none of a fixed set.
    #[error("unknown {what} `{given}`; choose one of {}{}", .known.join(", "), hint(.nearest.as_deref()))]
    Unknown {
        /// What was to be chosen.
        what: &'static str,
        /// The name given.
        given: String,
        /// The names there are.
        known: Vec<&'static str>,
        /// The one most like it.
        nearest: Option<String>,
    },
    /// A setting has an impossible value.
    #[error("`{field}` {problem}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// What it must be.
        problem: String,
    },
    /// The split would leave one part without a single case.
    #[error("the {kind} split finds nobody to test: {why}")]
    NothingToTest {
        /// Name of the split.
        kind: &'static str,
        /// Why, and what to do.
        why: &'static str,
    },
}

/// Says what is wrong with one row.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum RowFault {
    /// Another number of fields than the header has.
    #[error(
        "{found} fields, but the header has {expected}: is a separator missing, or a field not quoted?"
    )]
    Fields {
        /// Fields of this row.
        found: usize,
        /// Fields of the header.
        expected: usize,
    },
    /// Not UTF-8.
    #[error(
        "column `{column}` is no valid UTF-8: convert the file, for instance with `iconv -f latin1 -t utf8`"
    )]
    Utf8 {
        /// The column.
        column: String,
    },
    /// Nobody or nothing is named.
    #[error("column `{column}` is empty: every row needs an id")]
    EmptyId {
        /// The column.
        column: String,
    },
    /// An id is unreasonably long.
    #[error(
        "column `{column}` has an id of {len} bytes, more than {limit}: is this the right column?"
    )]
    LongId {
        /// The column.
        column: String,
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A value in JSON that cannot be told from others, or is none.
    #[error("column `{column}`: `{value}` is {kind}, which is no id: write ids as text in quotes")]
    OddId {
        /// The column.
        column: String,
        /// What stands there.
        value: String,
        /// What kind of value that is.
        kind: &'static str,
    },
    /// A rating is no finite number.
    #[error(
        "column `{column}`: `{value}` is no finite number: leave it empty where there is no rating"
    )]
    Rating {
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// A time cannot be read.
    #[error(
        "column `{column}`: `{value}` is no time: expected unix seconds, milliseconds or ISO 8601"
    )]
    Time {
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// A time lies before 1970.
    #[error("column `{column}`: time `{value}` is negative: expected seconds since 1970")]
    NegativeTime {
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// A time lies beyond the year 2200 in every unit.
    #[error(
        "column `{column}`: time `{value}` lies beyond the year 2200 in seconds, milliseconds and microseconds"
    )]
    AbsurdTime {
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// Two units in one column.
    #[error(
        "column `{column}`: time `{value}` is in {unit}, but earlier rows are in {before}: use one unit"
    )]
    MixedUnits {
        /// The column.
        column: String,
        /// What stands there.
        value: String,
        /// Its unit.
        unit: &'static str,
        /// The unit of the rows before.
        before: &'static str,
    },
    /// A line is too long to be meant.
    #[error("the row is longer than {limit_mb} MB: is a closing quote or a line end missing?")]
    TooLong {
        /// The limit.
        limit_mb: usize,
    },
    /// A line of JSON cannot be parsed.
    #[error("no valid JSON object: {why}")]
    Json {
        /// What the parser said.
        why: String,
    },
    /// An id was seen before.
    #[error("column `{column}`: id `{id}` was given before: every {what} has one row")]
    DuplicateId {
        /// The column.
        column: String,
        /// The id.
        id: String,
        /// Item or user.
        what: &'static str,
    },
    /// An event names an item the items file does not have.
    #[error(
        "item `{id}` is not in the items file: add it there, or let --unknown-items add or drop it"
    )]
    UnknownItem {
        /// The id.
        id: String,
    },
}

impl RowFault {
    /// Names the kind of fault, for counting.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Fields { .. } => "wrong number of fields",
            Self::Utf8 { .. } => "broken UTF-8",
            Self::EmptyId { .. } => "empty id",
            Self::LongId { .. } => "over-long id",
            Self::OddId { .. } => "JSON value that is no id",
            Self::Rating { .. } => "rating is no finite number",
            Self::Time { .. } => "unreadable time",
            Self::NegativeTime { .. } => "negative time",
            Self::AbsurdTime { .. } => "time beyond the year 2200",
            Self::MixedUnits { .. } => "time in another unit",
            Self::TooLong { .. } => "over-long row",
            Self::Json { .. } => "no valid JSON object",
            Self::DuplicateId { .. } => "id given before",
            Self::UnknownItem { .. } => "item not in the items file",
        }
    }
}

/// Says which row of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a text file, from 1.
    Line(u64),
    /// A row of a table without lines, from 1.
    Row(u64),
}

impl Place {
    fn lines(line: u64) -> String {
        if line == 0 { "its start".into() } else { format!("line {line}") }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(n) => write!(f, "line {n}"),
            Self::Row(n) => write!(f, "row {n}"),
        }
    }
}

impl Error {
    /// Wraps what the system said about reading or writing `path`.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            io::ErrorKind::IsADirectory => Self::IsFolder { path },
            _ => Self::Io { doing, path, source },
        }
    }
}

fn occupied(format: &str, stranger: Option<&str>) -> String {
    match stranger {
        None => format!("no {format} folder: choose another --out"),
        Some(name) => format!(
            "holds `{name}`, which is not part of its {format}: choose another --out, or move `{name}` out of it"
        ),
    }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 30;
    if names.is_empty() {
        return "none".into();
    }
    let mut text: Vec<String> =
        names.iter().take(SHOWN).map(|n| format!("`{}`", shorten(n))).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default()
}

/// Cuts what stands in a file to a length fit for a message.
pub(crate) fn shorten(text: &str) -> String {
    const LIMIT: usize = 60;
    if text.chars().count() <= LIMIT {
        text.into()
    } else {
        text.chars().take(LIMIT).chain(['…']).collect()
    }
}
