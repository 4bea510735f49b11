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

/// Prints JSON, or what `table` makes for people.
pub(crate) fn result(
    format: Format,
    value: &impl Serialize,
    table: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match format {
        Format::Json => line(serde_json::to_string_pretty(value)?),
        Format::Table => line(table().trim_end()),
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
        table.add_row(row.into_iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")));
    }
    for &index in right {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
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
    writeln!(std::io::stderr(), "{said}").ok();
}

/// Tells people what is going on; not part of the result.
pub(crate) fn note(text: impl AsRef<str>) {
    writeln!(std::io::stderr(), "{}", text.as_ref()).ok();
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
    fn tables_paste_into_markdown() {
        let text = table(&["model", "n"], [vec!["a|b".into(), "1".into()]], &[1]);
        assert!(text.contains("| model |") && text.contains("a\\|b"), "{text}");
    }
}
