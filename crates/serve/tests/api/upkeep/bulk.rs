//! Rows to files and back.

use std::path::{Path, PathBuf};

use serde_json::json;
use tastemaker_engine::core::{Silent, SystemClock};
use tastemaker_serve::bulk::{Export, ExportReport, FileKind, Import, ImportReport};
use tastemaker_serve::store::Store;

use crate::home::Home;

pub(super) async fn export(store: &Store, out: &Path, kind: FileKind) -> ExportReport {
    let (tenant, progress) = ("default", &Silent);
    Export { store, tenant, out, kind, progress }.run().await.unwrap()
}

pub(super) async fn import(
    store: &Store,
    [events, items, users]: [Option<&Path>; 3],
) -> Result<ImportReport, String> {
    let (tenant, clock, progress) = ("default", &SystemClock::default(), &Silent);
    let import = Import { store, tenant, events, items, users, clock, progress };
    import.run().await.map_err(|error| error.to_string())
}

fn all(dir: &Path, end: &str) -> [PathBuf; 3] {
    ["events", "items", "users"].map(|name| dir.join(format!("{name}.{end}")))
}

fn bytes(files: &[PathBuf]) -> Vec<Vec<u8>> {
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// A store in which there is something of every kind, told by every way in.
async fn told() -> Home {
    let home = Home::empty().await;
    let events = json!({ "events": [
        { "event_id": "e1", "user_id": "u/1", "item_id": "蜜\"", "value": 0.30000000000000004, "timestamp": 1_645_660_800.5,
          "context": { "page": { "deep": [1, 2.50, "x\\y"] } }, "comment": "words", "recommendation_id": "r1" },
        { "event_id": "e2", "user_id": "u/1", "item_id": "i2", "event_type": "impression", "timestamp": "1970-01-01T00:00:01.002Z" },
        { "user_id": "u2", "item_id": "i2", "value": -3e30 },
    ]});
    assert_eq!(home.post("/v1/events", events).await.status, 200);
    let star = json!([{ "FeedbackType": "star", "UserId": "u2", "ItemId": "i3", "Value": 4.7, "Timestamp": "2022-02-24", "Labels": ["a", 0.1], "Comment": "" },
        { "FeedbackType": "star", "UserId": "u3", "ItemId": "i3", "Timestamp": "" }]);
    assert_eq!(home.post("/api/feedback", star).await.status, 200);
    let items = json!({ "items": [
        { "item_id": "i1", "fields": { "title": "Häuser\n", "n": 1e-7, "embedding": [0.12345678901234567, 1.0] }, "categories": ["a|b", "c"], "comment": "蜜" },
        { "item_id": "i2", "hidden": true, "timestamp": 1_764_410_400_123_i64 },
    ]});
    assert_eq!(home.post("/v1/items", items).await.status, 200);
    let users = json!({ "users": [{ "user_id": "u/1", "fields": { "age": 30 } }, { "user_id": "u4", "comment": "c" }] });
    assert_eq!(home.post("/v1/users", users).await.body["written"], 2);
    home
}

#[tokio::test]
async fn what_goes_out_and_in_again_is_the_same_to_the_byte() {
    let home = told().await;
    for (kind, end) in [(FileKind::Jsonl, "jsonl"), (FileKind::Parquet, "parquet")] {
        let (out, again) = (home.dir.path().join(end), home.dir.path().join(format!("{end}-2")));
        let report = export(&home.store, &out, kind).await;
        assert_eq!((report.events, report.items, report.users), (5, 2, 2));
        let files = all(&out, end);
        assert_eq!(report.files, files);
        let other = Home::empty().await;
        let paths = files.each_ref().map(|file| Some(file.as_path()));
        let done = import(&other.store, paths).await.unwrap();
        let events = done.events.unwrap();
        assert_eq!((events.rows, events.written, events.known, events.left_out), (5, 5, 0, 0));
        assert_eq!((done.items.unwrap().written, done.users.unwrap().written), (2, 2));
        export(&other.store, &again, kind).await;
        assert_eq!(bytes(&files), bytes(&all(&again, end)), "{end}");
        // Twice is once.
        let done = import(&other.store, paths).await.unwrap().events.unwrap();
        assert_eq!((done.rows, done.written, done.known), (5, 0, 5));
        export(&other.store, &again, kind).await;
        assert_eq!(bytes(&files), bytes(&all(&again, end)), "{end}");
        let mut names: Vec<_> =
            std::fs::read_dir(&again).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort_unstable();
        assert_eq!(names.len(), 3, "{names:?}");
    }
    // A line is what the API is told.
    let text = std::fs::read_to_string(home.dir.path().join("jsonl/events.jsonl")).unwrap();
    let other = Home::empty().await;
    for line in text.lines().filter(|line| !line.contains(r#""context":["#)) {
        let got = other.post("/v1/events", serde_json::from_str(line).unwrap()).await;
        assert_eq!((got.status, &got.body["accepted"]), (200, &json!(1)), "{line}");
    }
}

#[tokio::test]
async fn more_rows_than_a_commit_takes_and_events_without_ids_count_once() {
    let home = Home::empty().await;
    let path = home.dir.path().join("log.jsonl");
    let mut text = String::new();
    for n in 0..9001 {
        text.push_str(&format!(
            "{{\"user_id\":\"u{}\",\"item_id\":\"i{n}\",\"timestamp\":{n}}}\n",
            n % 7
        ));
    }
    std::fs::write(&path, text).unwrap();
    let before = home.store.commits();
    for (written, known) in [(9001, 0), (0, 9001)] {
        let done = import(&home.store, [Some(&path), None, None]).await.unwrap().events.unwrap();
        assert_eq!((done.rows, done.written, done.known), (9001, written, known));
    }
    assert_eq!(home.store.commits() - before, 6);
    let out = home.dir.path().join("out");
    assert_eq!(export(&home.store, &out, FileKind::Jsonl).await.events, 9001);
}

#[tokio::test]
async fn a_bad_row_is_told_with_its_place_before_anything_is_written() {
    let home = Home::empty().await;
    let (events, items) =
        (home.dir.path().join("events.jsonl"), home.dir.path().join("items.jsonl"));
    std::fs::write(&items, "{\"item_id\":\"i1\"}\n").unwrap();
    let good = "{\"user_id\":\"u\",\"item_id\":\"i\"}\n".repeat(5000);
    for (line, says) in [
        (
            "{\"user_id\":\"u\",\"item_id\":\"i\",\"timestamp\":\"soon\"}",
            "line 5001, `timestamp`: `soon` is no time",
        ),
        ("{\"user_id\":\"u\"}", "line 5001, `item_id`: it is missing"),
        ("{\"user_id\":", "line 5001: a line must be one object"),
    ] {
        std::fs::write(&events, format!("{good}{line}\n")).unwrap();
        let error = import(&home.store, [Some(&events), Some(&items), None]).await.unwrap_err();
        assert!(error.contains("events.jsonl") && error.contains(says), "{error}");
        assert_eq!(home.store.counts("default").await.unwrap(), [0; 4]);
    }
    let missing = home.dir.path().join("nothing.jsonl");
    let error = import(&home.store, [None, Some(&missing), None]).await.unwrap_err();
    assert!(error.contains("nothing.jsonl does not exist"), "{error}");
}

#[tokio::test]
async fn events_of_an_erased_item_stay_away_also_when_the_item_comes_with_them() {
    let home = Home::empty().await;
    let put = |name: &str, text: &str| {
        let path = home.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let events = put(
        "events.jsonl",
        "{\"user_id\":\"u\",\"item_id\":\"gone\",\"timestamp\":1}\n{\"user_id\":\"u\",\"item_id\":\"i\",\"timestamp\":1}\n",
    );
    let items = put("items.jsonl", "{\"item_id\":\"gone\"}\n");
    assert_eq!(home.ask(("DELETE", "/v1/items/gone"), None, "").await.status, 200);
    let done = import(&home.store, [Some(&events), Some(&items), None]).await.unwrap();
    let events = done.events.unwrap();
    assert_eq!((events.rows, events.written, events.left_out), (2, 1, 1));
    assert_eq!(done.items.unwrap().written, 1);
    assert_eq!(home.get("/v1/items/gone").await.status, 200);
    assert_eq!(home.get("/v1/events?item_id=gone").await.body["events"], json!([]));
}

#[tokio::test]
async fn labels_of_gorse_that_are_no_object_go_out_and_in_again() {
    let home = Home::empty().await;
    for labels in [json!(["a", "b"]), json!({ "k": [1] }), json!("text"), json!(null)] {
        let item = json!({ "ItemId": "i", "Labels": labels, "Timestamp": "2022-02-22" });
        assert_eq!(home.post("/api/item", item).await.status, 200);
        assert_eq!(
            home.post("/api/user", json!({ "UserId": "u", "Labels": labels })).await.status,
            200
        );
        for (kind, end) in [(FileKind::Jsonl, "jsonl"), (FileKind::Parquet, "parquet")] {
            let out = home.dir.path().join(end);
            export(&home.store, &out, kind).await;
            let [_, items, users] = all(&out, end);
            let other = Home::empty().await;
            import(&other.store, [None, Some(&items), Some(&users)]).await.unwrap();
            let expected = if labels.is_null() { json!({}) } else { labels.clone() };
            assert_eq!(other.get("/api/item/i").await.body["Labels"], expected);
            assert_eq!(other.get("/api/user/u").await.body["Labels"], expected);
        }
        assert_eq!(home.get("/api/item/i").await.body["Labels"], labels);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_exported_is_for_its_owner_alone() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let home = told().await;
    let out = home.dir.path().join("out");
    for (kind, end) in [(FileKind::Jsonl, "jsonl"), (FileKind::Parquet, "parquet")] {
        for _ in 0..2 {
            export(&home.store, &out, kind).await;
            for file in all(&out, end) {
                assert_eq!(
                    metadata(&file).unwrap().permissions().mode() & 0o777,
                    0o600,
                    "{file:?}"
                );
                // An export before this one was open to everybody, and so was what is left of one that was killed.
                let left = out.join(format!("{}.unfinished", file.file_name().unwrap().display()));
                std::fs::write(&left, "x").unwrap();
                for path in [file, left] {
                    set_permissions(path, Permissions::from_mode(0o644)).unwrap();
                }
            }
        }
    }
}
