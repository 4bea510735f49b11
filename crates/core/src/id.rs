//! Dense numbers for users and items. Outside ids stay at the doors: `data` interns them, `engine` gives them back.

use serde::{Deserialize, Serialize};

/// Numbers a user: `0..n_users` of one data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub u32);

/// Numbers an item: `0..n_items` of one data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemId(pub u32);

macro_rules! dense_id {
    ($name:ident) => {
        impl $name {
            /// Returns the id as an index into a slice.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// Makes the id of row `index`.
            ///
            /// # Panics
            /// When `index` does not fit 32 bits; data sets are limited to fewer rows when they are read.
            #[inline]
            pub fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("a data set has fewer than 2^32 rows"))
            }
        }
    };
}

dense_id!(UserId);
dense_id!(ItemId);
