//! The suite of the store on SQLite.
#![expect(clippy::unwrap_used, reason = "tests")]

mod suite;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("50% of a #store?.db");
    suite::keeps_the_contract(path.to_str().unwrap()).await;
    assert!(path.exists());
}

/// A full disk makes SQLite end a transaction by itself, and then refuse another: so do these triggers. After both the driver would take
/// what comes next for part of a transaction that nobody commits.
#[tokio::test]
async fn what_is_acknowledged_after_a_failure_is_on_disk() {
    use sqlx::{AnyConnection, Connection as _, Executor as _};
    use tastemaker_store::{Change, Event, Repeat, Store};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = Store::open(path.to_str().unwrap()).await.unwrap();
    let url = format!("sqlite://{}", path.display());
    let mut other = AnyConnection::connect(&url).await.unwrap();
    for (kind, how) in [("bad", "ROLLBACK"), ("worse", "ABORT")] {
        let trigger = format!(
            "CREATE TRIGGER {kind} BEFORE INSERT ON events WHEN NEW.kind = '{kind}' BEGIN SELECT RAISE({how}, 'full'); END"
        );
        other.execute(sqlx::AssertSqlSafe(trigger)).await.unwrap();
    }
    let put = |id: &str, kind: &str| {
        let texts = [id, "u", "i", kind].map(str::to_owned);
        let [id, user, item, kind] = texts;
        let (value, time, none) = (1.0, 1, String::new());
        let (recommendation, comment, detail) = (none.clone(), none, "{}".into());
        let event = Event { id, user, item, kind, value, time, recommendation, comment, detail };
        let (tenant, events) = ("default".into(), vec![event]);
        store.change(Change::Events { tenant, events, repeat: Repeat::Keep })
    };
    put("before", "click").await.unwrap();
    assert!(put("bad", "bad").await.is_err());
    assert!(put("worse", "worse").await.is_err());
    put("after", "click").await.unwrap();
    let kept: Vec<(String,)> =
        sqlx::query_as("SELECT id FROM events ORDER BY id").fetch_all(&mut other).await.unwrap();
    assert_eq!(kept, [("after".to_owned(),), ("before".to_owned(),)]);
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_says_so() {
    let missing = tastemaker_store::Store::open("/nowhere/at/all/store.db").await;
    let error = missing.err().unwrap().to_string();
    assert!(error.contains("/nowhere/at/all/store.db"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.db");
    std::fs::write(&path, "no database").unwrap();
    let other = tastemaker_store::Store::open(path.to_str().unwrap()).await;
    let error = other.err().unwrap().to_string();
    assert!(error.contains("notes.db") && error.contains("file is not a database"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"no database");
}
