//! The frozen, numbered whole: histories, items and users of one data set.

use std::path::Path;

use tastemaker_core::{Histories, ItemId, Shape};

use crate::{Error, Manifest, Table, folder};

/// A data set in memory. Users and items are numbered in order of first appearance in the interactions;
/// those known from their own files alone come after.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What it is and where it came from.
    pub manifest: Manifest,
    /// Events by user; row = user number.
    pub histories: Histories,
    /// Users; row = user number.
    pub users: Table,
    /// Items; row = item number.
    pub items: Table,
}

impl Dataset {
    /// Opens a folder made by [`import`](crate::import), and verifies all of it.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        folder::open(dir)
    }

    /// Counts the users, those without events included.
    pub fn n_users(&self) -> usize {
        self.users.len()
    }

    /// Counts the items, those without events included.
    pub fn n_items(&self) -> usize {
        self.items.len()
    }

    /// Returns size and shape, for rules that choose settings.
    pub fn shape(&self) -> Shape {
        Shape {
            n_users: self.histories.iter().filter(|h| !h.is_empty()).count(),
            n_items: self.n_items(),
            n_events: self.histories.n_events(),
        }
    }

    /// Adds an item in memory; the folder stays as it is.
    ///
    /// Fields must be columns of the items table, unless it has none yet.
    pub fn add_item(&mut self, id: &str, fields: &[(String, String)]) -> Result<ItemId, Error> {
        self.items.push(id, fields).map(ItemId)
    }
}
