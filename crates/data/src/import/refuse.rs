//! Rows that cannot be used: the first ends the import, or all are counted.

use std::{collections::BTreeMap, path::Path};

use super::BadRows;
use crate::{Dropped, Error, Part, Place, RowFault};

/// Decides on bad rows of one file.
pub(super) struct Refusals<'a> {
    path: &'a Path,
    part: Part,
    policy: BadRows,
    counts: BTreeMap<&'static str, (usize, String)>,
}

impl<'a> Refusals<'a> {
    pub(super) const fn new(path: &'a Path, part: Part, policy: BadRows) -> Self {
        Self { path, part, policy, counts: BTreeMap::new() }
    }

    /// Takes note of a row's fault, or returns it as the end of the import.
    pub(super) fn refuse(&mut self, place: Place, fault: RowFault) -> Result<(), Error> {
        let path = self.path.into();
        self.pass(Error::Row { path, place, fault })
    }

    /// As [`refuse`](Self::refuse) for what a reader returned; other errors than rows' always end the import.
    pub(super) fn pass(&mut self, error: Error) -> Result<(), Error> {
        let Error::Row { place, fault, .. } = &error else { return Err(error) };
        if self.policy == BadRows::Error || matches!(fault, RowFault::TooLong { .. }) {
            return Err(error);
        }
        let first = || (0, format!("{place}: {fault}"));
        self.counts.entry(fault.kind()).or_insert_with(first).0 += 1;
        Ok(())
    }

    /// Counts the rows refused.
    pub(super) fn total(&self) -> usize {
        self.counts.values().map(|(count, _)| count).sum()
    }

    pub(super) fn into_dropped(self) -> Vec<Dropped> {
        let what = format!("rows of the {} file", self.part.name());
        let dropped = self.counts.into_iter().map(|(why, (count, first))| Dropped {
            what: what.clone(),
            why: why.into(),
            count,
            first: Some(first),
        });
        dropped.collect()
    }
}
