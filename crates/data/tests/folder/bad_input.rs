//! Bad input of every kind: a clear error with file, line and column, and nothing half-written.

use std::{fs, path::PathBuf};

use crate::home::Home;
use tastemaker_data::{BadRows, ColumnOverrides, Dataset, ImportOptions, Sources, Unknown};

/// Imports `events` (and `items`), which must fail, and checks that the failure left no trace.
fn failure(home: &Home, sources: &Sources, options: &ImportOptions) -> String {
    let before = home.names();
    let error = home.import(sources, options).unwrap_err();
    assert_eq!(home.names(), before, "nothing is left beside the sources after: {error}");
    assert!(error.chars().next().is_some_and(|c| !c.is_uppercase() || c == '/'), "{error}");
    assert!(!error.ends_with('.'), "{error}");
    error
}

fn events(content: impl AsRef<[u8]>) -> String {
    let home = Home::new();
    let interactions = home.put("events.csv", content);
    failure(&home, &Sources { interactions, ..Default::default() }, &ImportOptions::default())
}

fn with_items(events: &str, items: &str, options: &ImportOptions) -> Result<Dataset, String> {
    let home = Home::new();
    let interactions = home.put("events.csv", events);
    let items = Some(home.put("items.csv", items));
    let sources = Sources { interactions, items, ..Default::default() };
    if let Ok(_manifest) = home.import(&sources, options) {
        return Ok(home.open());
    }
    Err(failure(&home, &sources, options))
}

#[track_caller]
fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "expected `{part}` in: {error}");
    }
}

#[test]
fn a_missing_column_is_named_with_those_found_and_the_flag() {
    assert_says(
        &events("who,item_id\n1,2\n"),
        &["events.csv", "line 1", "`who`, `item_id`", "--user-column"],
    );
    assert_says(&events("user_id,what\n1,2\n"), &["no item column", "--item-column"]);
    let home = Home::new();
    let interactions = home.put("events.csv", "user_id,item_id,stars\n1,2,3\n");
    let columns = ColumnOverrides { rating: Some("star".into()), ..Default::default() };
    let sources = Sources { interactions, columns, ..Default::default() };
    let error = failure(&home, &sources, &ImportOptions::default());
    assert_says(&error, &["no column `star`", "--rating-column", "did you mean `stars`"]);
    let home = Home::new();
    let interactions = home.put("e.csv", "user_id,item_id\n1,2\n");
    let items = Some(home.put("i.csv", "sku_number,title\n2,x\n"));
    let sources = Sources { interactions, items, ..Default::default() };
    let error = failure(&home, &sources, &ImportOptions::default());
    assert_says(&error, &["i.csv", "no item column", "--item-column"]);
}

#[test]
fn an_empty_file_and_a_header_alone_are_told_apart() {
    assert_says(&events(""), &["events.csv is empty", "rows with a user and an item"]);
    assert_says(&events("\n \n\n"), &["events.csv is empty"]);
    assert_says(&events("user_id,item_id\n"), &["header", "`user_id`, `item_id`", "no rows"]);
    let error = with_items("user_id,item_id\n1,2\n", "item_id,title\n", &ImportOptions::default());
    assert_says(&error.unwrap_err(), &["items.csv", "no rows", "one row per item"]);
    let home = Home::new();
    let interactions = home.gz("events.csv.gz", "");
    let sources = Sources { interactions, ..Default::default() };
    assert_says(&failure(&home, &sources, &ImportOptions::default()), &["is empty"]);
}

#[test]
fn a_wrong_separator_is_suspected() {
    assert_says(
        &events("user_id^item_id\n1^2\n"),
        &["no user column", "separated by something else"],
    );
    assert_says(
        &events("user_id,item_id\n1;2\n"),
        &["line 2", "1 fields, but the header has 2", "separator"],
    );
    assert_says(&events("user_id,item_id\n1,2\n1,2,3\n"), &["line 3", "3 fields"]);
}

#[test]
fn broken_utf8_is_found_with_line_and_column() {
    assert_says(
        &events(b"user_id,item_id\n1,2\n1,caf\xe9\n"),
        &["line 3", "column `item_id`", "UTF-8", "iconv"],
    );
    let home = Home::new();
    let interactions = home.put("e.csv", "user_id,item_id\n1,2\n");
    let items = Some(home.put("i.csv", b"item_id,title\n2,caf\xe9\n"));
    let sources = Sources { interactions, items, ..Default::default() };
    let error = failure(&home, &sources, &ImportOptions::default());
    assert_says(&error, &["i.csv", "line 2", "column `title`", "UTF-8"]);
}

#[test]
fn ratings_are_finite_numbers() {
    for bad in ["NaN", "inf", "-inf", "1e99", "good"] {
        let error = events(format!("user_id,item_id,rating\n1,2,5\n1,3,{bad}\n"));
        assert_says(
            &error,
            &["line 3", "column `rating`", &format!("`{bad}`"), "no finite number"],
        );
    }
}

#[test]
fn times_are_possible_and_of_one_unit() {
    let time =
        |cell: &str| events(format!("user_id,item_id,timestamp\n1,2,1700000000\n1,3,{cell}\n"));
    assert_says(&time("-1"), &["line 3", "column `timestamp`", "negative"]);
    assert_says(&time("99999999999"), &["line 3", "beyond the year 2200"]);
    assert_says(&time("1700000000000"), &["line 3", "milliseconds", "earlier rows are in seconds"]);
    assert_says(&time("soon"), &["line 3", "`soon` is no time", "ISO 8601"]);
}

#[test]
fn ids_are_not_empty_and_not_endless() {
    assert_says(&events("user_id,item_id\n,2\n"), &["line 2", "column `user_id` is empty"]);
    assert_says(&events("user_id,item_id\n1,  \n"), &["line 2", "column `item_id` is empty"]);
    let long = "x".repeat(2000);
    assert_says(
        &events(format!("user_id,item_id\n1,{long}\n")),
        &["id of 2000 bytes", "right column"],
    );
}

#[test]
fn an_id_stands_once_in_the_items_file() {
    let items = "item_id,title\n2,a\n3,b\n2,c\n";
    let error = with_items("user_id,item_id\n1,2\n", items, &ImportOptions::default());
    assert_says(
        &error.unwrap_err(),
        &["items.csv", "line 4", "id `2` was given before", "every item"],
    );
    let skip = ImportOptions { bad_rows: BadRows::Skip, ..Default::default() };
    let data = with_items("user_id,item_id\n1,2\n", items, &skip).unwrap();
    assert_eq!(data.items.field(0, "title").as_deref(), Some("a"));
    assert_eq!(data.manifest.dropped[0].count, 1);
}

#[test]
fn an_event_for_an_unknown_item_is_added_dropped_or_refused() {
    let (events, items) = ("user_id,item_id\n1,2\n1,9\n2,9\n", "item_id,title\n2,a\n");
    let with = |unknown_items| ImportOptions { unknown_items, ..Default::default() };
    let added = with_items(events, items, &with(Unknown::Add)).unwrap();
    assert_eq!((added.n_items(), added.histories.n_events()), (2, 3));
    assert_says(
        &added.manifest.problems.join("\n"),
        &["1 items with events are not in the items file"],
    );
    let dropped = with_items(events, items, &with(Unknown::Drop)).unwrap();
    assert_eq!((dropped.n_items(), dropped.n_users(), dropped.histories.n_events()), (1, 1, 1));
    assert_says(&dropped.manifest.dropped[0].to_string(), &["2 events", "not in the items file"]);
    let error = with_items(events, items, &with(Unknown::Error)).unwrap_err();
    assert_says(&error, &["events.csv, line 3", "item `9`", "--unknown-items"]);
}

#[test]
fn a_truncated_gz_or_zst_is_called_cut_off() {
    let text: String =
        (0..20_000).fold("user_id,item_id\n".into(), |t, i| t + &format!("{i},{}\n", i * 7 % 911));
    let home = Home::new();
    let whole = fs::read(home.gz("whole.csv.gz", &text)).unwrap();
    let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (name, bytes) in [("a.csv.gz", &whole), ("a.csv.zst", &packed)] {
        for keep in [bytes.len() - 1, bytes.len() / 2, 15] {
            let interactions = home.put(name, &bytes[..keep]);
            let sources = Sources { interactions, ..Default::default() };
            let error = failure(&home, &sources, &ImportOptions::default());
            assert_says(&error, &[name, "cut off or damaged", "again"]);
        }
    }
}

#[test]
fn a_truncated_or_damaged_parquet_is_no_readable_one() {
    let home = Home::new();
    home.data(home.put("e.csv", "user_id,item_id\n1,2\n1,3\n2,3\n"));
    let whole = fs::read(home.out().join("events.parquet")).unwrap();
    for keep in [whole.len() - 1, whole.len() / 2, 6] {
        let interactions = home.put("cut.parquet", &whole[..keep]);
        let sources = Sources { interactions, ..Default::default() };
        let error = failure(&home, &sources, &ImportOptions::default());
        assert_says(&error, &["cut.parquet", "no readable Parquet file"]);
    }
}

#[test]
fn paths_that_are_not_files_are_named() {
    let home = Home::new();
    let import = |interactions: PathBuf| {
        failure(&home, &Sources { interactions, ..Default::default() }, &ImportOptions::default())
    };
    assert_says(&import(home.path("nothing.csv")), &["nothing.csv", "does not exist"]);
    assert_says(&import(home.path("")), &["is a folder", "name the file"]);
}

#[test]
fn an_out_folder_that_cannot_be_written_is_refused_before_reading() {
    let home = Home::new();
    let interactions = home.put("e.csv", "user_id,item_id\n1,2\n");
    let sources = Sources { interactions: interactions.clone(), ..Default::default() };
    let import = |out: PathBuf| {
        let options = ImportOptions::default();
        tastemaker_data::import(&sources, &options, &out, &tastemaker_core::Silent)
            .unwrap_err()
            .to_string()
    };
    assert_says(&import(interactions.join("out")), &["cannot write", "e.csv/out"]);
    assert_says(&import(interactions), &["cannot write", "e.csv"]);
    fs::create_dir(home.path("full")).unwrap();
    home.put("full/thesis.tex", "x");
    assert_says(&import(home.path("full")), &["not empty and no tastemaker-data folder", "--out"]);
    assert_eq!(crate::home::names(&home.path("full")), ["thesis.tex"]);
}

#[test]
fn an_over_long_row_stops_the_import() {
    let endless = format!("user_id,item_id\n1,\"{}\n", "x\n".repeat(9 << 20));
    assert_says(&events(endless), &["longer than 16 MB", "quote"]);
    let home = Home::new();
    let interactions = home.put("e.jsonl", "x".repeat(17 << 20));
    let skip = ImportOptions { bad_rows: BadRows::Skip, ..Default::default() };
    let error = failure(&home, &Sources { interactions, ..Default::default() }, &skip);
    assert_says(&error, &["e.jsonl", "line 1", "longer than 16 MB"]);
}

#[test]
fn a_quote_that_is_never_closed_ends_the_import_even_when_bad_rows_are_skipped() {
    let home = Home::new();
    for bad_rows in [BadRows::Error, BadRows::Skip] {
        let options = ImportOptions { bad_rows, ..Default::default() };
        let says = |interactions: &str, items: &str, parts: &[&str]| {
            let interactions = home.put("e.csv", interactions);
            let items = Some(home.put("i.csv", items));
            let sources = Sources { interactions, items, ..Default::default() };
            assert_says(&failure(&home, &sources, &options), parts);
        };
        let (events, items) = ("user_id,item_id\n1,2\n1,3\n2,3\n", "item_id,title\n2,a\n3,b\n");
        let quoted = |text: &str, place: &str| text.replacen(place, &format!("\"{place}"), 1);
        says(&quoted(events, "3\n2"), items, &["e.csv, line 3", "never closed"]);
        says(events, &quoted(items, "a\n3"), &["i.csv, line 2", "never closed"]);
        says(&quoted(events, "item_id"), items, &["e.csv, line 1", "never closed"]);
    }
}

#[test]
fn json_that_is_none_is_told_with_its_line() {
    let home = Home::new();
    let import = |content: &str| {
        let interactions = home.put("e.jsonl", content);
        failure(&home, &Sources { interactions, ..Default::default() }, &ImportOptions::default())
    };
    assert_says(
        &import("{\"user_id\":1,\"item_id\":2}\n{\"user_id\":\n"),
        &["line 2", "no valid JSON object"],
    );
    assert_says(&import("[{\"user_id\":1,\"item_id\":2}]\n"), &["line 1", "jq -c"]);
    assert_says(
        &import("{\"user_id\":1,\"item_id\":2}\n{\"user_id\":1}\n"),
        &["line 2", "`item_id` is empty"],
    );
}

#[test]
fn an_id_in_json_is_text_or_an_exact_whole_number() {
    let home = Home::new();
    let large = u64::MAX;
    let events = format!(
        "{{\"user_id\":{large},\"item_id\":9007199254740993}}\n{{\"user_id\":{},\"item_id\":9007199254740992}}\n",
        large - 1
    );
    let data = home.data(home.put("good.jsonl", &events));
    assert_eq!(data.users.ids().name(0), large.to_string());
    assert_eq!((data.n_users(), data.n_items()), (2, 2), "no two are taken for one");
    for (odd, kind) in [
        ("123456789012345678901234", "too large"),
        ("1.5", "fraction"),
        ("[1, 2]", "a list"),
        ("{\"a\":{\"b\":1}}", "an object"),
    ] {
        let nested = odd.starts_with('{');
        let name = if nested { "item_id.a" } else { "item_id" };
        let columns = ColumnOverrides { item: Some(name.into()), ..Default::default() };
        let bad = format!("{{\"user_id\":1,\"item_id\":{odd},\"title\":\"x\"}}\n");
        let good = home.put("good.jsonl", "{\"user_id\":1,\"item_id\":2}\n");
        let bad = home.put("bad.jsonl", bad);
        let sources = Sources { interactions: bad.clone(), columns, ..Default::default() };
        let parts = ["bad.jsonl, line 1", name, kind, "in quotes"];
        assert_says(&failure(&home, &sources, &ImportOptions::default()), &parts);
        if !nested {
            let sources = Sources { interactions: good, items: Some(bad), ..Default::default() };
            assert_says(&failure(&home, &sources, &ImportOptions::default()), &parts);
        }
    }
}

#[test]
fn bad_rows_are_skipped_and_counted_when_asked() {
    let home = Home::new();
    let interactions = home.put(
        "e.csv",
        b"user_id,item_id,rating,timestamp\n1,2,5,10\n,2,5,10\n1,3,NaN,10\n1,4,1,-3\n1,5\n1,\xff,1,1\n1,6,1,11\n",
    );
    let skip = ImportOptions { bad_rows: BadRows::Skip, ..Default::default() };
    let manifest = home.import(&Sources { interactions, ..Default::default() }, &skip).unwrap();
    assert_eq!((manifest.counts.events, manifest.counts.rows_read), (2, 7));
    assert_eq!(manifest.dropped.iter().map(|d| d.count).sum::<usize>(), 5);
    let first = manifest.dropped.iter().find_map(|d| d.first.as_deref()).unwrap();
    assert_says(first, &["line "]);
}

#[test]
fn nothing_left_is_an_error_that_says_where_all_went() {
    let home = Home::new();
    let interactions = home.put("e.csv", "user_id,item_id,rating\n1,2,5\n2,3,1\n");
    let sources = Sources { interactions, ..Default::default() };
    let options = ImportOptions { k_core: 5, min_rating: Some(2.0), ..Default::default() };
    let error = failure(&home, &sources, &options);
    assert_says(
        &error,
        &["no events are left of 2 read", "rating below the threshold", "--k-core"],
    );
}

#[test]
fn columns_are_not_named_twice() {
    assert_says(&events("user_id,item_id,x,x\n1,2,3,4\n"), &["line 1", "column `x` occurs twice"]);
}

#[test]
fn a_folder_changed_behind_our_back_is_not_opened() {
    let home = Home::new();
    home.data(home.put("e.csv", "user_id,item_id\n1,2\n1,3\n2,3\n"));
    let open = || Dataset::open(&home.out()).unwrap_err().to_string();
    let again = || home.data(home.path("e.csv"));
    for name in ["events.parquet", "items.parquet", "users.parquet"] {
        let path = home.out().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_says(&open(), &[name, "was changed", "sha256", "import the data again"]);
        bytes.pop();
        fs::write(&path, &bytes).unwrap();
        assert_says(&open(), &[name, "bytes instead of"]);
        fs::remove_file(&path).unwrap();
        assert_says(&open(), &[name, "it is gone"]);
        again();
    }
    let manifest = home.out().join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"events\": 3", "\"events\": 4")).unwrap();
    assert_says(&open(), &["events.parquet", "3 rows instead of 4"]);
    fs::write(&manifest, text.replace("\"version\": 1", "\"version\": 99")).unwrap();
    assert_says(&open(), &["manifest.json", "version 99", "import the data again"]);
    fs::write(&manifest, "{").unwrap();
    assert_says(&open(), &["manifest.json", "cannot be understood", "into another folder"]);
    fs::write(&manifest, text.replace("tastemaker-data", "tastemaker-model")).unwrap();
    assert_says(&open(), &["/out is a tastemaker-model, not a data set"]);
    fs::remove_file(&manifest).unwrap();
    assert_says(&open(), &["is no data set", "tastemaker import"]);
    let nowhere = Dataset::open(&home.path("nowhere")).unwrap_err().to_string();
    assert_says(&nowhere, &["does not exist"]);
}

#[test]
fn a_failed_import_keeps_the_data_set_that_was_there() {
    let home = Home::new();
    let before = home.data(home.put("e.csv", "user_id,item_id\n1,2\n"));
    let interactions = home.put("bad.csv", "user_id,item_id\n1,2\n,3\n");
    failure(&home, &Sources { interactions, ..Default::default() }, &ImportOptions::default());
    assert_eq!(home.open(), before);
}
