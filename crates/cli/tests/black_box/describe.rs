//! `describe`: summaries and tags of items.

use serde_json::Value;

use crate::home::Home;

#[test]
fn items_are_described_gone_on_with_and_imported_again() {
    let home = Home::with_data();
    let call = ["describe", "--data", "data", "--out", "described.jsonl"];
    let told = home.run(call).args(["--limit", "3", "--words", "8"]).json();
    assert_eq!(
        (&told["items"], &told["by_template"], &told["failed"]),
        (&3.into(), &3.into(), &0.into())
    );
    let first = home.read("described.jsonl");
    assert_eq!(first.lines().count(), 3);
    for line in first.lines() {
        let one: Value = serde_json::from_str(line).unwrap();
        let summary = one["summary"].as_str().unwrap();
        assert!(!summary.is_empty() && summary.split_whitespace().count() <= 8, "{line}");
        assert_eq!(one["author"], "template");
    }
    home.run(call).fails(1, &["described.jsonl exists", "--continue"]);
    let text =
        home.run(call).args(["--continue", "--words", "8", "--items-out", "all.jsonl"]).good();
    assert!(text.contains("| items described | 37") && text.contains("kept of before"), "{text}");
    let whole = home.read("described.jsonl");
    assert!(whole.starts_with(&first) && whole.lines().count() == 40);
    home.run([
        "import",
        "--interactions",
        "interactions.csv",
        "--items",
        "all.jsonl",
        "--out",
        "again",
    ])
    .good();
    let columns = home.run(["inspect", "--data", "again"]).good();
    assert!(columns.contains("summary") && columns.contains("tags"), "{columns}");
    let filter =
        ["--set", "text.encoder=tfidf", "--set", "text.template={title}. {tags}. {summary}"];
    home.run(["encode", "--data", "again", "--out", "items.npy"]).args(filter).good();
}

#[test]
fn a_call_that_cannot_be_meant_leaves_nothing_behind() {
    let home = Home::with_data();
    let call = |args: &[&str]| home.run(["describe", "--data", "data"]).args(args);
    call(&["--out", "x.jsonl", "--items", "nobody"]).fails(1, &["unknown item `nobody`"]);
    call(&["--out", "x.jsonl", "--items-out", "x.jsonl"]).fails(2, &["would be written twice"]);
    call(&["--out", "no/x.jsonl"]).fails(1, &["no/x"]);
    call(&["--out", "x.jsonl", "--words", "0"]).fails(2, &["--words"]);
    call(&["--out", "x.jsonl", "--chat-model", "nobody"]).fails(2, &["nobody"]);
    call(&["--out", "x.jsonl", "--set", "text.template={plot}"]).fails(1, &["plot"]);
}
