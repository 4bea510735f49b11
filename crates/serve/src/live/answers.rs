//! Lists that need not be made again: bounded in bytes and time, and good only as long as all they rest on is what it was.
//!
//! A list rests on the model, on what its user did and on the items that must not be shown. Each of them is replaced when it changes,
//! so a list is good as long as it was made of the very ones that are there now, and nobody has to say what an event touches.

use std::sync::{Arc, Weak};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::tenant::Barred;
use super::{Known, Loaded};
use crate::api::recommend::{RecommendedItem, Source};

/// Bytes that a list takes beside its texts.
const OVERHEAD: u64 = 512;
/// Lists of the usual size, for the layout of the cache.
const USUAL: u64 = 4096;

/// Who asked what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) tenant: String,
    /// Empty for a session, or for everybody.
    pub(crate) user: String,
    /// All of the request, as JSON.
    pub(crate) asked: String,
}

/// What a list was made of. None of it is kept alive by the list.
#[derive(Clone, Debug)]
pub(crate) struct Grounds {
    model: Weak<Loaded>,
    known: Weak<Known>,
    barred: Weak<Barred>,
}

impl Grounds {
    pub(crate) fn new(model: &Arc<Loaded>, known: &Arc<Known>, barred: &Arc<Barred>) -> Self {
        Self {
            model: Arc::downgrade(model),
            known: Arc::downgrade(known),
            barred: Arc::downgrade(barred),
        }
    }
}

impl PartialEq for Grounds {
    fn eq(&self, other: &Self) -> bool {
        self.model.ptr_eq(&other.model)
            && self.known.ptr_eq(&other.known)
            && self.barred.ptr_eq(&other.barred)
    }
}

#[derive(Clone)]
struct Kept {
    source: Source,
    list: Arc<Vec<RecommendedItem>>,
    grounds: Grounds,
    /// Seconds of the clock when it was made.
    at: f64,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Question, Kept> for Bytes {
    fn weight(&self, question: &Question, kept: &Kept) -> u64 {
        let question = question.tenant.len() + question.user.len() + question.asked.len();
        let items: usize = kept.list.iter().map(RecommendedItem::bytes).sum();
        (question + items) as u64 + OVERHEAD
    }
}

/// The lists of all tenants.
pub(crate) struct Answers {
    lists: Option<Cache<Question, Kept, Bytes>>,
    /// Seconds for which a list is good at most.
    seconds: f64,
}

impl Answers {
    /// Keeps so many bytes of lists, none for 0.
    pub(crate) fn new(bytes: u64, seconds: f64) -> Self {
        let items = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX).max(16);
        let lists = (bytes > 0).then(|| Cache::with_weighter(items, bytes, Bytes));
        Self { lists, seconds }
    }

    /// Finds a list that was made of these grounds.
    pub(crate) fn find(
        &self,
        question: &Question,
        grounds: &Grounds,
        now: f64,
    ) -> Option<(Source, Arc<Vec<RecommendedItem>>)> {
        let kept = self.lists.as_ref()?.get(question)?;
        let is_good = kept.grounds == *grounds && now - kept.at < self.seconds;
        is_good.then_some((kept.source, kept.list))
    }

    /// Keeps a list.
    pub(crate) fn keep(
        &self,
        question: Question,
        (source, list): (Source, Arc<Vec<RecommendedItem>>),
        grounds: Grounds,
        now: f64,
    ) {
        if let Some(lists) = &self.lists {
            lists.insert(question, Kept { source, list, grounds, at: now });
        }
    }

    /// Forgets the lists of a user.
    pub(crate) fn forget_user(&self, tenant: &str, user: &str) {
        if let Some(lists) = &self.lists {
            lists.retain(|question, _| question.tenant != tenant || question.user != user);
        }
    }

    /// Returns the bytes of the lists that are kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.lists.as_ref().map_or(0, Cache::weight)
    }
}
