//! Outside ids to dense numbers and back: one buffer of bytes and one hash table of numbers, no string per id.

use std::hash::Hasher as _;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// Numbers ids `0..len` in order of first appearance.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    text: String,
    ends: Vec<usize>,
    table: HashTable<u32>,
}

impl PartialEq for Interner {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.ends == other.ends
    }
}

/// Longest id in bytes.
pub const MAX_ID_BYTES: usize = 1024;
/// Most ids that [`Interner::nearest`] looks at.
const NEAREST_LIMIT: usize = 100_000;

impl Interner {
    /// Numbers distinct ids in the order given, or returns the first that occurs twice.
    pub fn from_ids<S: AsRef<str>>(ids: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let mut all = Self::default();
        for id in ids {
            let before = all.len();
            if all.intern(id.as_ref()) as usize != before {
                return Err(id.as_ref().into());
            }
        }
        Ok(all)
    }

    /// Returns the number of `name`, or `None` when it is unknown.
    pub fn get(&self, name: &str) -> Option<u32> {
        self.table.find(hash(name), |&id| self.name(id) == name).copied()
    }

    /// Returns the id numbered `number`; empty beyond the end.
    pub fn name(&self, number: u32) -> &str {
        span(&self.text, &self.ends, number)
    }

    /// Counts the ids.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Visits all ids in order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.ends.len()).map(|i| span(&self.text, &self.ends, number(i)))
    }

    /// Returns the number of `name`, which is new when it equals the former [`len`](Self::len).
    ///
    /// # Panics
    /// At 2^32 ids; readers stop long before.
    pub fn intern(&mut self, name: &str) -> u32 {
        let hash_of_name = hash(name);
        let (text, ends) = (&self.text, &self.ends);
        if let Some(&id) = self.table.find(hash_of_name, |&id| span(text, ends, id) == name) {
            return id;
        }
        let id = number(self.ends.len());
        self.text.push_str(name);
        self.ends.push(self.text.len());
        let (text, ends) = (&self.text, &self.ends);
        self.table.insert_unique(hash_of_name, id, |&id| hash(span(text, ends, id)));
        id
    }

    /// Returns the valid id most like `name`, for error messages; `None` when nothing is near.
    ///
    /// Looks at the first 100,000 ids only.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.iter().take(NEAREST_LIMIT))
    }
}

/// Returns the candidate with the fewest edits from `name`, at most half of its letters.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let name: String = name.chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    let letters = name.chars().count();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let limit = best.map_or(letters / 2 + 1, |(edits, _)| edits);
        if candidate.len() > 4 * LONGEST || candidate.chars().count().abs_diff(letters) >= limit {
            continue;
        }
        let edits = strsim::osa_distance(&name, &candidate.to_lowercase());
        if edits < limit {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn span<'a>(text: &'a str, ends: &[usize], number: u32) -> &'a str {
    let i = number as usize;
    let Some(&end) = ends.get(i) else { return "" };
    let start = if i == 0 { 0 } else { ends[i - 1] };
    &text[start..end]
}

fn hash(name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(name.as_bytes());
    hasher.finish()
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("readers admit fewer than 2^32 ids")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbered_in_order_of_first_appearance_and_come_back() {
        let mut ids = Interner::default();
        assert_eq!(["b", "a", "b", "", "a"].map(|id| ids.intern(id)), [0, 1, 0, 2, 1]);
        assert_eq!(ids.iter().collect::<Vec<_>>(), ["b", "a", ""]);
        assert_eq!(
            (ids.get("a"), ids.get("c"), ids.name(0), ids.name(9)),
            (Some(1), None, "b", "")
        );
    }

    #[test]
    fn many_ids_keep_their_numbers() {
        let ids = Interner::from_ids((0..5000).map(|i| format!("item-{i}"))).unwrap();
        assert!((0..5000).all(|i| ids.get(&format!("item-{i}")) == Some(i)));
        assert_eq!(Interner::from_ids(["x", "y", "x"]).unwrap_err(), "x");
    }

    #[test]
    fn the_nearest_id_is_few_edits_away_or_none() {
        let ids = Interner::from_ids(["user_id", "item_id", "rating"]).unwrap();
        assert_eq!(ids.nearest("Item_ID"), Some("item_id"));
        assert_eq!(ids.nearest("ratign"), Some("rating"));
        assert_eq!(ids.nearest("completely different"), None);
        assert_eq!(ids.nearest(""), None);
    }
}
