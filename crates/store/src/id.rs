//! Ids from outside, and ids made here: time first, so that they sort in the order in which they were made.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use crate::MAX_ID;

/// Tells whether a text can be the id of something.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Tells whether a text can be the name of a tenant; it also names a folder of models.
pub fn is_tenant(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// Returns the id of the one event that a kind, a user and an item can have together, where a client counts them so.
pub fn event_key(kind: &str, user: &str, item: &str) -> String {
    format!("one-{}", hashed([kind, user, item].into_iter()))
}

/// Returns the id of an event of which a file tells when it happened, but no id: the same event told twice has the same one. It begins
/// with the time, as those that are made here, so that what happened together lies together.
pub fn event_key_at(kind: &str, user: &str, item: &str, time: i64) -> String {
    let hash = hashed([kind, user, item, &time.to_string()].into_iter());
    format!("at-{:012x}-{}", time.max(0), &hash[..32])
}

fn hashed<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes an id nobody else has: milliseconds, a count, and what differs from process to process.
pub fn new_id(unix_ms: i64) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) & 0xff_ffff;
    let mut own = [0u8; 6];
    // Without random numbers the count still tells the ids of one process apart.
    if getrandom::fill(&mut own).is_err() {
        own[..4].copy_from_slice(&std::process::id().to_le_bytes());
    }
    let own = own.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    format!("{:012x}{count:06x}{own:012x}", unix_ms.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_in_the_order_in_which_they_were_made() {
        let ids: Vec<String> =
            [1_700_000_000_000, 1_700_000_000_000, 1_700_000_000_001].map(new_id).into();
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(ids.iter().all(|id| is_id(id)));
    }

    #[test]
    fn an_event_told_twice_has_one_id_and_others_have_others() {
        let id = event_key_at("click", "u", "i", 7);
        assert_eq!(id, event_key_at("click", "u", "i", 7));
        assert!(is_id(&id) && id < event_key_at("click", "u", "i", 8));
        for (kind, user, item) in [("clic", "ku", "i"), ("click", "ui", ""), ("buy", "u", "i")] {
            assert_ne!(id, event_key_at(kind, user, item, 7));
        }
        assert_ne!(event_key_at("click", "u", "i", -1), event_key_at("click", "u", "i", 0));
    }

    #[test]
    fn what_cannot_be_an_id_is_told() {
        assert!(is_id("a/b'; DROP TABLE users; -- 蜜"));
        assert!(!is_id("") && !is_id("a\0b") && !is_id("a\nb") && !is_id(&"x".repeat(MAX_ID + 1)));
    }
}
