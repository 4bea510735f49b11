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
