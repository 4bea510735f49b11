//! What is asked of a recommender.

use crate::{History, ItemId, UserId};

/// Asks for items for one user or session.
///
/// The history is what is known *now*; it may be newer than what a model was fitted on. A model that keeps
/// something per user uses `user` only where it knows that number, and the history otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The user, when known to the data set; `None` for a session or a newcomer.
    pub user: Option<UserId>,
    /// Their events, oldest first.
    pub history: History<'a>,
    /// Items that must not be recommended.
    pub exclude: &'a [ItemId],
    /// Allows items of the history to be recommended again.
    pub keep_seen: bool,
}

impl<'a> Request<'a> {
    /// Asks for a user with this history, seen items left out.
    pub fn new(user: Option<UserId>, history: History<'a>) -> Self {
        Self { user, history, ..Self::default() }
    }

    /// Sets the score of every item that must not be recommended to negative infinity.
    pub fn mask(&self, scores: &mut [f32]) {
        let seen = if self.keep_seen { &[] } else { self.history.items };
        for item in seen.iter().chain(self.exclude) {
            if let Some(score) = scores.get_mut(item.index()) {
                *score = f32::NEG_INFINITY;
            }
        }
    }
}
