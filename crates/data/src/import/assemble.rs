//! Final numbers: users and items in order of first appearance, those of the side files alone after them.

use tastemaker_core::{Histories, HistoriesBuilder, ItemId};

use super::{
    clean::{Core, note},
    rows::Rows,
};
use crate::{Column, Dropped, Error, Interner, Table, Values};

/// Leaves out what the core left out, and numbers the items anew; rows of users left out vanish.
pub(super) fn renumber(
    old: &Histories,
    core: &Core,
    items: &Numbers,
    users: &Numbers,
) -> Histories {
    let mut rows = HistoriesBuilder::default();
    for (user, row) in old.iter().enumerate() {
        if users.new[user].is_none() {
            continue;
        }
        for i in (0..row.len()).filter(|_| core.users[user]) {
            if let (true, Some(item)) =
                (core.items[row.items[i].index()], items.new[row.items[i].index()])
            {
                rows.push(ItemId(item), row.values[i], row.times[i]);
            }
        }
        rows.end_user();
    }
    for _ in users.from_events..users.total {
        rows.end_user();
    }
    rows.build()
}

/// New numbers of ids.
pub(super) struct Numbers {
    /// By number in the interactions file; `None` when left out.
    pub(super) new: Vec<Option<u32>>,
    /// By row of the side file; `None` when left out.
    pub(super) of_row: Vec<Option<u32>>,
    pub(super) from_events: usize,
    pub(super) total: usize,
}

/// Numbers the ids that stay: those with events first, then those of the side file (`extra`) that nobody touched.
///
/// `active` tells which ids have events left, `core` which may stay at all; with `core_only` an id needs events.
pub(super) fn number(
    ids: &Interner,
    active: &[bool],
    core: &[bool],
    extra: Option<&Interner>,
    core_only: bool,
) -> Numbers {
    let mut next = 0u32;
    let mut take = |stays: bool| {
        stays.then(|| {
            next += 1;
            next - 1
        })
    };
    let in_extra = |id: &str| extra.is_some_and(|e| e.get(id).is_some());
    let new: Vec<Option<u32>> = (ids.iter().zip(active).zip(core))
        .map(|((id, &active), &core)| take(core && (active || (!core_only && in_extra(id)))))
        .collect();
    let from_events = new.iter().flatten().count();
    let of_row = extra.map_or_else(Vec::new, |extra| {
        let row = |id| match ids.get(id) {
            Some(old) => new[old as usize],
            None => take(!core_only),
        };
        extra.iter().map(row).collect()
    });
    Numbers { new, of_row, from_events, total: next as usize }
}

/// Builds the final table: fields of the side file under the new numbers.
pub(super) fn table(
    ids: &Interner,
    numbers: &Numbers,
    side: Option<&Rows>,
    what: &str,
    dropped: &mut Vec<Dropped>,
) -> Result<Table, Error> {
    let gone = numbers.new.iter().filter(|n| n.is_none()).count();
    note(dropped, what, "too few events left", gone);
    let Some(side) = side else {
        let left = ids.iter().zip(&numbers.new).filter(|(_, n)| n.is_some()).map(|(id, _)| id);
        return Table::new(distinct(left), Vec::new());
    };
    let unseen = side.table.ids().iter().zip(&numbers.of_row);
    let gone = unseen.filter(|(id, n)| n.is_none() && ids.get(id).is_none()).count();
    note(dropped, what, "no events at all", gone);
    let mut rows: Vec<Option<u32>> = vec![None; numbers.total];
    for (row, new) in (0u32..).zip(&numbers.of_row) {
        if let Some(new) = new {
            rows[*new as usize] = Some(row);
        }
    }
    let mut names: Vec<&str> = vec![""; numbers.total];
    for (id, new) in ids.iter().zip(&numbers.new) {
        if let Some(new) = new {
            names[*new as usize] = id;
        }
    }
    for (name, row) in names.iter_mut().zip(&rows) {
        if let Some(row) = row {
            *name = side.table.ids().name(*row);
        }
    }
    let gather = |c: &Column| Column { name: c.name.clone(), values: c.values.gather(&rows) };
    let columns = side.table.columns().iter().map(gather).collect();
    Table::new(distinct(names), columns)
}

/// Counts the ids with events that the side file does not have.
pub(super) fn undescribed(numbers: &Numbers, table: &Table, side: Option<&Rows>) -> usize {
    let Some(side) = side else { return 0 };
    let known = |id: &&str| side.table.ids().get(id).is_some();
    numbers.from_events - table.ids().iter().take(numbers.from_events).filter(known).count()
}

fn distinct<'a>(ids: impl IntoIterator<Item = &'a str>) -> Interner {
    Interner::from_ids(ids).expect("ids that were interned are distinct")
}

/// Tells of each id whether it has events left.
pub(super) fn active(histories: &Histories, core: &Core) -> (Vec<bool>, Vec<bool>) {
    let mut users = vec![false; core.users.len()];
    let mut items = vec![false; core.items.len()];
    for (user, row) in histories.iter().enumerate().filter(|&(user, _)| core.users[user]) {
        for item in row.items.iter().filter(|i| core.items[i.index()]) {
            users[user] = true;
            items[item.index()] = true;
        }
    }
    (users, items)
}

/// Counts rows of a table without any value.
pub(super) fn empty_columns(table: &Table) -> Vec<&str> {
    let is_empty = |values: &Values| (0..values.len()).all(|row| values.is_missing(row));
    table.columns().iter().filter(|c| is_empty(&c.values)).map(|c| c.name.as_str()).collect()
}
