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
    /// All of the request, as JSON, and the arm of an experiment that answers it.
    pub(crate) asked: String,
    /// What is drawn.
    pub(crate) draw: u64,
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

impl Grounds {
    /// Tells whether what the user did and the items that must not be shown are what they were.
    fn are_there(&self) -> bool {
        self.known.strong_count() > 0 && self.barred.strong_count() > 0
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
        // What it was made of may have gone meanwhile, and its user with it.
        if bytes > self.room || !grounds.are_there() {
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
        self.retain(|question, _| question.tenant != tenant || question.user != user);
    }

    /// Forgets the lists that are not good any more.
    pub(crate) fn sweep(&self, now: f64) {
        self.retain(|_, kept| now - kept.at < self.seconds && kept.grounds.are_there());
    }

    fn retain(&self, stays: impl Fn(&Question, &Kept) -> bool) {
        for shelf in &self.shelves {
            let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            let mut freed = 0;
            shelf.lists.retain(|question, kept| {
                let stays = stays(question, kept);
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
        Question { tenant: "t".into(), user: user.into(), asked: asked.into(), draw: 0 }
    }

    fn list() -> (Source, Arc<Vec<RecommendedItem>>) {
        (Source::Model, Arc::default())
    }

    /// What a list rests on, for which it must stay alive.
    #[derive(Default)]
    struct World {
        known: Arc<Known>,
        barred: Arc<Barred>,
    }

    impl World {
        fn grounds(&self) -> Grounds {
            let (known, barred) = (Arc::downgrade(&self.known), Arc::downgrade(&self.barred));
            Grounds { model: Weak::new(), known, barred }
        }
    }

    #[test]
    fn a_list_is_good_for_a_while_on_the_same_grounds_only() {
        let (answers, world) = (Answers::new(1 << 20, 60.0), World::default());
        answers.keep(question("u", "n=1"), list(), world.grounds(), 0.0);
        assert!(answers.find(&question("u", "n=1"), &world.grounds(), 59.0).is_some());
        assert!(answers.find(&question("u", "n=1"), &world.grounds(), 60.0).is_none());
        assert!(answers.find(&question("u", "n=2"), &world.grounds(), 1.0).is_none());
        assert!(answers.find(&question("u", "n=1"), &World::default().grounds(), 1.0).is_none());
    }

    #[test]
    fn lists_of_what_has_gone_are_swept_away_and_not_kept() {
        let (answers, world) = (Answers::new(1 << 20, 60.0), World::default());
        let grounds = world.grounds();
        answers.keep(question("u", "n=1"), list(), grounds.clone(), 0.0);
        answers.sweep(1.0);
        assert!(answers.bytes() > 0);
        drop(world);
        answers.sweep(1.0);
        assert_eq!(answers.bytes(), 0);
        answers.keep(question("u", "n=1"), list(), grounds, 1.0);
        assert_eq!(answers.bytes(), 0);
        let world = World::default();
        answers.keep(question("u", "n=1"), list(), world.grounds(), 1.0);
        answers.sweep(61.0);
        assert_eq!(answers.bytes(), 0);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let (answers, world) = (Answers::new(SHELVES * 4 * OVERHEAD, 60.0), World::default());
        for n in 0..1000 {
            let user = format!("u{n}");
            answers.keep(question(&user, ""), list(), world.grounds(), 0.0);
        }
        assert!((OVERHEAD..=SHELVES * 4 * OVERHEAD).contains(&answers.bytes()));
        (0..1000).for_each(|n| answers.forget_user("t", &format!("u{n}")));
        assert_eq!(answers.bytes(), 0);
        let none = Answers::new(0, 60.0);
        none.keep(question("u", ""), list(), world.grounds(), 0.0);
        assert_eq!(none.bytes(), 0);
    }
}
