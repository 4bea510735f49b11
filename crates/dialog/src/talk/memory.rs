//! What a talk has settled: wishes, what was liked and not, what was shown.

use serde::{Deserialize, Serialize};
use tastemaker_core::ItemId;

use super::understand::{Intent, Understood};
use super::wish::Wish;
use crate::Language;

/// Wishes and words that are kept; older ones give way.
const MOST: usize = 24;
/// Items of a list.
const MOST_ITEMS: usize = 20;
/// Items that are remembered as shown.
const MOST_SHOWN: usize = 1000;

/// The state of a talk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The language of answers.
    pub language: Language,
    /// What items must be, oldest first.
    pub wishes: Vec<Wish>,
    /// Words that items should be about.
    pub want: Vec<String>,
    /// Words that they should not be about.
    pub avoid: Vec<String>,
    /// What was wanted in words that no rule understood.
    pub topic: Option<String>,
    /// Items that others should be like.
    pub likes: Vec<ItemId>,
    /// Items that others should not be like.
    pub dislikes: Vec<ItemId>,
    /// Items that were chosen.
    pub accepted: Vec<ItemId>,
    /// Items that are not wanted again, disliked or not.
    pub rejected: Vec<ItemId>,
    /// All items shown.
    pub shown: Vec<ItemId>,
    /// The list shown last.
    pub list: Vec<ItemId>,
    /// The item spoken of last.
    pub focus: Option<ItemId>,
    /// How many items a list has.
    pub n: usize,
}

impl Memory {
    /// Begins a talk whose lists have `n` items.
    pub fn new(language: Language, n: usize) -> Self {
        Self { language, n, ..Self::default() }
    }

    /// Takes in what a turn said.
    pub fn settle(&mut self, said: &Understood) {
        self.language = said.language;
        if said.intent == Intent::Reset {
            *self = Self::new(said.language, self.n);
            return;
        }
        self.n = said.n.unwrap_or(self.n);
        self.topic = said.topic.clone().or(self.topic.take());
        for wish in &said.wishes {
            if !self.wishes.iter_mut().any(|known| known.replace(wish)) {
                self.wishes.push(wish.clone());
            }
        }
        move_to(&mut self.want, &mut self.avoid, &said.want);
        move_to(&mut self.avoid, &mut self.want, &said.avoid);
        move_to(&mut self.likes, &mut self.dislikes, &said.like);
        move_to(&mut self.dislikes, &mut self.likes, &said.dislike);
        remember(&mut self.rejected, &said.seen);
        match said.intent {
            Intent::Accept => {
                remember(&mut self.accepted, &said.items);
                let mut none = Vec::new();
                move_to(&mut self.likes, &mut none, &said.items);
            }
            Intent::Reject => {
                remember(&mut self.rejected, &said.items);
                let disliked: Vec<ItemId> =
                    said.items.iter().copied().filter(|item| !said.seen.contains(item)).collect();
                move_to(&mut self.dislikes, &mut self.likes, &disliked);
            }
            _ => {}
        }
        self.focus = said.items.first().copied().or(self.focus);
        let cut = self.wishes.len().saturating_sub(MOST);
        self.wishes.drain(..cut);
    }

    /// Lists the items it remembers, some more than once.
    pub fn items(&self) -> impl Iterator<Item = ItemId> {
        let Self { likes, dislikes, accepted, rejected, shown, list, .. } = self;
        let lists = [likes, dislikes, accepted, rejected, shown, list];
        lists.into_iter().flatten().copied().chain(self.focus)
    }

    /// Gives items other numbers, as another model has them; those that have none any more are forgotten.
    pub fn renumber(&mut self, number: impl Fn(ItemId) -> Option<ItemId>) {
        let Self { likes, dislikes, accepted, rejected, shown, list, .. } = self;
        for items in [likes, dislikes, accepted, rejected, shown, list] {
            *items = items.iter().filter_map(|item| number(*item)).collect();
        }
        self.focus = self.focus.and_then(number);
        self.n = self.n.clamp(1, MOST_ITEMS);
    }

    /// Notes a list that is shown.
    pub fn show(&mut self, list: &[ItemId]) {
        self.list = list.to_vec();
        self.focus = list.first().copied().or(self.focus);
        remember(&mut self.shown, list);
        let cut = self.shown.len().saturating_sub(MOST_SHOWN);
        self.shown.drain(..cut);
    }
}

fn remember(known: &mut Vec<ItemId>, items: &[ItemId]) {
    for item in items {
        if !known.contains(item) {
            known.push(*item);
        }
    }
}

/// Puts things into one list, and takes them out of its opposite.
fn move_to<T: PartialEq + Clone>(into: &mut Vec<T>, from: &mut Vec<T>, things: &[T]) {
    for thing in things {
        from.retain(|known| known != thing);
        if !into.contains(thing) {
            into.push(thing.clone());
        }
    }
    let cut = into.len().saturating_sub(MOST);
    into.drain(..cut);
}
