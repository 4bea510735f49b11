//! Where `evaluate` is to write: looked at before the work, so that no result is thrown away.

use crate::home::{Call, Home, NO_SEARCH, SMALL};

fn evaluate<'a>(home: &'a Home, flags: &[&str]) -> Call<'a> {
    home.run(["evaluate", "--data", "data", "--models", "popularity,markov"])
        .args(SMALL)
        .args(NO_SEARCH)
        .args(flags)
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_anything_is_fitted() {
    let home = Home::with_data();
    home.put("folder/x", "");
    // The data cannot be read; a fault of the output told first was found first.
    home.damage("data/events.parquet");
    for flag in ["--save-per-user", "--html", "--trec"] {
        let under_a_file = ["items.csv/below", "cannot write items.csv/below"];
        evaluate(&home, &[flag, under_a_file[0]]).fails(1, &[under_a_file[1]]);
    }
    for flag in ["--save-per-user", "--html"] {
        evaluate(&home, &[flag, "no/such/file"]).fails(1, &["cannot write no/such/file"]);
        evaluate(&home, &[flag, "folder"]).fails(1, &["cannot write folder", "directory"]);
    }
    evaluate(&home, &["--trec", "items.csv"]).fails(1, &["cannot write items.csv"]);
    evaluate(&home, &["--trec", "made/when/needed"]).fails(1, &["data/events.parquet"]);
}

#[test]
fn an_output_that_fails_late_costs_neither_the_result_nor_the_other_outputs() {
    let home = Home::with_data();
    // Nothing beside a run file can take its place.
    home.put("trec/markov.run/x", "");
    home.put("trec/qrels.txt", "");
    home.put("trec/popularity.run", "");
    home.put("report.html", "");
    let flags = ["--trec", "trec", "--html", "report.html"];
    evaluate(&home, &flags).fails_with_a_result(&["cannot write trec/markov.run"]);
    assert!(home.read("report.html").contains("markov"));
}

#[test]
fn one_file_for_two_outputs_is_wrong_usage() {
    let home = Home::with_data();
    home.put("trec/x", "");
    for (html, other) in [
        ("x", ["--save-per-user", "x"]),
        ("./x", ["--save-per-user", "x"]),
        ("trec/../x", ["--save-per-user", "x"]),
        ("trec", ["--trec", "trec"]),
        ("trec/qrels.txt", ["--trec", "trec"]),
        ("new/markov.run", ["--trec", "new"]),
    ] {
        evaluate(&home, &["--html", html])
            .args(other)
            .fails(2, &["--html", other[0], "would both write", "its own file"]);
    }
}
