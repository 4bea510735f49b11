//! The report for a terminal, in Markdown that may be pasted elsewhere.

use std::fmt::Write as _;

use super::{
    Report,
    tables::{Column, Table, tables},
};

/// Returns the report as aligned Markdown tables; bold marks the best of a column.
pub fn to_table(report: &Report) -> String {
    let mut out = String::new();
    if !report.title.is_empty() {
        let _ = writeln!(out, "# {}\n", report.title);
    }
    for (label, value) in [("Data", &report.data), ("Protocol", &report.protocol)] {
        let facts: Vec<String> = Report::facts(value)
            .into_iter()
            .map(|(key, value)| if key.is_empty() { value } else { format!("{key} {value}") })
            .collect();
        if !facts.is_empty() {
            let _ = writeln!(out, "{label}: {}  ", facts.join(" · "));
        }
    }
    if let Some(warning) = report.warning() {
        let _ = writeln!(out, "\n**{warning}**");
    }
    for table in tables(report) {
        let _ = writeln!(out, "\n## {}\n", table.caption);
        write_table(&mut out, &table);
        if !table.note.is_empty() {
            let _ = writeln!(out, "\n{}", table.note);
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "\n{note}");
    }
    out
}

fn write_table(out: &mut String, table: &Table) {
    let columns: Vec<Vec<String>> = table.columns.iter().map(aligned).collect();
    let n_rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    for row in 0..n_rows {
        let cells: Vec<&str> = columns.iter().map(|cells| cells[row].as_str()).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}

/// Returns heading, rule and cells of a column, all of one width.
fn aligned(column: &Column) -> Vec<String> {
    let marked = column.cells.iter().zip(&column.best).map(|(cell, best)| {
        let cell = cell.replace('|', "\\|").replace(['\n', '\r'], " ");
        if *best { format!("**{cell}**") } else { cell }
    });
    let texts: Vec<String> =
        std::iter::once(column.head.replace('|', "\\|")).chain(marked).collect();
    let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(3);
    let pad = |text: &String| {
        if column.is_number { format!("{text:>width$}") } else { format!("{text:<width$}") }
    };
    let mut cells: Vec<String> = texts.iter().map(pad).collect();
    let rule =
        if column.is_number { format!("{}:", "-".repeat(width - 1)) } else { "-".repeat(width) };
    cells.insert(1, rule);
    cells
}
