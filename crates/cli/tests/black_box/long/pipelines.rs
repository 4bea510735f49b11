//! Pipelines from outside: lists made by rules, expressions, variants, their traces, and how they are measured.

use serde_json::Value;

use crate::home::{Home, NO_SEARCH, SMALL};

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["item_id"].as_str().unwrap().to_owned()).collect()
}

const ASK: [&str; 7] = ["recommend", "--model", "model", "--user", "u3", "-n", "5"];

#[test]
fn a_pipeline_makes_the_list_and_its_trace_says_how() {
    let home = Home::with_model("fused");
    let plain = ids(&home.run(ASK).json());
    home.put(
        "a.toml",
        format!(
            "[pipeline]\nsources = [{{ from = \"markov\", n = 10 }}, {{ from = \"popular\", n = 10 }}]\n\
             rules = [{{ do = \"pin\", items = [\"{}\"], place = 1 }}, {{ do = \"never\", items = [\"{}\"] }}]\n",
            plain[4], plain[0]
        ),
    );
    let list = home.run(ASK).args(["--pipeline", "a.toml", "--trace"]).json();
    let found = ids(&list);
    assert_eq!(found.len(), 5);
    assert_eq!(found[0], plain[4], "pinned");
    assert!(!found.contains(&plain[0]), "never shown");
    let trace = &list["trace"];
    let stages: Vec<&str> =
        trace["stages"].as_array().unwrap().iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["parts", "filter", "sources", "score", "pins"]);
    let from = trace["items"][1]["from"].as_array().unwrap();
    assert!(
        from.iter().all(|found| ["markov", "popular"].contains(&found["source"].as_str().unwrap()))
    );
    let table = home.run(ASK).args(["--pipeline", "a.toml", "--trace"]).good();
    assert!(table.contains("came from") && table.contains("items after it"), "{table}");
}

#[test]
fn an_expression_narrows_a_list_and_a_wrong_one_is_explained() {
    let home = Home::with_model("fused");
    let all = ids(&home.run(ASK).json());
    let only = format!("id != \"{}\"", all[0]);
    assert_eq!(ids(&home.run(ASK).args(["--where", &only]).json())[..4], all[1..]);
    let none = home.run(ASK).args(["--where", "id == \"nobody\""]).json();
    assert!(ids(&none).is_empty(), "nothing is allowed");
    for (text, part) in [
        ("titel == \"x\"", "did you mean `title`"),
        ("title <", "write comparisons"),
        ("title < 5", "is a text and 5 is a number"),
    ] {
        home.run(ASK).args(["--where", text]).fails(1, &[part]);
    }
}

#[test]
fn variants_follow_the_context() {
    let home = Home::with_model("fused");
    let all = ids(&home.run(ASK).json());
    home.put(
        "b.toml",
        format!(
            "[[pipeline.when]]\nname = \"arm b\"\ncontext = {{ arm = \"b\" }}\n\
             then = {{ rules = [{{ do = \"never\", items = [\"{}\"] }}] }}\n",
            all[0]
        ),
    );
    let ask = |context: &[&str]| {
        home.run(ASK).args(["--pipeline", "b.toml", "--trace"]).args(context).json()
    };
    assert_eq!(ids(&ask(&[])), all);
    let other = ask(&["--context", "arm=b"]);
    assert_eq!(
        (ids(&other)[0].clone(), other["trace"]["variant"].as_str()),
        (all[1].clone(), Some("arm b"))
    );
}

#[test]
fn what_does_not_go_together_is_refused_all_at_once() {
    let home = Home::with_model("fused");
    home.put(
        "c.toml",
        "[pipeline]\nsources = [{ from = \"sasrec\" }]\nfilter = \"nope == 1\"\n\
         rules = [{ do = \"never\", items = [\"nobody\"] }]\n",
    );
    let all = ["3 problems", "`sasrec`", "`nope`", "`nobody`"];
    home.run(ASK).args(["--pipeline", "c.toml"]).fails(1, &all);
    home.put("d.toml", "[pipeline]\nexplore = 7\n");
    home.run(ASK).args(["--pipeline", "d.toml"]).fails(2, &["pipeline.explore", "0 to 1"]);
    home.put("f.toml", "[pipeline]\npreset = \"best\"\n");
    home.run(ASK).args(["--pipeline", "f.toml"]).fails(2, &["pipeline.preset", "leave it out"]);
    home.run(ASK).args(["--pipeline", "missing.toml"]).fails(2, &["missing.toml"]);
    home.run(ASK).args(["--context", "arm"]).fails(2, &["key=value"]);
}

#[test]
fn a_pipeline_is_saved_with_the_model_and_measured_beside_others() {
    let home = Home::with_data();
    home.put("e.toml", "[pipeline]\nsources = [{ from = \"popular\", n = 3 }]\n");
    home.run([
        "train", "--data", "data", "--out", "model", "--model", "markov", "--config", "e.toml",
    ])
    .args(SMALL)
    .args(NO_SEARCH)
    .good();
    let list = home.run(ASK).args(["--trace"]).json();
    assert_eq!(list["trace"]["sources"]["popular"], 3);
    let report = home
        .run(["evaluate", "--data", "data", "--models", "markov,fused", "--pipelines", "e.toml"])
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    let names: Vec<&str> =
        report["models"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["markov", "fused", "e"]);
    let whole = report["stages"].as_array().unwrap().iter().find(|row| row["stage"] == "whole");
    assert!(whole.unwrap()["median_ms"].as_f64().unwrap() > 0.0);
}
