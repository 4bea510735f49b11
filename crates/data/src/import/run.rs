//! The import from end to end.

use std::{collections::BTreeMap, fs, path::Path};

use tastemaker_core::{EARLIEST_CLOCK, Histories, Progress};

use super::{
    ImportOptions, Sources, assemble, clean,
    events::{self, Events},
    rows::{self, Rows},
};
use crate::{
    Counts, Dropped, Error, MANIFEST_FORMAT, MANIFEST_VERSION, Manifest, Part, SourceRecord, Table,
    TimeUnit,
    error::shorten,
    folder::{self, Staging},
};

/// Imports `sources` into the data-set folder `out`, which is absent, empty or a data set to be replaced.
///
/// After an error `out` is as it was before.
pub fn import(
    sources: &Sources,
    options: &ImportOptions,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Manifest, Error> {
    check_sources(sources, out)?;
    let staging = Staging::open(out, MANIFEST_FORMAT)?;
    let (records, parts) = rayon::join(|| checksums(sources), || read(sources, options, progress));
    let (parts, records) = (parts?, records?);
    let data = assemble(&parts, options)?;
    progress.report("writing", 0, 1);
    let mut manifest = describe(&parts, &data, options, out);
    for (record, (part, rows)) in records.into_iter().zip(parts.described(sources)) {
        manifest.sources.push(SourceRecord { part: part.name().into(), ..record.with(rows) });
    }
    manifest.files = write(&staging, &parts, &data)?;
    let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
    staging.put(folder::MANIFEST, &text)?;
    staging.commit()?;
    progress.report("writing", 1, 1);
    Ok(manifest)
}

/// Refuses sources that cannot be read twice, and those that the import itself would delete.
fn check_sources(sources: &Sources, out: &Path) -> Result<(), Error> {
    for path in paths(sources) {
        let about = fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        if about.is_dir() {
            return Err(Error::IsFolder { path: path.into() });
        }
        if !about.is_file() {
            return Err(Error::NotAFile { path: path.into() });
        }
    }
    let Ok(target) = fs::canonicalize(out) else { return Ok(()) };
    for path in paths(sources) {
        let real = fs::canonicalize(path).map_err(|e| Error::io("read", path, e))?;
        if real.starts_with(&target) && real != target {
            return Err(Error::InsideTarget { path: path.into(), out: out.into() });
        }
    }
    Ok(())
}

/// The files as they were read.
struct Parts {
    events: Events,
    items: Option<Rows>,
    users: Option<Rows>,
}

/// The data as it will be written.
struct Assembled {
    histories: Histories,
    items: Table,
    users: Table,
    dropped: Vec<Dropped>,
    problems: Vec<String>,
    time: TimeUnit,
}

fn read(
    sources: &Sources,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Parts, Error> {
    let side = |path: &Option<std::path::PathBuf>, part| {
        path.as_ref().map(|path| rows::read(path, part, sources, options, progress)).transpose()
    };
    let items = side(&sources.items, Part::Items)?;
    let users = side(&sources.users, Part::Users)?;
    let catalogue = items.as_ref().map(|rows| rows.table.ids());
    let events = events::read(sources, options, catalogue, progress)?;
    Ok(Parts { events, items, users })
}

fn assemble(parts: &Parts, options: &ImportOptions) -> Result<Assembled, Error> {
    let events = &parts.events;
    let mut dropped = Vec::new();
    for side in [&parts.items, &parts.users].into_iter().flatten() {
        dropped.extend_from_slice(&side.dropped);
    }
    dropped.extend_from_slice(&events.dropped);
    let refused: usize = events.dropped.iter().map(|d| d.count).sum();
    let unknown = events.rows_read - refused - events.user.len();
    clean::note(&mut dropped, "events", "the item is not in the items file", unknown);
    let old = clean::histories(events, options, &mut dropped);
    let core = clean::core(&old, events.items.len(), options);
    let (active_users, active_items) = assemble::active(&old, &core);
    let core_only = options.k_core > 1;
    let ids = |side: &'_ Option<Rows>| side.as_ref().map(|rows| rows.table.ids().clone());
    let items = assemble::number(
        &events.items,
        &active_items,
        &core.items,
        ids(&parts.items).as_ref(),
        core_only,
    );
    let users = assemble::number(
        &events.users,
        &active_users,
        &core.users,
        ids(&parts.users).as_ref(),
        core_only || options.min_history > 0,
    );
    let histories = assemble::renumber(&old, &core, &items, &users);
    let lost = old.n_events() - histories.n_events();
    clean::note(&mut dropped, "events", "the user or item has too few events", lost);
    if histories.n_events() == 0 {
        let dropped = dropped.iter().map(ToString::to_string).collect();
        return Err(Error::NothingLeft { read: events.rows_read, dropped });
    }
    let item_table =
        assemble::table(&events.items, &items, parts.items.as_ref(), "items", &mut dropped)?;
    let user_table =
        assemble::table(&events.users, &users, parts.users.as_ref(), "users", &mut dropped)?;
    let bare = [
        ("items", assemble::undescribed(&items, &item_table, parts.items.as_ref())),
        ("users", assemble::undescribed(&users, &user_table, parts.users.as_ref())),
    ];
    let time = time_unit(events, &histories);
    let problems = problems(events, &bare, time, &[&item_table, &user_table]);
    Ok(Assembled { histories, items: item_table, users: user_table, dropped, problems, time })
}

/// Tells dates from positions.
fn time_unit(events: &Events, histories: &Histories) -> TimeUnit {
    let latest = histories.events().times.iter().copied().max().unwrap_or(0);
    let is_clock = events.unit != TimeUnit::Order && latest >= EARLIEST_CLOCK;
    if is_clock { events.unit } else { TimeUnit::Order }
}

fn problems(
    events: &Events,
    bare: &[(&str, usize)],
    time: TimeUnit,
    tables: &[&Table],
) -> Vec<String> {
    let mut all = Vec::new();
    for (what, count) in bare.iter().filter(|(_, count)| *count > 0) {
        all.push(format!(
            "{count} {what} with events are not in the {what} file; they were added without fields"
        ));
    }
    if events.without_time > 0 {
        all.push(format!(
            "{} events have no time; they are taken for each user's oldest",
            events.without_time
        ));
    }
    if time == TimeUnit::Order {
        all.push(
            "events have an order but no clock time; a split by time compares positions".into(),
        );
    }
    for name in tables.iter().flat_map(|table| assemble::empty_columns(table)) {
        all.push(format!("column `{}` has no value at all", shorten(name)));
    }
    all
}

fn describe(parts: &Parts, data: &Assembled, options: &ImportOptions, out: &Path) -> Manifest {
    let folder = out.file_name().map(|name| name.to_string_lossy().into_owned());
    Manifest {
        format: MANIFEST_FORMAT.into(),
        version: MANIFEST_VERSION,
        name: options.name.clone().or(folder).unwrap_or_else(|| "data".into()),
        counts: Counts {
            users: data.users.len(),
            items: data.items.len(),
            events: data.histories.n_events(),
            rows_read: parts.events.rows_read,
        },
        time: data.time,
        files: BTreeMap::new(),
        sources: Vec::new(),
        options: options.clone(),
        dropped: data.dropped.clone(),
        problems: data.problems.clone(),
    }
}

fn write(
    staging: &Staging,
    parts: &Parts,
    data: &Assembled,
) -> Result<BTreeMap<String, crate::FileRecord>, Error> {
    let id_name = |side: &Option<Rows>, usual: &str| {
        side.as_ref().map_or_else(|| usual.to_owned(), |rows| rows.id_name.clone())
    };
    let (events, tables) = rayon::join(
        || folder::encode_events(&data.histories),
        || {
            let items = folder::encode_table(&data.items, &id_name(&parts.items, "item_id"))?;
            let users = folder::encode_table(&data.users, &id_name(&parts.users, "user_id"))?;
            Ok((items, users))
        },
    );
    let encoded = |e: parquet::errors::ParquetError| Error::Parquet {
        path: folder::EVENTS.into(),
        why: e.to_string(),
    };
    let (items, users) = tables.map_err(encoded)?;
    let files = [
        (folder::EVENTS, events.map_err(encoded)?),
        (folder::ITEMS, items),
        (folder::USERS, users),
    ];
    files.into_iter().map(|(name, bytes)| Ok((name.into(), staging.put(name, &bytes)?))).collect()
}

/// Checksum of a source with its path.
struct Record {
    path: std::path::PathBuf,
    file: crate::FileRecord,
}

impl Record {
    fn with(self, (format, columns): (crate::Format, Vec<crate::ColumnUse>)) -> SourceRecord {
        SourceRecord {
            part: String::new(),
            path: self.path,
            format: format.name().into(),
            bytes: self.file.bytes,
            sha256: self.file.sha256,
            columns,
        }
    }
}

impl Parts {
    /// Lists what was read, in the order of [`paths`].
    fn described(&self, sources: &Sources) -> Vec<(Part, (crate::Format, Vec<crate::ColumnUse>))> {
        let side = |rows: &Option<Rows>| rows.as_ref().map(|r| (r.format, r.uses.clone()));
        let all = [
            (Part::Interactions, Some((self.events.format, self.events.uses.clone()))),
            (Part::Items, side(&self.items)),
            (Part::Users, side(&self.users)),
        ];
        debug_assert_eq!(
            all.iter().filter(|(_, r)| r.is_some()).count(),
            paths(sources).count(),
            "what was named was read"
        );
        all.into_iter().filter_map(|(part, read)| read.map(|read| (part, read))).collect()
    }
}

fn paths(sources: &Sources) -> impl Iterator<Item = &Path> {
    let side = [sources.items.as_deref(), sources.users.as_deref()];
    std::iter::once(sources.interactions.as_path()).chain(side.into_iter().flatten())
}

fn checksums(sources: &Sources) -> Result<Vec<Record>, Error> {
    paths(sources)
        .map(|path| Ok(Record { path: path.into(), file: folder::checksum(path)? }))
        .collect()
}
