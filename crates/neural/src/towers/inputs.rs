//! What goes into the towers: an item's own vector, its columns and its text; a user's columns.
//!
//! `z_i = e_i + Σ_c (mean of label rows, or row · number) + W f_i + b`, with `f_i` the whitened principal components of the text, frozen. A
//! user's columns are summed alike. All rows stand in one table `[rows, dim]`. In a step a share of the items goes without
//! `e_i`, so that texts and columns learn to stand alone, as they must for items nobody has taken (DropoutNet: Volkovs et al. 2017).

use std::ops::Range;

use rayon::prelude::*;
use tastemaker_core::{Feature, FitError, TrainData, Vectors};
use tastemaker_kernels::axpy;

use super::settings::TwoTowerSettings;
use crate::layers::Linear;
use crate::params::{Init, Layout};
use crate::rankers::{Column, Entries, Vocabulary, check_vectors, text_components};

/// Deviation of the first vectors.
pub(super) const DEVIATION: f32 = 0.05;
/// Rows made by one task; fixed, so that nothing depends on the number of threads.
const ROWS: usize = 256;

/// Some numbers, rising, and where each stands among them.
#[derive(Clone, Debug, Default)]
pub(super) struct Active {
    pub(super) ids: Vec<u32>,
    pub(super) place: Vec<u32>,
}

impl Active {
    /// Prepares for numbers below `n`.
    pub(super) fn new(n: usize) -> Self {
        Self { ids: Vec::new(), place: vec![u32::MAX; n] }
    }

    /// Takes other numbers, with or without repetition.
    pub(super) fn refill(&mut self, ids: impl Iterator<Item = u32>) {
        self.ids.iter().for_each(|&id| self.place[id as usize] = u32::MAX);
        self.ids.clear();
        for id in ids {
            if self.place[id as usize] == u32::MAX {
                self.place[id as usize] = 0;
                self.ids.push(id);
            }
        }
        self.ids.sort_unstable();
        (0..).zip(&self.ids).for_each(|(at, &id)| self.place[id as usize] = at);
    }
}

/// See the head of the file.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    dim: usize,
    items: Entries,
    /// The item's own vector, and its columns.
    item_fields: usize,
    users: Entries,
    user_fields: usize,
    n_users: usize,
    is_taken: Vec<bool>,
    adapter: Option<Linear>,
    /// `[items, components]`; empty without texts.
    texts: Vectors,
    n_rows: usize,
}

impl Inputs {
    pub(super) fn new(
        layout: &mut Layout,
        settings: &TwoTowerSettings,
        data: &TrainData<'_>,
    ) -> Result<Self, FitError> {
        if let Some(features) = data.features {
            features.check().map_err(FitError::BadFeature)?;
        }
        let (of_users, of_items) = match data.features {
            Some(features) => (&features.users[..], &features.items[..]),
            None => (&[][..], &[][..]),
        };
        let counts = data.histories.item_counts(data.n_items);
        let is_taken: Vec<bool> = counts.iter().map(|&n| n > 0).collect();
        let mut next = 0;
        let own = Vocabulary::new(data.n_items, None, &mut next);
        let item_columns = columns(of_items, &is_taken, &mut next);
        let mut items = Entries::default();
        for (item, &is_taken) in is_taken.iter().enumerate() {
            if is_taken {
                items.push(own.row(item), 1.0);
            }
            items.end_field();
            item_columns.iter().for_each(|column| column.push(item, &mut items));
        }
        let is_active: Vec<bool> = data.histories.iter().map(|h| !h.is_empty()).collect();
        let user_columns = columns(of_users, &is_active, &mut next);
        let mut users = Entries::default();
        for user in 0..=is_active.len() {
            // Beyond the end everything is unknown.
            let user = if user == is_active.len() { usize::MAX } else { user };
            user_columns.iter().for_each(|column| column.push(user, &mut users));
        }
        let mut texts = Vectors::default();
        if data.vectors.is_some() && settings.text_dim > 0 {
            let vectors = data.require_vectors()?;
            check_vectors(vectors)?;
            let (width, flat) = text_components(vectors, &counts, settings.text_dim)?;
            texts = Vectors::from_flat(width, flat).unwrap_or_default();
        }
        let adapter = (texts.dim() > 0).then(|| {
            let shape = (texts.dim(), settings.dim);
            Linear::with_init(layout, "items.text", shape, Init::Normal(DEVIATION))
        });
        Ok(Self {
            dim: settings.dim,
            item_fields: 1 + item_columns.len(),
            user_fields: user_columns.len(),
            items,
            users,
            n_users: is_active.len(),
            is_taken,
            adapter,
            texts,
            n_rows: next,
        })
    }

    /// Counts the rows of the table.
    pub(super) const fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(super) const fn has_user_columns(&self) -> bool {
        self.user_fields > 0
    }

    /// Tells whether items have more than a vector of their own.
    pub(super) const fn knows_more(&self) -> bool {
        self.item_fields > 1 || self.adapter.is_some()
    }

    /// Tells whether nothing at all is known of an item.
    pub(super) fn is_blank(&self, item: usize) -> bool {
        let has_text = self.adapter.is_some() && self.texts.row(item).iter().any(|x| x.abs() > 0.0);
        !self.is_taken[item] && !has_text && self.item_fields == 1
    }

    /// Lists rows and weights of an item; `alone` leaves out its own vector.
    pub(super) fn item(&self, item: u32, alone: bool) -> impl Iterator<Item = (u32, f32)> {
        let first = item as usize * self.item_fields;
        entries(&self.items, first + usize::from(alone)..first + self.item_fields)
    }

    /// Lists rows and weights of a user's columns; of nobody's, for somebody who is unknown.
    pub(super) fn user(&self, user: Option<usize>) -> impl Iterator<Item = (u32, f32)> {
        let first = user.unwrap_or(self.n_users).min(self.n_users) * self.user_fields;
        entries(&self.users, first..first + self.user_fields)
    }

    /// Writes what goes into the tower for the items `ids` to `out: [ids, dim]`. `alone` says which go without their own vector.
    pub(super) fn forward(
        &self,
        (parameters, table): (&[f32], &[f32]),
        ids: &[u32],
        alone: impl Fn(u32) -> bool + Sync,
        out: &mut Vec<f32>,
    ) {
        let dim = self.dim;
        out.resize(ids.len() * dim, 0.0);
        out.par_chunks_mut(ROWS * dim).zip(ids.par_chunks(ROWS)).for_each(|(out, ids)| {
            match self.adapter {
                Some(adapter) => adapter.forward(parameters, &self.texts_of(ids), out),
                None => out.fill(0.0),
            }
            for (out, &id) in out.chunks_exact_mut(dim).zip(ids) {
                for (row, weight) in self.item(id, alone(id)) {
                    axpy(weight, &table[row as usize * dim..][..dim], out);
                }
            }
        });
    }

    /// Adds the gradients of the adapter, and those of the rows, of which `rows` are active, to `d_rows`.
    pub(super) fn backward(
        &self,
        (ids, d): (&[u32], &[f32]),
        alone: impl Fn(u32) -> bool,
        gradients: &mut [f32],
        (rows, d_rows): (&Active, &mut [f32]),
    ) {
        let dim = self.dim;
        if let Some(adapter) = self.adapter {
            // On one core: the sums must not depend on the number of threads, and a step spends little here.
            for (ids, d) in ids.chunks(ROWS).zip(d.chunks(ROWS * dim)) {
                adapter.backward_parameters(gradients, &self.texts_of(ids), d);
            }
        }
        for (&id, d) in ids.iter().zip(d.chunks_exact(dim)) {
            scatter(self.item(id, alone(id)), d, (rows, d_rows));
        }
    }

    fn texts_of(&self, ids: &[u32]) -> Vec<f32> {
        ids.iter().flat_map(|&id| self.texts.row(id as usize)).copied().collect()
    }
}

/// Adds the gradient `d` of a sum of rows to those of the rows.
pub(super) fn scatter(
    entries: impl Iterator<Item = (u32, f32)>,
    d: &[f32],
    (rows, d_rows): (&Active, &mut [f32]),
) {
    for (row, weight) in entries {
        let at = rows.place[row as usize] as usize;
        axpy(weight, d, &mut d_rows[at * d.len()..][..d.len()]);
    }
}

fn columns<'a>(features: &'a [Feature], is_trained: &[bool], next: &mut usize) -> Vec<Column<'a>> {
    features.iter().map(|c| Column::new(&c.values, is_trained, None, next)).collect()
}

fn entries(entries: &Entries, fields: Range<usize>) -> impl Iterator<Item = (u32, f32)> {
    fields.flat_map(|at| {
        let (rows, weights) = entries.field(at);
        rows.iter().copied().zip(weights.iter().copied())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_present_numbers_alone() {
        let mut active = Active::new(6);
        active.refill([5, 1, 5].into_iter());
        assert_eq!((&active.ids[..], active.place[5], active.place[1]), (&[1, 5][..], 1, 0));
        active.refill([2].into_iter());
        assert_eq!((&active.ids[..], active.place[5]), (&[2][..], u32::MAX));
    }
}
