//! Held-out events as single examples: an item, and what came of it. For models that predict clicks and ratings.

use rand::RngExt;
use rayon::prelude::*;
use tastemaker_core::{Histories, ItemId, Recommender, Request, seed};

use crate::{Cases, Error};

/// Draws before an item is given up for a user who has taken nearly everything.
const TRIES: usize = 100;

/// Rows of examples, those of a case side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// Where the rows of each case begin, and the end of the last.
    pub offsets: Vec<usize>,
    /// The item of each row.
    pub items: Vec<ItemId>,
    /// 1 and 0 for held-out events and drawn items, or ratings.
    pub labels: Vec<f32>,
}

impl Examples {
    /// Makes the held-out events 1 and, for each, `negatives` items 0, drawn uniformly among those the user never took.
    ///
    /// An event that repeats one of the history is left out: the item would be drawn for nobody else. `all` holds everything
    /// that each user ever took; nothing of it is drawn.
    pub fn with_negatives(
        cases: &Cases<'_>,
        all: &Histories,
        n_items: usize,
        (negatives, seed): (usize, u64),
    ) -> Result<Self, Error> {
        cases.check(n_items)?;
        let mut rng = seed::stream(seed, "eval/negatives");
        let mut examples = Self { offsets: vec![0], ..Self::default() };
        for (row, user) in cases.users.iter().enumerate() {
            let known = cases.histories.row(row).items;
            let targets = cases.targets.row(row).items;
            let mut taken: Vec<ItemId> = [all.of(*user).items, known, targets].concat();
            taken.sort_unstable();
            taken.dedup();
            let is_new = |item: &&ItemId| !known.contains(item);
            for &item in targets.iter().filter(is_new) {
                examples.push(item, 1.0);
                for _ in 0..negatives {
                    let mut draw = || ItemId(rng.random_range(0..n_items as u32));
                    let free = |item: &ItemId| taken.binary_search(item).is_err();
                    if let Some(item) = (0..TRIES).map(|_| draw()).find(free) {
                        examples.push(item, 0.0);
                    }
                }
            }
            examples.offsets.push(examples.items.len());
        }
        Ok(examples)
    }

    /// Makes the held-out events examples with their ratings, but for those that repeat one of the history.
    pub fn rated(cases: &Cases<'_>, n_items: usize) -> Result<Self, Error> {
        cases.check(n_items)?;
        let mut examples = Self { offsets: vec![0], ..Self::default() };
        for row in 0..cases.users.len() {
            let known = cases.histories.row(row).items;
            let targets = cases.targets.row(row);
            for (&item, &rating) in targets.items.iter().zip(targets.values) {
                if !known.contains(&item) {
                    examples.push(item, rating);
                }
            }
            examples.offsets.push(examples.items.len());
        }
        Ok(examples)
    }

    /// Counts the rows.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the items of a case.
    pub fn of(&self, case: usize) -> &[ItemId] {
        &self.items[self.offsets[case]..self.offsets[case + 1]]
    }

    /// Keeps the cases `rows` alone, which rise; the others have no rows any more.
    #[must_use]
    pub fn only(&self, rows: &[usize]) -> Self {
        let mut kept = Self { offsets: vec![0], ..Self::default() };
        for case in 0..self.offsets.len() - 1 {
            if rows.binary_search(&case).is_ok() {
                let range = self.offsets[case]..self.offsets[case + 1];
                kept.items.extend_from_slice(&self.items[range.clone()]);
                kept.labels.extend_from_slice(&self.labels[range]);
            }
            kept.offsets.push(kept.items.len());
        }
        kept
    }

    /// Asks `ask` for a value for each row, case by case, on all cores.
    pub fn ask<T: Send>(
        &self,
        cases: &Cases<'_>,
        ask: impl Fn(&Request<'_>, &[ItemId]) -> Vec<T> + Sync,
    ) -> Vec<T> {
        let one = |case: usize| match self.of(case) {
            [] => Vec::new(),
            items => {
                let request = Request::new(Some(cases.users[case]), cases.histories.row(case));
                ask(&request, items)
            }
        };
        (0..cases.users.len()).into_par_iter().flat_map_iter(one).collect()
    }

    /// Returns a model's score of each row.
    pub fn scores(&self, cases: &Cases<'_>, model: &dyn Recommender) -> Vec<f32> {
        self.ask(cases, |request, items| {
            let mut scores = vec![0.0; items.len()];
            model.score_items(request, items, &mut scores);
            scores
        })
    }

    fn push(&mut self, item: ItemId, label: f32) {
        self.items.push(item);
        self.labels.push(label);
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, UserId};

    use super::*;

    fn rows(users: &[&[u32]]) -> Histories {
        let mut builder = HistoriesBuilder::default();
        for items in users {
            items.iter().for_each(|&item| builder.push(ItemId(item), 3.0, 0));
            builder.end_user();
        }
        builder.build()
    }

    #[test]
    fn drawn_items_were_never_taken_and_repeats_are_left_out() {
        let (all, known) = (rows(&[&[0, 1, 2, 3], &[4, 5, 4]]), rows(&[&[0, 1], &[4, 5]]));
        let targets = rows(&[&[2], &[4]]);
        let users = [UserId(0), UserId(1)];
        let cases = Cases { users: &users, histories: &known, targets: &targets };
        let examples = Examples::with_negatives(&cases, &all, 6, (3, 1)).unwrap();
        assert_eq!(examples.offsets, [0, 4, 4]);
        assert_eq!(
            (examples.items[0], examples.labels.clone()),
            (ItemId(2), vec![1.0, 0.0, 0.0, 0.0])
        );
        assert!(examples.items[1..].iter().all(|item| item.0 > 3));
        assert_eq!(examples, Examples::with_negatives(&cases, &all, 6, (3, 1)).unwrap());
        let rated = Examples::rated(&cases, 6).unwrap();
        assert_eq!((rated.offsets, rated.labels), (vec![0, 1, 1], vec![3.0]));
        assert_eq!(examples.only(&[1]).offsets, [0, 0, 0]);
        assert_eq!(examples.only(&[0]).items, examples.items);
    }

    #[test]
    fn whoever_took_everything_has_no_negatives() {
        let (all, known, targets) = (rows(&[&[0, 1]]), rows(&[&[0]]), rows(&[&[1]]));
        let cases = Cases { users: &[UserId(0)], histories: &known, targets: &targets };
        assert_eq!(Examples::with_negatives(&cases, &all, 2, (5, 1)).unwrap().len(), 1);
    }
}
