//! Runs for other people's tools: TREC runs and qrels, and a table of every user's numbers. Outside ids come from
//! closures; files are written beside their place and renamed, so that nobody reads half of one.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tastemaker_core::{ItemId, UserId};

use crate::{Cases, Error, Run};

/// Gives outside ids back.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The id of a user.
    pub user: &'a dyn Fn(UserId) -> String,
    /// The id of an item.
    pub item: &'a dyn Fn(ItemId) -> String,
}

/// Writes the lists of a run as `user Q0 item rank score tag` lines for `trec_eval`, `ranx` and the like.
pub fn write_trec_run(path: &Path, run: &Run, names: &Names<'_>, tag: &str) -> Result<(), Error> {
    let tag = word(tag);
    write_atomically(path, |out| {
        for (user, list) in run.users().iter().zip(run.lists()) {
            let user = word(&(names.user)(*user));
            for (rank, scored) in list.iter().enumerate() {
                let item = word(&(names.item)(scored.item));
                writeln!(out, "{user} Q0 {item} {} {} {tag}", rank + 1, scored.score)?;
            }
        }
        Ok(())
    })
}

/// Writes the targets as `user 0 item 1` lines.
pub fn write_trec_qrels(path: &Path, cases: &Cases<'_>, names: &Names<'_>) -> Result<(), Error> {
    write_atomically(path, |out| {
        for (user, targets) in cases.users.iter().zip(cases.targets.iter()) {
            let user = word(&(names.user)(*user));
            let mut items = targets.items.to_vec();
            items.sort_unstable();
            items.dedup();
            for item in items {
                writeln!(out, "{user} 0 {} 1", word(&(names.item)(item)))?;
            }
        }
        Ok(())
    })
}

/// Writes [`per_user_table`] to a file: tab-separated when its name ends in `.tsv`, else comma-separated.
pub fn write_per_user(path: &Path, runs: &[(&str, &Run)], names: &Names<'_>) -> Result<(), Error> {
    let tabs = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("tsv"));
    let table = per_user_table(runs, names, if tabs { '\t' } else { ',' });
    write_atomically(path, |out| out.write_all(table.as_bytes()))
}

/// Returns a table of one line per model and user: `model`, `user_id`, `candidates`, then a column per metric.
pub fn per_user_table(runs: &[(&str, &Run)], names: &Names<'_>, separator: char) -> String {
    let mut metrics: Vec<_> = runs.iter().flat_map(|(_, run)| run.names()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let mut table = ["model", "user_id", "candidates"].join(&separator.to_string());
    for metric in &metrics {
        let _ = write!(table, "{separator}{metric}");
    }
    table.push('\n');
    for (model, run) in runs {
        let model = quoted(model, separator);
        let candidates = quoted(&run.candidates().to_string(), separator);
        let columns: Vec<Option<&[f64]>> = metrics.iter().map(|name| run.column(*name)).collect();
        for (row, user) in run.users().iter().enumerate() {
            let user = quoted(&(names.user)(*user), separator);
            let _ = write!(table, "{model}{separator}{user}{separator}{candidates}");
            for column in &columns {
                table.push(separator);
                if let Some(column) = column {
                    let _ = write!(table, "{}", column[row]);
                }
            }
            table.push('\n');
        }
    }
    table
}

/// TREC fields end at white space: what an id holds of it becomes `%20` and the like.
fn word(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for c in id.chars() {
        if c.is_whitespace() || c == '%' {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    if out.is_empty() { "-".to_owned() } else { out }
}

fn quoted(field: &str, separator: char) -> String {
    if field.contains([separator, '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Fills a file of a temporary name in the same folder, then renames it.
pub(crate) fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Error> {
    // A device or a pipe (`/dev/stdout`, `/dev/null`) is written to; renaming would put a file in its place.
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let written = fs::OpenOptions::new().write(true).open(path).and_then(|file| {
            let mut out = BufWriter::new(file);
            fill(&mut out)?;
            out.flush()
        });
        return written.map_err(|source| Error::Write { path: path.to_owned(), source });
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part: PathBuf = path.with_file_name(name);
    let written = File::create(&part).and_then(|file| {
        let mut out = BufWriter::new(file);
        fill(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&part, path)
    });
    written.map_err(|source| {
        // The fault to report is the first one, not that of tidying up.
        fs::remove_file(&part).ok();
        Error::Write { path: path.to_owned(), source }
    })
}
