//! Files that cannot be imported: the message names the place and what to do, and nothing is left behind.

use std::io::Write as _;

use crate::home::{Call, Home, NO_SEARCH, SMALL};

const EVENTS: &str = "user_id,item_id,rating,timestamp\n";

fn import<'a>(home: &'a Home, file: &str) -> Call<'a> {
    home.run(["import", "--interactions", file, "--out", "data"])
}

/// Imports a CSV file of this content, which must fail with all of `parts`.
#[track_caller]
fn refused(content: impl AsRef<[u8]>, parts: &[&str]) {
    let home = Home::new();
    home.put("events.csv", content);
    let error = import(&home, "events.csv").fails(1, parts);
    assert!(error.contains("events.csv"), "the file is named: {error}");
}

#[test]
fn a_missing_column_is_told_with_those_there_are_and_the_flag() {
    refused("who,item_id\n1,2\n", &["line 1", "no user column", "`who`", "--user-column"]);
    refused("user_id,what\n1,2\n", &["line 1", "no item column", "`what`", "--item-column"]);
    let home = Home::new();
    home.put("events.csv", "user_id,item_id,stars\n1,2,3\n");
    import(&home, "events.csv")
        .args(["--rating-column", "star"])
        .fails(1, &["no column `star`", "--rating-column", "did you mean `stars`"]);
}

#[test]
fn an_empty_file_is_called_empty() {
    refused("", &["is empty", "expected"]);
    refused("\n\n", &["is empty"]);
    refused(EVENTS, &["has a header", "but no rows"]);
    let home = Home::new();
    home.put("events.csv", format!("{EVENTS}1,2,3,4\n"));
    home.put("items.csv", "");
    import(&home, "events.csv").args(["--items", "items.csv"]).fails(1, &["items.csv is empty"]);
}

#[test]
fn a_file_that_is_not_there_or_is_a_folder_is_told_so() {
    let home = Home::new();
    import(&home, "events.csv").fails(1, &["events.csv does not exist"]);
    home.put("folder/x", "");
    import(&home, "folder").fails(1, &["folder is a folder"]);
}

#[test]
fn a_wrong_separator_is_guessed_at() {
    refused("user_id item_id\n1 2\n", &["line 1", "separated by something else"]);
    refused("user_id,item_id\n1,2\n1;3\n", &["line 3", "1 fields, but the header has 2"]);
}

#[test]
fn broken_utf8_is_told_with_line_column_and_cure() {
    refused(b"user_id,item_id\n1,2\n1,caf\xe9\n", &["line 3", "`item_id`", "UTF-8", "iconv"]);
}

#[test]
fn a_rating_that_is_no_number_is_told_with_its_line() {
    let cure = "leave it empty";
    refused(format!("{EVENTS}1,2,5,10\n1,3,NaN,11\n"), &["line 3", "`rating`", "`NaN`", cure]);
    refused(format!("{EVENTS}1,2,inf,10\n"), &["line 2", "`inf`", cure]);
    refused(format!("{EVENTS}1,2,good,10\n"), &["line 2", "`good`", cure]);
}

#[test]
fn an_absurd_time_is_told_with_its_line() {
    refused(format!("{EVENTS}1,2,5,-7\n"), &["line 2", "`timestamp`", "`-7`", "negative"]);
    let beyond = "99999999999999999999";
    refused(format!("{EVENTS}1,2,5,{beyond}\n"), &["line 2", "`timestamp`", beyond]);
    refused(format!("{EVENTS}1,2,5,9000000000000000000\n"), &["line 2", "beyond the year 2200"]);
    refused(format!("{EVENTS}1,2,5,tomorrow\n"), &["line 2", "`tomorrow`", "ISO 8601"]);
}

#[test]
fn an_item_given_twice_is_told_with_its_line() {
    let home = Home::new();
    home.put("events.csv", "user_id,item_id\n1,a\n");
    home.put("items.csv", "item_id,title\na,One\nb,Two\na,Three\n");
    import(&home, "events.csv")
        .args(["--items", "items.csv"])
        .fails(1, &["items.csv", "line 4", "id `a` was given before"]);
}

#[test]
fn an_event_for_an_unknown_item_stops_drops_or_adds_as_asked() {
    let home = Home::new();
    home.put("events.csv", "user_id,item_id\n1,a\n1,ghost\n");
    home.put("items.csv", "item_id,title\na,One\n");
    let with = |policy: &str| {
        import(&home, "events.csv").args(["--items", "items.csv", "--unknown-items", policy])
    };
    with("error").fails(1, &["events.csv", "line 3", "`ghost`", "--unknown-items"]);
    let wrong = with("ignore").fails(2, &["--unknown-items ignore", "drop"]);
    assert!(wrong.contains("add") && wrong.contains("error"), "all are named: {wrong}");
    assert_eq!(with("drop").json()["counts"]["events"], 1);
    assert_eq!(with("add").json()["counts"]["items"], 2);
}

#[test]
fn a_truncated_gz_is_called_cut_off() {
    let home = Home::new();
    home.world();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(home.read("interactions.csv").as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    home.put("events.csv.gz", &whole[..whole.len() / 2]);
    import(&home, "events.csv.gz").fails(1, &["events.csv.gz", "cut off", "copy it again"]);
    home.put("events.csv.gz", &whole);
    import(&home, "events.csv.gz").good();
}

#[test]
fn a_truncated_parquet_is_called_unreadable() {
    let home = Home::with_data();
    let whole = std::fs::read(home.path("data/events.parquet")).unwrap();
    let import = || home.run(["import", "--interactions", "events.parquet", "--out", "other"]);
    for keep in [whole.len() / 2, whole.len() - 1, 3] {
        home.put("events.parquet", &whole[..keep]);
        import().fails(1, &["events.parquet", "no readable Parquet", "cut off"]);
    }
}

#[test]
fn a_failed_import_leaves_the_data_set_that_was_there() {
    let home = Home::with_data();
    let before = home.run(["inspect", "--data", "data"]).json();
    home.put("bad.csv", "user_id,item_id\n1,\n");
    import(&home, "bad.csv").fails(1, &["bad.csv", "line 2", "empty"]);
    assert_eq!(home.run(["inspect", "--data", "data"]).json(), before);
}

#[test]
fn bad_rows_are_skipped_and_counted_when_asked() {
    let home = Home::new();
    home.put("events.csv", format!("{EVENTS}1,2,5,10\n1,3,NaN,11\n1,4,5,12\n"));
    let manifest = import(&home, "events.csv").args(["--bad-rows", "skip"]).json();
    assert_eq!(manifest["counts"]["events"], 2);
    assert_eq!(manifest["dropped"][0]["count"], 1);
    assert!(manifest["dropped"][0]["first"].as_str().unwrap().contains("line 3"));
}

#[test]
fn filters_that_leave_nothing_are_told_by_name() {
    let home = Home::new();
    home.put("events.csv", format!("{EVENTS}1,2,5,10\n"));
    import(&home, "events.csv")
        .args(["--k-core", "5"])
        .fails(1, &["no events are left", "--k-core"]);
}

#[test]
fn a_title_cannot_steer_the_terminal() {
    let home = Home::new();
    home.put("events.csv", "user_id,item_id\n1,a\n1,b\n2,b\n2,c\n3,a\n");
    home.put("items.csv", "item_id,title\na,A\nb,B\nc,\u{1b}[2Jgone\u{7}\n");
    import(&home, "events.csv").args(["--items", "items.csv"]).good();
    home.run(["train", "--data", "data", "--out", "model", "--model", "item-knn"])
        .args(SMALL)
        .args(NO_SEARCH)
        .good();
    for call in [
        home.run(["recommend", "--model", "model", "--user", "1"]),
        home.run(["similar", "--model", "model", "--item", "c"]),
        home.run(["explain", "--model", "model", "--user", "1", "--item", "c"]),
    ] {
        let shown = call.good();
        assert!(shown.contains("�[2Jgone�") && !shown.contains('\u{1b}'), "{shown:?}");
    }
    let list = home.run(["recommend", "--model", "model", "--user", "1"]).json();
    assert_eq!(list["items"][0]["title"], "\u{1b}[2Jgone\u{7}", "programs get it as it is");
}

#[test]
fn ids_that_look_like_formulas_or_hold_separators_come_out_as_they_went_in() {
    let home = Home::new();
    let mut events = String::from("user_id,item_id\n");
    for user in ["=1+1", "a b", "„ü“", "00"] {
        ["x,y", "i\tj", "漢字", "-0"].iter().for_each(|item| {
            events.push_str(&format!("\"{user}\",\"{item}\"\n"));
        });
    }
    home.put("events.csv", events);
    home.put("items.csv", "item_id,title\n\"x,y\",\"Reef | harbor\"\n");
    import(&home, "events.csv").args(["--items", "items.csv"]).good();
    home.run(["train", "--data", "data", "--out", "model", "--model", "popularity"])
        .args(SMALL)
        .args(NO_SEARCH)
        .good();
    let list = home.run(["recommend", "--model", "model", "--history", "漢字,-0"]).json();
    let ids: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|i| i["item_id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"x,y") && ids.contains(&"i\tj"), "{ids:?}");
    home.run(["recommend", "--model", "model", "--user", "00"]).good();
}
