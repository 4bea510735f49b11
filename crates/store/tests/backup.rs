//! Copies of a store: made while somebody writes, put back while nobody has the store open.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tastemaker_store::{
    Change, Error, Event, EventFilter, NewKey, Repeat, Scope, Store, back_up, restore,
};

fn event(id: &str) -> Event {
    Event {
        id: id.into(),
        user: "u".into(),
        item: "i".into(),
        kind: "click".into(),
        value: 1.0,
        time: 1,
        recommendation: String::new(),
        comment: String::new(),
        detail: "{}".into(),
    }
}

async fn put(store: &Store, id: &str) {
    let (tenant, events) = ("default".to_owned(), vec![event(id)]);
    store.change(Change::Events { tenant, events, repeat: Repeat::Keep }).await.unwrap();
}

async fn ids(store: &Store) -> Vec<String> {
    let page = store.events("default", &EventFilter::default(), "", 1_000_000).await.unwrap();
    page.rows.into_iter().map(|event| event.id).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Closes a store, and with it the log of its writes.
async fn closed(store: Store, path: &Path) {
    store.close().await.unwrap();
    assert!(!PathBuf::from(format!("{}-wal", path.display())).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_under_writes_holds_all_that_was_acknowledged_before() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("50% #store?.db"), dir.path().join("copies' of it"));
    std::fs::create_dir(&out).unwrap();
    let out = out.join("copy.db");
    let store = Store::open(text(&path)).await.unwrap();
    let key = NewKey::new("default", "mine", Scope::Admin, 1).unwrap();
    store.change(Change::Key(key.record)).await.unwrap();
    for n in 0..50 {
        put(&store, &format!("before-{n:02}")).await;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, is_over) = (store.clone(), is_over.clone());
        tokio::spawn(async move {
            let mut n = 0;
            while !is_over.load(Ordering::SeqCst) {
                put(&store, &format!("during-{n:06}")).await;
                n += 1;
            }
            n
        })
    };
    for round in 0..3 {
        let before = ids(&store).await;
        let made = back_up(text(&path), &out).await.unwrap();
        assert!(made.events >= before.len() as i64 && made.keys == 1, "{made:?}");
        let copy = dir.path().join(format!("opened-{round}.db"));
        std::fs::copy(&out, &copy).unwrap();
        let opened = Store::open(text(&copy)).await.unwrap();
        let kept = ids(&opened).await;
        assert_eq!(kept.len() as i64, made.events);
        assert!(before.iter().all(|id| kept.contains(id)), "round {round}");
        // Of what came meanwhile there is a beginning and no hole.
        let during: Vec<&String> = kept.iter().filter(|id| id.starts_with("during")).collect();
        let last = during.last().map_or(0, |id| id[7..].parse::<usize>().unwrap() + 1);
        assert_eq!(during.len(), last);
    }
    is_over.store(true, Ordering::SeqCst);
    assert!(writer.await.unwrap() > 0);
    assert_eq!(names(out.parent().unwrap()), ["copy.db"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_put_back_in_the_place_of_a_store_that_nobody_has_open() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store.db"), dir.path().join("copy.db"));
    let store = Store::open(text(&path)).await.unwrap();
    put(&store, "kept").await;
    back_up(text(&path), &copy).await.unwrap();
    put(&store, "lost").await;
    // It is open here, and does nothing.
    for force in [false, true] {
        let refused = restore(&copy, text(&path), force).await;
        assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    }
    assert_eq!(ids(&store).await, ["kept", "lost"]);
    closed(store, &path).await;
    let refused = restore(&copy, text(&path), false).await.unwrap_err();
    assert!(matches!(refused, Error::Occupied { rows: 2, .. }), "{refused}");
    let made = restore(&copy, text(&path), true).await.unwrap();
    assert_eq!(made.events, 1);
    let store = Store::open(text(&path)).await.unwrap();
    assert_eq!(ids(&store).await, ["kept"]);
    put(&store, "after").await;
    closed(store, &path).await;
    assert_eq!(names(dir.path()), ["copy.db", "store.db"]);

    // Where there is no store, and where there is one that was never used.
    let new = dir.path().join("new.db");
    restore(&copy, text(&new), false).await.unwrap();
    let empty = dir.path().join("empty.db");
    closed(Store::open(text(&empty)).await.unwrap(), &empty).await;
    restore(&copy, text(&empty), false).await.unwrap();
    for path in [new, empty] {
        assert_eq!(ids(&Store::open(text(&path)).await.unwrap()).await, ["kept"]);
    }
}

#[tokio::test]
async fn what_is_no_sound_copy_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store.db"), dir.path().join("copy.db"));
    let store = Store::open(text(&path)).await.unwrap();
    for n in 0..200 {
        put(&store, &format!("{n:04}")).await;
    }
    back_up(text(&path), &copy).await.unwrap();
    let sound = std::fs::read(&copy).unwrap();
    // A live file is no copy: its newest events may lie beside it.
    let other = dir.path().join("other.db");
    let refused = restore(&path, text(&other), false).await.unwrap_err();
    assert!(matches!(refused, Error::NotACopy { .. }), "{refused}");
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4096].fill(0x5a);
    let foreign = dir.path().join("foreign.db");
    let made = format!("sqlite://{}?mode=rwc", foreign.display());
    sqlx::any::install_default_drivers();
    let mut conn = <sqlx::AnyConnection as sqlx::Connection>::connect(&made).await.unwrap();
    sqlx::query("CREATE TABLE notes (text TEXT)").execute(&mut conn).await.unwrap();
    drop(conn);
    let foreign = std::fs::read(&foreign).unwrap();
    for (bytes, says) in [
        (&damaged, "no sound store"),
        (&sound[..sound.len() / 2].to_vec(), "no sound store"),
        (&b"no database at all, but long enough to be looked at".to_vec(), "not a database"),
        (&foreign, "schema_version"),
    ] {
        std::fs::write(&copy, bytes).unwrap();
        let refused = restore(&copy, text(&other), true).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
        assert!(!other.exists());
    }
    // One of a later version.
    std::fs::write(&copy, &sound).unwrap();
    let url = format!("sqlite://{}", copy.display());
    let mut conn = <sqlx::AnyConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::query("INSERT INTO schema_version VALUES (9999)").execute(&mut conn).await.unwrap();
    drop(conn);
    let refused = restore(&copy, text(&other), true).await.unwrap_err();
    assert!(matches!(refused, Error::TooNew { found: 9999, .. }), "{refused}");
    // A damaged store is the reason to restore, and is replaced when that is said.
    std::fs::write(&copy, &sound).unwrap();
    std::fs::write(&other, b"no database at all, but long enough to be looked at").unwrap();
    let refused = restore(&copy, text(&other), false).await.unwrap_err();
    assert!(matches!(refused, Error::Strange { .. }), "{refused}");
    restore(&copy, text(&other), true).await.unwrap();
    assert_eq!(ids(&Store::open(text(&other)).await.unwrap()).await.len(), 200);
}

#[tokio::test]
async fn a_copy_is_written_over_no_other_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = Store::open(text(&path)).await.unwrap();
    put(&store, "kept").await;
    let refused = back_up(text(&path), &path).await.unwrap_err();
    assert!(refused.to_string().contains("must be another file"), "{refused}");
    let refused = restore(&path, text(&path), true).await.unwrap_err();
    // It is in use as well, which is told first.
    assert!(matches!(refused, Error::NotACopy { .. }), "{refused}");
    let notes = dir.path().join("notes.txt");
    std::fs::write(&notes, "mine").unwrap();
    let refused = back_up(text(&path), &notes).await.unwrap_err().to_string();
    assert!(refused.contains("notes.txt") && refused.contains("cannot replace"), "{refused}");
    assert_eq!(std::fs::read(&notes).unwrap(), b"mine");
    let missing = dir.path().join("nothing.db");
    let refused = back_up(text(&missing), &notes).await.unwrap_err();
    assert!(matches!(refused, Error::Missing { .. }) && !missing.exists(), "{refused}");
    let nowhere = dir.path().join("no/such/folder/copy.db");
    let refused = back_up(text(&path), &nowhere).await.unwrap_err().to_string();
    assert!(refused.contains("no/such/folder"), "{refused}");
    for (address, says) in [("postgres://me:secret@host/db", "pg_dump")] {
        let refused = back_up(address, &notes).await.unwrap_err().to_string();
        assert!(refused.contains(says) && !refused.contains("secret"), "{refused}");
    }
    let refused = restore(&path, "postgres://me:secret@host/db", true).await.unwrap_err();
    assert!(refused.to_string().contains("pg_restore"), "{refused}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_may_read_a_copy_who_may_not_read_the_store() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store.db"), dir.path().join("copy.db"));
    let mode = |path: &Path| metadata(path).unwrap().permissions().mode() & 0o777;
    let set = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let store = Store::open(text(&path)).await.unwrap();
    put(&store, "kept").await;
    for rights in [0o600, 0o640] {
        set(&path, rights);
        // Also over a copy that was open to everybody.
        if copy.exists() {
            set(&copy, 0o644);
        }
        back_up(text(&path), &copy).await.unwrap();
        assert_eq!(mode(&copy), rights);
    }
    closed(store, &path).await;
    set(&copy, 0o644);
    for rights in [0o600, 0o640] {
        set(&path, rights);
        restore(&copy, text(&path), true).await.unwrap();
        assert_eq!(mode(&path), rights);
    }
    let new = dir.path().join("new.db");
    restore(&copy, text(&new), false).await.unwrap();
    assert_eq!((mode(&new), mode(&copy)), (0o600, 0o644));
}
