//! Lists that need not be made again: bounded in bytes and time, and good only as long as all they rest on is what it was.
//!
//! A list rests on the model, on what its user did and on the items that must not be shown. Each of them is replaced when it changes,
//! so a list is good as long as it was made of the very ones that are there now, and nobody has to say what an event touches.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashlink::LruCache;

use super::tenant::Barred;
use super::{Known, Loaded};
use crate::api::recommend::{RecommendedItem, Source};

/// Bytes that a list takes beside its texts.
const OVERHEAD: usize = 512;
const SHELVES: usize = 16;

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

struct Kept {
    source: Source,
    list: Arc<Vec<RecommendedItem>>,
    grounds: Grounds,
    /// Seconds of the clock when it was made.
    at: f64,
    bytes: usize,
}

struct Shelf {
    lists: LruCache<Question, Kept>,
    bytes: usize,
}

/// The lists of all tenants; those that were asked for longest ago make room.
pub(crate) struct Answers {
    shelves: Vec<Mutex<Shelf>>,
    hasher: RandomState,
    /// Most bytes of a shelf.
    room: usize,
    /// Seconds for which a list is good at most.
    seconds: f64,
}

impl Answers {
    /// Keeps so many bytes of lists, none for 0.
    pub(crate) fn new(bytes: usize, seconds: f64) -> Self {
        let shelf = || Mutex::new(Shelf { lists: LruCache::new_unbounded(), bytes: 0 });
        Self {
            shelves: (0..SHELVES).map(|_| shelf()).collect(),
            hasher: RandomState::new(),
            room: bytes / SHELVES,
            seconds,
        }
    }

    fn shelf(&self, question: &Question) -> MutexGuard<'_, Shelf> {
        let shelf = self.hasher.hash_one(question) as usize % SHELVES;
        self.shelves[shelf].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a list that was made of these grounds.
    pub(crate) fn find(
        &self,
        question: &Question,
        grounds: &Grounds,
        now: f64,
    ) -> Option<(Source, Arc<Vec<RecommendedItem>>)> {
        let mut shelf = self.shelf(question);
        let kept = shelf.lists.get(question)?;
        let is_good = kept.grounds == *grounds && now - kept.at < self.seconds;
        is_good.then(|| (kept.source, kept.list.clone()))
    }

    /// Keeps a list.
    pub(crate) fn keep(
        &self,
        question: Question,
        (source, list): (Source, Arc<Vec<RecommendedItem>>),
        grounds: Grounds,
        now: f64,
    ) {
        let texts = question.tenant.len() + question.user.len() + question.asked.len();
        let items: usize = list.iter().map(RecommendedItem::bytes).sum();
        let bytes = texts + items + OVERHEAD;
        if bytes > self.room {
            return;
        }
        let mut shelf = self.shelf(&question);
        let old = shelf.lists.insert(question, Kept { source, list, grounds, at: now, bytes });
        shelf.bytes = shelf.bytes + bytes - old.map_or(0, |old| old.bytes);
        while shelf.bytes > self.room
            && let Some((_, oldest)) = shelf.lists.remove_lru()
        {
            shelf.bytes -= oldest.bytes;
        }
    }

    /// Forgets the lists of a user.
    pub(crate) fn forget_user(&self, tenant: &str, user: &str) {
        for shelf in &self.shelves {
            let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            let mut freed = 0;
            shelf.lists.retain(|question, kept| {
                let stays = question.tenant != tenant || question.user != user;
                freed += if stays { 0 } else { kept.bytes };
                stays
            });
            shelf.bytes -= freed;
        }
    }

    /// Returns the bytes of the lists that are kept.
    pub(crate) fn bytes(&self) -> usize {
        let bytes =
            |shelf: &Mutex<Shelf>| shelf.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        self.shelves.iter().map(bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(user: &str, asked: &str) -> Question {
        Question { tenant: "t".into(), user: user.into(), asked: asked.into() }
    }

    fn list() -> (Source, Arc<Vec<RecommendedItem>>) {
        (Source::Model, Arc::default())
    }

    fn grounds(known: &Arc<Known>) -> Grounds {
        Grounds { model: Weak::new(), known: Arc::downgrade(known), barred: Weak::new() }
    }

    #[test]
    fn a_list_is_good_for_a_while_on_the_same_grounds_only() {
        let (answers, known) = (Answers::new(1 << 20, 60.0), Arc::new(Known::default()));
        answers.keep(question("u", "n=1"), list(), grounds(&known), 0.0);
        assert!(answers.find(&question("u", "n=1"), &grounds(&known), 59.0).is_some());
        assert!(answers.find(&question("u", "n=1"), &grounds(&known), 60.0).is_none());
        assert!(answers.find(&question("u", "n=2"), &grounds(&known), 1.0).is_none());
        let other = Arc::new(Known::default());
        assert!(answers.find(&question("u", "n=1"), &grounds(&other), 1.0).is_none());
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let (answers, known) = (Answers::new(SHELVES * 4 * OVERHEAD, 60.0), Arc::default());
        for n in 0..1000 {
            let user = format!("u{n}");
            answers.keep(question(&user, ""), list(), grounds(&known), 0.0);
        }
        assert!((OVERHEAD..=SHELVES * 4 * OVERHEAD).contains(&answers.bytes()));
        (0..1000).for_each(|n| answers.forget_user("t", &format!("u{n}")));
        assert_eq!(answers.bytes(), 0);
        let none = Answers::new(0, 60.0);
        none.keep(question("u", ""), list(), grounds(&known), 0.0);
        assert_eq!(none.bytes(), 0);
    }
}
