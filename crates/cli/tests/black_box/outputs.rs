//! What `evaluate` writes beside its result: tables for people, files for other tools.

use std::collections::BTreeSet;

use crate::home::{Home, NO_SEARCH, SMALL};

#[test]
fn the_table_shows_every_model_and_says_how_it_was_measured() {
    let home = Home::with_data();
    let text = home
        .run(["evaluate", "--data", "data", "--models", "popularity,markov"])
        .args(SMALL)
        .args(NO_SEARCH)
        .good();
    for part in ["popularity", "markov", "leave-one-out", "full", "ndcg@10", "|"] {
        assert!(text.to_lowercase().contains(part), "no `{part}` in:\n{text}");
    }
}

#[test]
fn the_mean_over_users_saved_is_the_mean_reported() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", "popularity,markov"])
        .args(["--save-per-user", "users.csv"])
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    let table = home.read("users.csv");
    let mut lines = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    assert_eq!(header[..3], ["model", "user_id", "candidates"]);
    let column = header.iter().position(|name| *name == "ndcg@10").unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    for model in report["models"].as_array().unwrap() {
        let own = rows.iter().filter(|row| model["name"] == row[0]);
        let values: Vec<f64> = own.map(|row| row[column].parse().unwrap()).collect();
        assert_eq!(values.len() as u64, report["protocol"]["test_users"].as_u64().unwrap());
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let reported = model["metrics"]["ndcg@10"]["mean"].as_f64().unwrap();
        assert!((mean - reported).abs() < 1e-9, "{mean} is not {reported}");
    }
}

#[test]
fn the_html_report_is_one_file_that_needs_no_other() {
    let home = Home::with_data();
    home.run(["evaluate", "--data", "data", "--models", "popularity,markov,fused"])
        .args(["--html", "report.html"])
        .args(SMALL)
        .args(NO_SEARCH)
        .good();
    let html = home.read("report.html");
    assert!(html.trim_start().to_lowercase().starts_with("<!doctype html"));
    assert!(html.contains("<svg") && html.contains("fused"));
    for outside in ["src=\"http", "href=\"http", "@import", "<script src", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn trec_files_name_every_user_and_hold_no_seen_item() {
    let home = Home::with_data();
    home.run(["evaluate", "--data", "data", "--models", "popularity,markov", "--trec", "trec"])
        .args(SMALL)
        .args(NO_SEARCH)
        .good();
    let targets: BTreeSet<(String, String)> = pairs(&home.read("trec/qrels.txt"), 4).collect();
    let events: BTreeSet<(String, String)> = home
        .read("interactions.csv")
        .lines()
        .skip(1)
        .map(|line| {
            let mut fields = line.split(',').map(str::to_owned);
            (fields.next().unwrap(), fields.next().unwrap())
        })
        .collect();
    assert!(targets.is_subset(&events));
    let users: BTreeSet<&str> = targets.iter().map(|(user, _)| user.as_str()).collect();
    for name in ["popularity", "markov"] {
        let run = home.read(&format!("trec/{name}.run"));
        assert!(run.lines().all(|line| line.ends_with(&format!(" {name}"))));
        let listed: BTreeSet<(String, String)> = pairs(&run, 6).collect();
        let reached: BTreeSet<&str> = listed.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(reached, users, "{name}");
        let mut seen = listed.intersection(&events);
        assert!(seen.all(|pair| targets.contains(pair)), "{name} lists a seen item");
    }
}

/// User and item of every line of a TREC file with so many fields.
fn pairs(text: &str, fields: usize) -> impl Iterator<Item = (String, String)> {
    text.lines().map(move |line| {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words.len(), fields, "{line}");
        (words[0].to_owned(), words[2].to_owned())
    })
}

#[test]
fn nothing_but_the_result_goes_to_stdout_and_stderr_is_quiet() {
    let home = Home::with_data();
    let quiet = home
        .run(["evaluate", "--data", "data", "--models", "popularity", "--format", "json"])
        .args(SMALL)
        .end();
    assert_eq!(quiet.err, "");
    let loud = home
        .run(["-v", "evaluate", "--data", "data", "--models", "text-knn", "--format", "json"])
        .args(SMALL)
        .end();
    assert!(serde_json::from_str::<serde_json::Value>(&loud.out).is_ok());
    assert!(loud.err.contains("encoded"), "{}", loud.err);
    assert!(!loud.err.contains('\u{1b}'), "no colours where no terminal is: {}", loud.err);
}
