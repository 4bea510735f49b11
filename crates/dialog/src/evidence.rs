//! Facts that a sentence may rest on; given, never fetched.

use serde::{Deserialize, Serialize};
use tastemaker_core::{Contribution, ItemId};

/// One fact about why an item stands in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Evidence {
    /// The user took `item`, which carries this share of the score.
    Took {
        /// Title of the item of the history.
        item: String,
        /// Share of the score, `0..=1`.
        share: f32,
    },
    /// The user asked for something like `item`.
    Wished {
        /// Title of the item that was named.
        item: String,
    },
    /// People who took `from` next took this item.
    Transition {
        /// Title of the earlier item.
        from: String,
    },
    /// People who liked `item` also liked this item.
    AlsoLiked {
        /// Title of the other item.
        item: String,
    },
    /// The text of `item` is like the text of this item.
    TextLike {
        /// Title of the other item.
        item: String,
        /// Telling words that both texts have, most telling first.
        shared: Vec<String>,
        /// Cosine of the two texts.
        similarity: f32,
    },
    /// Many take this item.
    Popular {
        /// How often it was taken.
        count: u32,
        /// Its place among all items, from 1.
        rank: u32,
    },
    /// The user often takes items of this category.
    Category {
        /// Name of the category.
        name: String,
        /// Its share in the user's history, `0..=1`.
        share: f32,
    },
}

impl Evidence {
    /// Tells whether the fact speaks for the item at all, and names what it is about.
    pub(crate) fn speaks(&self) -> bool {
        let named = self.title().is_none_or(|title| !title.trim().is_empty());
        named
            && match self {
                Self::Took { share, .. } | Self::Category { share, .. } => *share > 0.0,
                Self::TextLike { similarity, .. } => *similarity > 0.0,
                Self::Popular { count, rank } => *count > 0 && *rank > 0,
                Self::Wished { .. } | Self::Transition { .. } | Self::AlsoLiked { .. } => true,
            }
    }

    /// Returns the title or category the fact is about.
    pub(crate) fn title(&self) -> Option<&str> {
        match self {
            Self::Took { item, .. }
            | Self::Wished { item }
            | Self::Transition { from: item }
            | Self::AlsoLiked { item }
            | Self::TextLike { item, .. }
            | Self::Category { name: item, .. } => Some(item),
            Self::Popular { .. } => None,
        }
    }

    /// Returns the words that may stand in parentheses.
    pub(crate) fn terms(&self) -> &[String] {
        match self {
            Self::TextLike { shared, .. } => shared,
            _ => &[],
        }
    }

    /// Returns the numbers that may be stated.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        match self {
            Self::Popular { count, rank } => vec![*count, *rank],
            Self::Category { share, .. } => vec![percent(*share)],
            _ => Vec::new(),
        }
    }
}

/// Turns a model's contributions into evidence: those that speak for the item, each with its share of all weight.
pub fn took(contributions: &[Contribution], title: impl Fn(ItemId) -> String) -> Vec<Evidence> {
    let total: f32 = contributions.iter().map(|c| c.weight.abs()).sum();
    let for_it = contributions.iter().filter(|c| c.weight > 0.0 && total.is_finite());
    for_it.map(|c| Evidence::Took { item: title(c.because), share: c.weight / total }).collect()
}

/// Returns a share in whole percent.
pub(crate) fn percent(share: f32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=100")]
    let percent = (share.clamp(0.0, 1.0) * 100.0).round() as u32;
    percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_that_speak_for_the_item_become_evidence() {
        let given = [(1, 3.0), (2, -1.0), (3, 0.0)]
            .map(|(item, weight)| Contribution { because: ItemId(item), weight });
        let evidence = took(&given, |item| format!("item {}", item.0));
        // 3 / (3 + 1 + 0) = 0.75
        assert_eq!(evidence, [Evidence::Took { item: "item 1".into(), share: 0.75 }]);
        assert!(took(&[], |_| String::new()).is_empty());
    }
}
