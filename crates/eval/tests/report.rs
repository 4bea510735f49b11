//! The report as people and programs see it.

use std::{fs, path::Path};

use serde_json::json;
use tastemaker_eval::{
    Bucket, ColdRow, ColdTable, Comparison, Mix, MixRange, ModelRow, Report, Stat, to_html,
    to_json, to_table, write_html,
};

fn round(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}

fn stat(mean: f64) -> Stat {
    Stat { mean: round(mean), low: round(mean * 0.93), high: round(mean * 1.07) }
}

fn bucket(label: &str, from: usize, cases: usize, ndcg: f64) -> Bucket {
    let to = (from < 51).then_some(from + 1);
    let metrics = [("ndcg@10".to_owned(), stat(ndcg))].into();
    Bucket { label: label.into(), from, to, cases, few: cases < 30, metrics }
}

/// Name, NDCG@10, coverage@10, seconds of the fit.
const MODELS: [(&str, f64, f64, f64); 10] = [
    ("popularity", 0.0182, 0.012, 0.004),
    ("markov", 0.1534, 0.512, 0.31),
    ("item-knn", 0.0491, 0.402, 0.42),
    ("user-knn", 0.0512, 0.233, 0.61),
    ("ease", 0.0538, 0.437, 1.21),
    ("ials", 0.0493, 0.495, 1.9),
    ("bpr", 0.0402, 0.551, 4.2),
    ("mf", 0.0041, 0.061, 2.2),
    ("text-knn", 0.0178, 0.883, 0.05),
    ("fused", 0.1624, 0.561, 7.4),
];

fn row((name, ndcg, coverage, fit): (&str, f64, f64, f64)) -> ModelRow {
    let metrics = [
        ("ndcg@10", ndcg),
        ("hit@10", ndcg * 1.75),
        ("recall@10", ndcg * 1.75),
        ("mrr@10", ndcg * 0.8),
        ("ndcg@20", ndcg * 1.2),
        ("hit@20", ndcg * 2.4),
        ("auc", 0.6 + ndcg),
        ("coverage@10", coverage),
        ("gini@10", 1.0 - coverage / 2.0),
        ("novelty@10", 9.0 + coverage),
        ("diversity@10", 0.7),
        ("popularity@10", 0.9 - coverage / 3.0),
        ("arp@10", 900.0 * (1.0 - coverage)),
    ];
    let history = [
        ("3-5", 3, 21, 1.5),
        ("6-10", 6, 240, 1.2),
        ("11-20", 11, 900, 1.05),
        ("21-50", 21, 1700, 0.97),
        ("51+", 51, 3179, 0.9),
    ];
    let popularity =
        [("0", 0, 12, 0.0), ("1-5", 1, 240, 0.2), ("6-20", 6, 900, 0.6), ("501+", 501, 4888, 1.2)];
    ModelRow {
        name: name.into(),
        settings: json!({ "kind": name, "shrinkage": 10 }),
        metrics: metrics.into_iter().map(|(name, mean)| (name.to_owned(), stat(mean))).collect(),
        fit_seconds: fit,
        search_seconds: if name == "popularity" { 0.0 } else { round(fit * 6.0) },
        score_seconds: 0.9,
        peak_memory_bytes: 412 << 20,
        by_history: history.map(|(l, from, n, by)| bucket(l, from, n, ndcg * by)).into(),
        by_popularity: popularity.map(|(l, from, n, by)| bucket(l, from, n, ndcg * by)).into(),
    }
}

fn test(model: &str, difference: f64, p: f64) -> Comparison {
    Comparison {
        model: model.into(),
        against: "markov".into(),
        metric: "ndcg@10".into(),
        difference,
        low: round(difference - 0.002),
        high: round(difference + 0.002),
        p,
        p_holm: (p * 2.0).min(1.0),
        significant: p < 0.025,
        users: 6040,
        higher: 1203,
        lower: 911,
    }
}

fn sample() -> Report {
    let cold = |(name, ndcg, coverage, _): (&str, f64, f64, f64)| ColdRow {
        name: name.into(),
        cold: [("ndcg@10".into(), stat(coverage * 0.03)), ("hit@10".into(), stat(coverage * 0.05))]
            .into(),
        cold_among_cold: [("ndcg@10".into(), stat(coverage * 0.09))].into(),
        warm: [("ndcg@10".into(), stat(ndcg)), ("hit@10".into(), stat(ndcg * 1.8))].into(),
    };
    Report {
        title: "MovieLens 1M: ten models side by side".into(),
        data: json!({ "name": "ml-1m", "users": 6040, "items": 3416, "events": 999_611 }),
        protocol: json!({ "split": "leave-one-out", "candidates": "full", "seen": "excluded", "refit": true, "cutoffs": [10, 20], "seed": 42 }),
        models: MODELS.map(row).into(),
        tests: vec![
            test("fused", 0.009, 0.0001),
            test("ease", -0.0996, 0.0001),
            test("ials", -0.001, 0.31),
        ],
        cold: Some(ColdTable {
            items: 512,
            share: 0.15,
            cases: 903,
            rows: [MODELS[0], MODELS[8], MODELS[9]].map(cold).into(),
            tests: Vec::new(),
        }),
        courses: Vec::new(),
        mixes: Vec::new(),
        stages: Vec::new(),
        notes: vec![
            "Memory is the most the process held up to the end of the model's evaluation.".into(),
        ],
    }
}

/// Three models, no long tables: small enough to review as a snapshot.
fn small() -> Report {
    let mut report = sample();
    report.models.drain(2..9);
    report.tests.truncate(1);
    report
}

#[test]
fn the_table_is_aligned_markdown_with_the_best_in_bold() {
    let table = to_table(&small());
    for block in table.split("\n\n").filter(|block| block.starts_with('|')) {
        let widths: Vec<usize> = block.lines().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{block}");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_json_keeps_the_command_lines_contract() {
    let mut report = small();
    report.models.truncate(1);
    insta::assert_snapshot!(to_json(&report).unwrap());
    let again: Report = serde_json::from_str(&to_json(&sample()).unwrap()).unwrap();
    assert!(again == sample(), "a report comes back from JSON as it was");
}

#[test]
fn the_page_needs_no_network_and_no_script_and_says_what_its_drawings_show() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html");
    write_html(&path, &sample()).unwrap();
    let page = fs::read_to_string(&path).unwrap();
    let links = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for foreign in ["http:", "https:", "<script", "src=", "href=", "@import", "url("] {
        assert!(!links.contains(foreign), "{foreign}");
    }
    assert_eq!(page.matches("<svg role=\"img\" aria-label=").count(), 5);
    assert_eq!(page.matches("<table>").count(), page.matches("<caption>").count());
    assert!(page.contains("prefers-color-scheme: dark"));
    assert!(page.contains("fused leads with ndcg@10 0.1624"));
}

#[test]
fn text_from_outside_cannot_become_markup() {
    let evil = "<script>alert('x')</script>|\"&";
    let mut report = sample();
    report.title = evil.into();
    report.models[0].name = evil.into();
    report.data = json!({ evil: evil });
    report.notes = vec![evil.into()];
    report.models[1].settings = json!({ evil: [evil] });
    let page = to_html(&report).unwrap();
    assert!(!page.contains("<script"), "not escaped");
    assert!(to_table(&report).contains("alert('x')</script>\\|"));
}

#[test]
fn sampled_candidates_are_warned_of_in_table_and_page() {
    let mut report = small();
    report.protocol["candidates"] = json!("sampled (100 negatives)");
    let warning = "not comparable with, full ranking";
    assert!(to_table(&report).contains(warning) && to_html(&report).unwrap().contains(warning));
    assert!(!to_table(&small()).contains(warning));
}

#[test]
fn an_empty_report_and_absurd_numbers_still_make_a_page() {
    to_html(&Report::default()).unwrap();
    to_table(&Report::default());
    let mut report = sample();
    for row in &mut report.models {
        row.fit_seconds = 0.0;
        row.metrics.insert("ndcg@10".into(), Stat::default());
        row.by_history.clear();
    }
    report.models[0].score_seconds = f64::MAX;
    report.models[1].metrics.insert(
        "ndcg@10".into(),
        Stat { mean: f64::NAN, low: f64::NEG_INFINITY, high: f64::INFINITY },
    );
    to_html(&report).unwrap();
}

#[test]
fn what_a_fused_model_listens_to_is_drawn() {
    let range =
        |label: &str, weights: [f64; 2]| MixRange { label: label.into(), weights: weights.into() };
    let mix = Mix {
        model: "fused".into(),
        parts: vec!["text-knn".into(), "ials".into()],
        ranges: vec![range("0-4", [0.8, 0.2]), range("5+", [0.1, 0.9])],
        trees: 40,
        features: vec![("score of ials".into(), 0.7), ("age <days>".into(), 0.3)],
    };
    let page = to_html(&Report { mixes: vec![mix.clone()], ..Report::default() }).unwrap();
    for words in
        ["Whom fused listens to", "0-4", "5+", "70.0 %", "age &lt;days&gt;", "the 40 trees"]
    {
        assert!(page.contains(words), "{words} in {page}");
    }
    // One drawing without trees.
    let alone = Mix { trees: 0, features: Vec::new(), ..mix };
    let page = to_html(&Report { mixes: vec![alone], ..Report::default() }).unwrap();
    assert_eq!(page.matches("<svg").count(), 1);
}
