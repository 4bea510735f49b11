//! Results to stdout, as a table that pastes into Markdown or as JSON; everything else to stderr.

use std::io::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::args::Format;

/// Prints a line of a result.
pub(crate) fn line(text: impl AsRef<str>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.as_ref())?;
    Ok(out.flush()?)
}

/// Prints lines for people. Titles and ids come from strangers' files, so nothing in them may steer the terminal.
pub(crate) fn text(text: impl AsRef<str>) -> anyhow::Result<()> {
    line(harmless(text.as_ref()))
}

/// Prints a piece of a reply as it comes.
pub(crate) fn piece(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(harmless(text).as_bytes())?;
    out.flush()
}

/// Prints JSON, or what `table` makes for people.
pub(crate) fn result(
    format: Format,
    value: &impl Serialize,
    table: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match format {
        Format::Json => line(serde_json::to_string_pretty(value)?),
        Format::Table => text(table().trim_end()),
    }
}

/// Lays rows out below a header; columns named in `right` are numbers.
pub(crate) fn table(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    right: &[usize],
) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.to_vec());
    for row in rows {
        let cell = |cell: String| harmless(&cell).replace('|', "\\|").replace('\n', " ");
        table.add_row(row.into_iter().map(cell));
    }
    for &index in right {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Puts `�` for characters that a terminal obeys instead of showing them: control characters other than the line end,
/// and those that turn the direction of text. A tab becomes a space.
fn harmless(text: &str) -> String {
    let show = |c: char| match c {
        '\n' => c,
        '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ if c.is_control() => '\u{fffd}',
        _ => c,
    };
    // A line end of Windows is one, not a control character and one.
    text.replace("\r\n", "\n").chars().map(show).collect()
}

/// Prints an error and its causes, each said once.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut said = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !said.contains(&text) {
            said.push_str(&format!("\n  because: {text}"));
        }
    }
    // A closed stderr leaves nobody to tell.
    writeln!(std::io::stderr(), "{}", harmless(&said)).ok();
}

/// Tells people what is going on; not part of the result.
pub(crate) fn note(text: impl AsRef<str>) {
    writeln!(std::io::stderr(), "{}", harmless(text.as_ref())).ok();
}

/// Writes a number with thousands apart.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1000, 1234567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        let hostile = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31mred\rover\u{8}\u{7f}\u{202e}txt.exe";
        let text = table(&["title"], [vec![hostile.into()]], &[]);
        assert!(text.contains("�[2J�]0;owned��31mred�over���txt.exe"), "{text}");
        assert_eq!(harmless("“Amélie” 漢字 👩‍👩‍👧\r\nnext\tword"), "“Amélie” 漢字 👩‍👩‍👧\nnext word");
    }

    #[test]
    fn tables_paste_into_markdown() {
        let text = table(&["model", "n"], [vec!["a|b".into(), "1".into()]], &[1]);
        assert!(text.contains("| model |") && text.contains("a\\|b"), "{text}");
    }
}
