//! Trainings by epochs: their course beside the model and in the report, and what becomes of one without validation events.

use serde_json::Value;

use crate::home::{FEW_EPOCHS, Home, NO_SEARCH, SMALL};

#[test]
fn every_epoch_stands_beside_the_model_as_numbers_and_as_a_drawing() {
    let home = Home::with_data();
    let said = home
        .run(["train", "--data", "data", "--model", "sasrec", "--out", "model"])
        .args(FEW_EPOCHS)
        .args(SMALL)
        .good();
    assert!(said.contains("its course: model.curves.json, model.curves.svg"), "{said}");
    let curves: Value = serde_json::from_str(&home.read("model.curves.json")).unwrap();
    let judged: Vec<(bool, usize)> = curves
        .as_array()
        .unwrap()
        .iter()
        .map(|training| {
            let epochs = training["epochs"].as_array().unwrap();
            assert!(epochs.iter().all(|epoch| epoch["loss"].as_f64().unwrap() > 0.0));
            (epochs[0]["validation"].is_f64(), epochs.len())
        })
        .collect();
    let best = curves[0]["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(judged, [(true, 2), (false, best)], "one is judged, one is for use");
    let svg = home.read("model.curves.svg");
    assert!(svg.starts_with("<svg") && svg.contains("loss") && svg.contains("ndcg@10"));
    home.run(["train", "--data", "data", "--model", "markov", "--out", "plain"])
        .args(SMALL)
        .args(NO_SEARCH)
        .good();
    assert!(!home.path("plain.curves.json").exists(), "a model without epochs has no course");
}

#[test]
fn a_model_is_saved_where_its_course_cannot_be() {
    let home = Home::with_data();
    home.put("model.curves.json", "mine");
    let train = |model| {
        let call = home.run(["train", "--data", "data", "--model", model, "--out", "model"]);
        call.args(FEW_EPOCHS).args(SMALL).args(NO_SEARCH).end()
    };
    let saved = train("sasrec");
    assert_eq!(saved.code, Some(0), "{}", saved.err);
    assert!(saved.out.contains("saved sasrec in model"), "{}", saved.out);
    assert!(saved.err.contains("the course of its training is not"), "{}", saved.err);
    assert_eq!(home.read("model.curves.json"), "mine");
    assert!(!home.path("model.training").exists());
    std::fs::remove_file(home.path("model.curves.json")).unwrap();
    assert_eq!(train("sasrec").code, Some(0));
    assert!(home.path("model.curves.json").exists() && home.path("model.curves.svg").exists());
    assert_eq!(train("markov").code, Some(0));
    let left = ["json", "svg"].map(|end| home.path(format!("model.curves.{end}")).exists());
    assert_eq!(left, [false, false], "those of the older model go with it");
}

#[test]
fn the_report_shows_how_training_went() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", "gru4rec", "--no-refit"])
        .args(["--html", "report.html"])
        .args(FEW_EPOCHS)
        .args(SMALL)
        .json();
    let course = &report["courses"][0];
    assert_eq!(course["model"], "gru4rec");
    assert_eq!(course["loss"].as_array().unwrap().len(), 2);
    assert!(home.read("report.html").contains("How training went"));
}

#[test]
fn without_validation_events_all_epochs_are_run_and_a_search_says_why_it_cannot_be() {
    let home = Home::new();
    let rows = (0..30).flat_map(|user| {
        (1..=2).map(move |time| format!("u{user},i{},{time}\n", (user + time * time) % 6))
    });
    let events: String = std::iter::once("user,item,timestamp\n".to_owned()).chain(rows).collect();
    home.put("events.csv", events);
    home.run(["import", "--interactions", "events.csv", "--out", "data"]).good();
    let split = ["--set", "split.kind=\"time\"", "--set", "split.share=0.05"];
    let report = home
        .run(["evaluate", "--data", "data", "--models", "sasrec,popularity", "--no-refit"])
        .args(split)
        .args(FEW_EPOCHS)
        .args(SMALL)
        .json();
    assert_eq!(report["protocol"]["validation_users"], 0);
    assert!(report["models"][0]["metrics"]["ndcg@10"]["mean"].as_f64().unwrap() > 0.0);
    home.run(["train", "--data", "data", "--model", "sasrec", "--out", "model"])
        .args(FEW_EPOCHS)
        .args(SMALL)
        .good();
    let curves: Value = serde_json::from_str(&home.read("model.curves.json")).unwrap();
    let epochs = curves[0]["epochs"].as_array().unwrap();
    assert!(epochs.len() == 2 && epochs.iter().all(|epoch| epoch["validation"].is_null()));
    home.run(["search", "--data", "data", "--model", "sasrec", "--out", "found"])
        .args(split)
        .args(SMALL)
        .fails(1, &["no validation events are left to judge settings on"]);
}

#[test]
fn a_training_that_runs_away_says_what_to_change() {
    let home = Home::with_data();
    home.run(["train", "--data", "data", "--model", "sasrec", "--out", "model"])
        .args(SMALL)
        .args(["--set", "models.sasrec.learning_rate=1", "--set", "models.sasrec.dropout=0"])
        .args(["--set", "models.sasrec.optimizer.warm_up=0", "--set", "models.sasrec.patience=100"])
        .fails(1, &["the loss ran away", "lower `learning_rate`", "`optimizer.clip`"]);
}
