//! The report as one page that needs nothing else: styles and drawings inside, no script, no network.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
    path::Path,
};

use serde_json::Value;

use super::{
    Report,
    figures::figures,
    plot,
    tables::{Table, probability, signed, tables, verdict},
};
use crate::{Error, interop::write_atomically};

const STYLE: &str = include_str!("page.css");

/// Writes [`to_html`] to a file.
pub fn write_html(path: &Path, report: &Report) -> Result<(), Error> {
    let page = to_html(report)?;
    write_atomically(path, |out| out.write_all(page.as_bytes()))
}

/// Returns the report as one HTML page.
pub fn to_html(report: &Report) -> Result<String, Error> {
    let figures = figures(report)?;
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = compose(&mut page, report, &figures);
    Ok(page)
}

fn compose(page: &mut String, report: &Report, figures: &[super::figures::Figure]) -> fmt::Result {
    let title = escaped(if report.title.is_empty() { "Evaluation" } else { &report.title });
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n",
        tokens()
    )?;
    if let Some(sentence) = headline(report) {
        writeln!(page, "<p class=\"lead\">{}</p>", escaped(&sentence))?;
    }
    if let Some(warning) = report.warning() {
        writeln!(page, "<p class=\"warning\" role=\"note\">{}</p>", escaped(&warning))?;
    }
    for (label, value) in [("Data", &report.data), ("Protocol", &report.protocol)] {
        facts(page, label, value)?;
    }
    page.push_str("</header>\n");
    for figure in figures {
        writeln!(
            page,
            "<section>\n<h2>{}</h2>\n<figure>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{0}\">\n{}</div>\n\
             <figcaption>{}</figcaption>\n</figure>\n</section>",
            escaped(&figure.title),
            figure.svg,
            escaped(&figure.caption)
        )?;
    }
    page.push_str("<section>\n<h2>All numbers</h2>\n");
    for table in tables(report) {
        write_table(page, &table)?;
    }
    page.push_str("</section>\n");
    settings(page, report)?;
    if !report.notes.is_empty() {
        page.push_str("<section>\n<h2>Notes</h2>\n<ul>\n");
        for note in &report.notes {
            writeln!(page, "<li>{}</li>", escaped(note))?;
        }
        page.push_str("</ul>\n</section>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

/// Says in one sentence who leads, and whether that is sure.
fn headline(report: &Report) -> Option<String> {
    let lead = report.lead()?;
    let stat = |row: &super::ModelRow| row.metrics.get(&lead).copied();
    let (best, stat) = report
        .models
        .iter()
        .rev()
        .filter_map(|row| Some((row, stat(row)?)))
        .max_by(|a, b| a.1.mean.total_cmp(&b.1.mean))?;
    let mut text = format!(
        "{} leads with {lead} {:.4} (95 % interval {:.4} to {:.4})",
        best.name, stat.mean, stat.low, stat.high
    );
    match report.tests.iter().find(|test| test.model == best.name) {
        Some(test) => {
            let _ = write!(
                text,
                ", {} against {}: {} (p {}, Holm-corrected).",
                signed(test.difference),
                test.against,
                verdict(test),
                probability(test.p_holm)
            );
        }
        None => text.push('.'),
    }
    Some(text)
}

fn facts(page: &mut String, label: &str, value: &Value) -> fmt::Result {
    let facts = Report::facts(value);
    if facts.is_empty() {
        return Ok(());
    }
    write!(page, "<section class=\"facts\" aria-label=\"{label}\">\n<h2>{label}</h2>\n<dl>\n")?;
    for (key, value) in facts {
        let key = escaped(&key.replace('_', " "));
        writeln!(page, "<div><dt>{key}</dt><dd>{}</dd></div>", escaped(&value))?;
    }
    page.push_str("</dl>\n</section>\n");
    Ok(())
}

fn write_table(page: &mut String, table: &Table) -> fmt::Result {
    let caption = escaped(&table.caption);
    write!(
        page,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\n<table>\n<caption>{caption}"
    )?;
    if !table.note.is_empty() {
        write!(page, "<span>{}</span>", escaped(&table.note))?;
    }
    page.push_str("</caption>\n<thead><tr>");
    for column in &table.columns {
        let class = if column.is_number { " class=\"number\"" } else { "" };
        write!(page, "<th scope=\"col\"{class}>{}</th>", escaped(&column.head))?;
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in 0..table.columns.first().map_or(0, |column| column.cells.len()) {
        page.push_str("<tr>");
        for (j, column) in table.columns.iter().enumerate() {
            let cell = escaped(&column.cells[row]);
            let class = if column.is_number { " class=\"number\"" } else { "" };
            match (j, column.best[row]) {
                (0, _) => write!(page, "<th scope=\"row\">{cell}</th>")?,
                (_, true) => write!(page, "<td{class}><strong>{cell}</strong></td>")?,
                (_, false) => write!(page, "<td{class}>{cell}</td>")?,
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
    Ok(())
}

fn settings(page: &mut String, report: &Report) -> fmt::Result {
    let rows: Vec<_> = report.models.iter().filter(|row| !row.settings.is_null()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    page.push_str("<section>\n<h2>Settings</h2>\n");
    for row in rows {
        let json = serde_json::to_string_pretty(&row.settings).unwrap_or_default();
        writeln!(
            page,
            "<details><summary>{}</summary><pre>{}</pre></details>",
            escaped(&row.name),
            escaped(&json)
        )?;
    }
    page.push_str("</section>\n");
    Ok(())
}

/// Makes text harmless inside elements and attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && !c.is_whitespace() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Lets the drawings follow the page from light to dark: each colour token becomes a variable of the style sheet.
fn tokens() -> String {
    let named =
        [(plot::INK, "ink"), (plot::MUTED, "muted"), (plot::GRID, "grid"), (plot::PAPER, "paper")];
    let named = named.into_iter().map(|(colour, name)| (colour, name.to_owned()));
    let series = plot::SERIES.into_iter().enumerate().map(|(j, c)| (c, format!("series-{j}")));
    let mut css = String::new();
    for (colour, name) in named.chain(series) {
        let hex = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        let _ = writeln!(
            css,
            "svg [fill=\"{hex}\"] {{ fill: var(--{name}, {hex}); }}\nsvg [stroke=\"{hex}\"] {{ stroke: var(--{name}, {hex}); }}"
        );
    }
    css
}
