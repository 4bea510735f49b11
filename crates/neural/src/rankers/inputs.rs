//! What a ranker reads of a user, their history and an item: rows of one table of vectors, with weights, field by field.
//!
//! A field's vector is `Σ weight · row`: an id is one row, labels are averaged, a number is a row times its standardised value, a
//! text is as many rows as components, which makes it a linear projection. User fields: id, columns, the mean of the items
//! taken, the same weighed by how they were rated, the mean of their texts, the mean of what convolutions make of these. Item fields:
//! id, columns, text, what convolutions make of it.

use tastemaker_core::{
    BadFeature, FitError, Histories, History, ItemId, PersistError, Saved, TrainData, UserId,
    Vectors,
};

use super::settings::{Interaction, RankerSettings};
use super::vocabulary::{Column, Entries, Vocabulary};
use crate::sequence::text_features;

/// Fields of all users or all items, the unknown one last.
#[derive(Clone, Debug, Default, PartialEq)]
struct Side {
    n_fields: usize,
    /// Row of the unknown id.
    unknown: u32,
    entries: Entries,
}

impl Side {
    fn len(&self) -> usize {
        (self.entries.ends.len() / self.n_fields.max(1)).saturating_sub(1)
    }

    fn push(&self, at: Option<usize>, is_hidden: bool, out: &mut Entries) {
        let at = at.filter(|&at| at < self.len()).unwrap_or(self.len());
        let first = at * self.n_fields;
        let from = if is_hidden {
            out.push(self.unknown, 1.0);
            out.end_field();
            first + 1
        } else {
            first
        };
        out.extend(&self.entries, from..first + self.n_fields);
    }
}

/// See the head of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Inputs {
    users: Side,
    items: Side,
    /// Events read; 0 = none.
    history: usize,
    /// Rows of the items taken, 0 where training has not seen an item; empty without a history.
    taken: Vec<u32>,
    /// What a rating is divided by after its user's mean is taken away; 0 where all ratings are the same.
    value_scale: f32,
    /// From the row of an item taken to that of an item rated.
    valued_shift: u32,
    /// Components of the items' texts, `[items, text_dim]`, and where their rows begin.
    texts: Vec<f32>,
    text_dim: usize,
    text_rows: u32,
    /// Whether the last rows, two an item, hold what convolutions make of texts; see `tokens`.
    has_tokens: bool,
    n_rows: usize,
}

impl Inputs {
    pub(super) fn new<V: Interaction>(
        settings: &RankerSettings<V>,
        data: &TrainData<'_>,
    ) -> Result<Self, FitError> {
        if let Some(features) = data.features {
            features.check().map_err(FitError::BadFeature)?;
        }
        let mut next = 1;
        let users: Vec<bool> = data.histories.iter().map(|h| !h.is_empty()).collect();
        let counts = data.histories.item_counts(data.n_items);
        let items: Vec<bool> = counts.iter().map(|&n| n > 0).collect();
        let (of_users, of_items) = match data.features {
            Some(features) => (&features.users[..], &features.items[..]),
            None => (&[][..], &[][..]),
        };
        let buckets = settings.hash_buckets;
        let mut side = |is_trained: &[bool], columns: &[tastemaker_core::Feature]| {
            let ids = Vocabulary::new(is_trained.len(), buckets, &mut next);
            let columns: Vec<Column<'_>> = columns
                .iter()
                .map(|c| Column::new(&c.values, is_trained, buckets, &mut next))
                .collect();
            let mut entries = Entries::default();
            for row in 0..=is_trained.len() {
                let is_known = is_trained.get(row) == Some(&true);
                entries.push(if is_known { ids.row(row) } else { ids.unknown() }, 1.0);
                entries.end_field();
                // Beyond the end everything is unknown.
                let row = if row == is_trained.len() { usize::MAX } else { row };
                columns.iter().for_each(|column| column.push(row, &mut entries));
            }
            Side { n_fields: 1 + columns.len(), unknown: ids.unknown(), entries }
        };
        let (users, items_side) = (side(&users, of_users), side(&items, of_items));
        let mut inputs =
            Self { users, items: items_side, history: settings.history, ..Self::default() };
        if settings.history > 0 {
            inputs.value_scale = value_scale(data.histories);
            let first = next;
            let taken = Vocabulary::new(data.n_items, buckets, &mut next);
            if inputs.value_scale > 0.0 {
                // As many rows again, in the same order.
                inputs.valued_shift = (next - first) as u32;
                next += next - first;
            }
            let row =
                |(item, &is_known): (usize, &bool)| if is_known { taken.row(item) } else { 0 };
            inputs.taken = items.iter().enumerate().map(row).collect();
        }
        if let Some(vectors) = data.vectors.filter(|_| settings.text_dim > 0) {
            check_vectors(data.require_vectors()?)?;
            (inputs.text_dim, inputs.texts) = texts(vectors, &counts, settings.text_dim)?;
            inputs.text_rows = next as u32;
            next += 2 * inputs.text_dim;
        }
        inputs.has_tokens = settings.tokens > 0;
        inputs.n_rows = next + inputs.token_rows();
        Ok(inputs)
    }

    pub(super) const fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Counts the rows that are learnt as they stand; those that convolutions write come behind them.
    pub(super) fn learnt_rows(&self) -> usize {
        self.n_rows - self.token_rows()
    }

    fn token_rows(&self) -> usize {
        if self.has_tokens { 2 * self.n_items() } else { 0 }
    }

    pub(super) fn n_items(&self) -> usize {
        self.items.len()
    }

    const fn has_text(&self) -> usize {
        if self.text_dim > 0 { 1 } else { 0 }
    }

    const fn has_history(&self) -> usize {
        if self.history > 0 { 1 } else { 0 }
    }

    /// Counts the fields of a user with their history.
    pub(super) fn user_fields(&self) -> usize {
        let valued = usize::from(self.value_scale > 0.0);
        let texts = self.has_text() + usize::from(self.has_tokens);
        self.users.n_fields + self.has_history() * (1 + valued + texts)
    }

    /// Counts the fields of an item.
    pub(super) fn item_fields(&self) -> usize {
        self.items.n_fields + self.has_text() + usize::from(self.has_tokens)
    }

    /// Adds the fields of an item; `is_hidden` puts the unknown in place of its id.
    pub(super) fn item(&self, item: usize, is_hidden: bool, out: &mut Entries) {
        self.items.push(Some(item), is_hidden, out);
        if self.text_dim > 0 {
            let texts = &self.texts[item * self.text_dim..][..self.text_dim];
            (self.text_rows..).zip(texts).for_each(|(row, &x)| out.push(row, x));
            out.end_field();
        }
        if self.has_tokens {
            out.push((self.learnt_rows() + item) as u32, 1.0);
            out.end_field();
        }
    }

    /// Adds the fields of a user with what they took, but for all events of the item `except`; `is_hidden` puts the unknown in place of their id.
    pub(super) fn user(
        &self,
        user: Option<UserId>,
        is_hidden: bool,
        (history, except): (History<'_>, Option<ItemId>),
        out: &mut Entries,
    ) {
        self.users.push(user.map(UserId::index), is_hidden, out);
        if self.history == 0 {
            return;
        }
        let is_known =
            |at: &usize| self.taken.get(history.items[*at].index()).is_some_and(|&row| row > 0);
        let newest: Vec<usize> = (0..history.len())
            .rev()
            .filter(|at| Some(history.items[*at]) != except && is_known(at))
            .take(self.history)
            .collect();
        let share = 1.0 / newest.len().max(1) as f32;
        let row = |at: usize| self.taken[history.items[at].index()];
        newest.iter().for_each(|&at| out.push(row(at), share));
        out.end_field();
        if self.value_scale > 0.0 {
            let value =
                |at: usize| if history.values[at].is_finite() { history.values[at] } else { 0.0 };
            let mean = newest.iter().map(|&at| value(at)).sum::<f32>() * share;
            for &at in &newest {
                let weight = ((value(at) - mean) * self.value_scale).clamp(-5.0, 5.0);
                out.push(row(at) + self.valued_shift, weight * share);
            }
            out.end_field();
        }
        if self.text_dim > 0 {
            let mut profile = vec![0.0; self.text_dim];
            for &at in &newest {
                let text =
                    &self.texts[history.items[at].index() * self.text_dim..][..self.text_dim];
                profile.iter_mut().zip(text).for_each(|(p, x)| *p += share * x);
            }
            let first = self.text_rows + self.text_dim as u32;
            (first..).zip(profile).for_each(|(row, x)| out.push(row, x));
            out.end_field();
        }
        if self.has_tokens {
            let first = self.learnt_rows() + self.n_items();
            let row = |at: usize| first + history.items[at].index();
            newest.iter().for_each(|&at| out.push(row(at) as u32, share));
            out.end_field();
        }
    }
}

impl Inputs {
    /// Puts the fields into a saved model.
    pub(super) fn save(&self, saved: &mut Saved) {
        for (name, side) in [("users", &self.users), ("items", &self.items)] {
            let Entries { ends, rows, weights } = &side.entries;
            saved.put_u32(&format!("{name}.ends"), &[ends.len()], ends.clone());
            saved.put_u32(&format!("{name}.rows"), &[rows.len()], rows.clone());
            saved.put_f32(&format!("{name}.weights"), &[weights.len()], weights.clone());
        }
        saved.put_u32("taken", &[self.taken.len()], self.taken.clone());
        let width = self.text_dim;
        saved.put_f32("texts", &[self.texts.len() / width.max(1), width], self.texts.clone());
        let [users, items] = [&self.users, &self.items];
        let sizes = [
            users.n_fields as u32,
            users.unknown,
            items.n_fields as u32,
            items.unknown,
            self.history as u32,
            self.valued_shift,
            self.text_rows,
            self.n_rows as u32,
            self.value_scale.to_bits(),
        ];
        saved.put_u32("sizes", &[sizes.len()], sizes.to_vec());
    }

    /// Takes the fields out of a saved model; parts that do not fit are refused.
    pub(super) fn load(saved: &mut Saved, has_tokens: bool) -> Result<Self, PersistError> {
        let misfit = |name: &str| PersistError::Shape { name: name.into() };
        let (_, sizes) = saved.take_u32("sizes")?;
        let sizes: [u32; 9] = sizes.try_into().map_err(|_| misfit("sizes"))?;
        let n_rows = sizes[7] as usize;
        let mut side = |name: &str, n_fields: u32, unknown: u32| {
            let (_, ends) = saved.take_u32(&format!("{name}.ends"))?;
            let (_, rows) = saved.take_u32(&format!("{name}.rows"))?;
            let (_, weights) = saved.take_f32(&format!("{name}.weights"))?;
            let n_fields = n_fields as usize;
            let fits = n_fields > 0
                && !ends.is_empty()
                && ends.len().is_multiple_of(n_fields)
                && ends.is_sorted()
                && ends.last().is_none_or(|&end| end as usize == rows.len())
                && rows.len() == weights.len()
                && rows.iter().chain([&unknown]).all(|&row| (row as usize) < n_rows)
                && weights.iter().all(|x| x.is_finite());
            let entries = Entries { ends, rows, weights };
            if fits { Ok(Side { n_fields, unknown, entries }) } else { Err(misfit(name)) }
        };
        let users = side("users", sizes[0], sizes[1])?;
        let items = side("items", sizes[2], sizes[3])?;
        let (_, taken) = saved.take_u32("taken")?;
        let (text_dim, texts) = saved.take_matrix("texts")?;
        let (history, value_scale) = (sizes[4] as usize, f32::from_bits(sizes[8]));
        let furthest = taken.iter().map(|&row| row as usize + sizes[5] as usize).max();
        let fits = (history == 0 || taken.len() == items.len())
            && furthest.unwrap_or(0) < n_rows
            && texts.len() == if text_dim > 0 { items.len() * text_dim } else { 0 }
            && sizes[6] as usize + 2 * text_dim <= n_rows
            && (!has_tokens || 2 * items.len() < n_rows)
            && texts.iter().chain([&value_scale]).all(|x| x.is_finite());
        if !fits {
            return Err(misfit("history or texts"));
        }
        Ok(Self {
            users,
            items,
            history,
            taken,
            value_scale,
            valued_shift: sizes[5],
            texts,
            text_dim,
            text_rows: sizes[6],
            has_tokens,
            n_rows,
        })
    }
}

pub(crate) fn check_vectors(vectors: &Vectors) -> Result<(), FitError> {
    let bad = |row: usize| vectors.row(row).iter().find(|x| !x.is_finite()).map(|x| (row, *x));
    match (0..vectors.rows()).find_map(bad) {
        None => Ok(()),
        Some((row, x)) => Err(FitError::BadFeature(BadFeature {
            place: format!("text vector of item number {row}"),
            value: x.to_string(),
        })),
    }
}

/// Returns one over the deviation of the ratings, or 0 where they are all the same.
fn value_scale(histories: &Histories) -> f32 {
    let values = histories.events().values;
    let n = values.len().max(1) as f64;
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / n;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / variance.sqrt();
    if scale.is_finite() && scale < 1e6 { scale as f32 } else { 0.0 }
}

/// Returns the leading principal components of the texts, of length about 1, as an id counts.
pub(crate) fn texts(
    vectors: &Vectors,
    counts: &[u32],
    most: usize,
) -> Result<(usize, Vec<f32>), FitError> {
    let all = text_features(vectors, counts)?;
    let width = most.min(all.dim());
    let scale = (all.dim() as f32 / width.max(1) as f32).sqrt();
    let row = |row: usize| all.row(row)[..width].iter().map(move |x| scale * x);
    Ok((width, (0..all.rows()).flat_map(row).collect()))
}

#[cfg(test)]
mod tests {
    use tastemaker_core::HistoriesBuilder;

    use super::super::settings::LinearSettings;
    use super::*;

    #[test]
    fn no_event_of_the_item_in_question_is_read() {
        let build = |items: &[u32]| {
            let mut builder = HistoriesBuilder::default();
            for (value, &item) in (1u8..).zip(items) {
                builder.push(ItemId(item), f32::from(value), 0);
            }
            builder.end_user();
            builder.build()
        };
        let histories = build(&[0, 1, 0, 2]);
        let inputs =
            Inputs::new(&LinearSettings::default(), &TrainData::new(&histories, 3)).unwrap();
        let rows = |except| {
            let mut entries = Entries::default();
            inputs.user(None, false, (histories.row(0), except), &mut entries);
            entries.rows
        };
        let taken = |item: usize| inputs.taken[item];
        assert_eq!(rows(None).iter().filter(|row| **row == taken(0)).count(), 2);
        let rest = rows(Some(ItemId(0)));
        assert!(!rest.contains(&taken(0)) && !rest.contains(&(taken(0) + inputs.valued_shift)));
        assert!(rest.contains(&taken(1)) && rest.contains(&taken(2)));
    }
}
