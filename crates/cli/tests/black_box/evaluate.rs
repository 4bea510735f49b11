//! The contract of `evaluate --format json`: other people's scripts read it.

use serde_json::Value;

use crate::home::{FEW_EPOCHS, Home, NO_SEARCH, SMALL};

const ALL: &str = "popularity,markov,item-knn,user-knn,ease,ials,bpr,item2vec,mf,text-knn,sasrec,esasrec,bert4rec,gru4rec,lstm,caser,next-mlp,lightgcn,two-tower,linear,dnn,fm,deepfm,dcn,text-cnn,fused";
const SPLITS: [&str; 6] = ["leave-one-out", "time", "ratio", "random", "cold-items", "cold-users"];

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
fn assert_keys(value: &Value, wanted: &[&str]) {
    let found = keys(value);
    for key in wanted {
        assert!(found.contains(key), "no `{key}` among {found:?}");
    }
}

/// Mean, low and high of a metric, which must be in order and within bounds.
#[track_caller]
fn mean(model: &Value, metric: &str) -> f64 {
    let stat = &model["metrics"][metric];
    let of = |key: &str| {
        stat[key].as_f64().unwrap_or_else(|| panic!("{metric}.{key} in {}", model["name"]))
    };
    let (low, mean, high) = (of("low"), of("mean"), of("high"));
    assert!(0.0 <= low && low <= mean && mean <= high, "{metric} of {}: {stat}", model["name"]);
    mean
}

#[test]
fn the_report_has_the_promised_keys() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", "popularity,markov,fused"])
        .args(SMALL)
        .json();
    assert_keys(&report, &["data", "protocol", "models", "tests"]);
    assert_eq!(report["data"]["users"], 60);
    assert_eq!(report["data"]["items"], 40);
    let protocol = &report["protocol"];
    assert_eq!(protocol["split"], "leave-one-out");
    assert_eq!(protocol["candidates"], "full");
    assert_eq!(protocol["seen"], "excluded");
    assert_eq!(protocol["seed"], 42);
    let models = report["models"].as_array().unwrap();
    let names: Vec<&str> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["popularity", "markov", "fused"], "in the order asked for");
    for model in models {
        let wanted =
            ["name", "settings", "metrics", "fit_seconds", "score_seconds", "peak_memory_bytes"];
        assert_keys(model, &wanted);
        assert!(model["settings"].is_object());
        let (ndcg, hit) = (mean(model, "ndcg@10"), mean(model, "hit@10"));
        assert!(ndcg <= hit && hit <= 1.0, "one target: its gain is at most 1");
        assert!(model["fit_seconds"].as_f64().unwrap() >= 0.0);
        assert!(model["score_seconds"].as_f64().unwrap() > 0.0);
        assert!(model["peak_memory_bytes"].as_u64().unwrap() > 0);
    }
    let tests = report["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 2, "each other model against the best single one");
    for test in tests {
        assert_keys(test, &["model", "against", "metric", "difference", "p", "p_holm"]);
        assert_eq!(test["metric"], "ndcg@10");
        assert_ne!(test["against"], "fused");
    }
}

#[test]
fn every_model_is_measured_with_every_metric() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", ALL])
        .args(FEW_EPOCHS)
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    let models = report["models"].as_array().unwrap();
    let names: Vec<&str> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names.join(","), ALL);
    let metrics = [
        "ndcg@10",
        "hit@10",
        "recall@10",
        "precision@10",
        "map@10",
        "mrr@10",
        "auc",
        "coverage@10",
        "gini@10",
    ];
    for model in models {
        for metric in metrics {
            assert!(mean(model, metric) <= 1.0, "{metric} of {}", model["name"]);
        }
        let rates = model["name"] == "mf";
        assert_eq!(model["metrics"].get("rmse").is_some(), rates, "{}", model["name"]);
    }
    assert_eq!(report["tests"].as_array().unwrap().len(), models.len() - 1);
    let same = home.run(["evaluate", "--data", "data", "--models", "all"]);
    let same = same.args(FEW_EPOCHS).args(SMALL);
    let same = same.args(NO_SEARCH).json();
    let count = same["models"].as_array().unwrap().len();
    assert_eq!(count, models.len(), "`all` means every one");
}

#[test]
fn one_model_twice_is_measured_once_and_has_nothing_to_be_tested_against() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", "markov, markov"])
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    assert_eq!(report["models"].as_array().unwrap().len(), 1);
    assert_eq!(report["tests"].as_array().unwrap().len(), 0);
}

#[test]
fn every_split_is_measured_and_named() {
    let home = Home::with_data();
    for split in SPLITS {
        let report = home
            .run(["evaluate", "--data", "data", "--models", "popularity,text-knn"])
            .args(["--split", split])
            .args(SMALL)
            .args(NO_SEARCH)
            .json();
        assert_eq!(report["protocol"]["split"], split);
        assert!(report["protocol"]["test_users"].as_u64().unwrap() > 0, "{split}");
        for model in report["models"].as_array().unwrap() {
            assert!(mean(model, "ndcg@10") <= 1.0, "{split}");
        }
    }
}

#[test]
fn words_find_cold_items_where_popularity_finds_none() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", "popularity,text-knn,fused"])
        .args(["--split", "cold-items", "--share", "0.25"])
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    let cold = &report["cold"];
    assert_eq!(cold["items"], 10, "a quarter of 40");
    let rows = cold["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let ndcg = |row: usize| rows[row]["cold"]["ndcg@10"]["mean"].as_f64().unwrap();
    assert!(ndcg(1) > ndcg(0) && ndcg(2) > ndcg(0), "{cold}");
    for row in rows {
        assert_keys(row, &["name", "cold", "cold_among_cold", "warm"]);
    }
}

#[test]
fn cutoffs_are_those_asked_for() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", "popularity,markov", "--at", "5,20"])
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    for model in report["models"].as_array().unwrap() {
        assert!(mean(model, "hit@5") <= mean(model, "hit@20"));
        assert!(model["metrics"].get("ndcg@10").is_none());
    }
    assert_eq!(report["tests"][0]["metric"], "ndcg@5");
    assert_eq!(report["protocol"]["cutoffs"], serde_json::json!([5, 20]));
    let again = home
        .run(["evaluate", "--data", "data", "--models", "popularity", "--at", "20,5,20"])
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    assert_eq!(again["protocol"]["cutoffs"], serde_json::json!([20, 5]), "each once");
}

#[test]
fn sampled_candidates_are_labelled_everywhere() {
    let home = Home::with_data();
    let sampled = |home: &Home| {
        home.run(["evaluate", "--data", "data", "--models", "popularity", "--sampled", "10"])
            .args(SMALL)
            .args(["--save-per-user", "users.csv", "--html", "report.html"])
            .args(NO_SEARCH)
            .end()
    };
    let table = sampled(&home);
    assert_eq!(table.code, Some(0), "{}", table.err);
    assert!(table.out.contains("not comparable"), "{}", table.out);
    assert!(home.read("report.html").contains("not comparable"));
    assert!(home.read("users.csv").contains("sampled"));
    let report = home
        .run(["evaluate", "--data", "data", "--models", "popularity", "--sampled", "10"])
        .args(SMALL)
        .json();
    let label = report["protocol"]["candidates"].as_str().unwrap();
    assert!(label.contains("10") && label != "full", "{label}");
}

#[test]
fn without_refit_the_models_know_less_and_the_report_says_so() {
    let home = Home::with_data();
    let fit = |flags: &[&str]| {
        let call = home.run(["evaluate", "--data", "data", "--models", "popularity,markov"]);
        let report = call.args(SMALL).args(NO_SEARCH).args(flags).json();
        (report["protocol"]["fit"].as_str().unwrap().to_owned(), report["models"].clone())
    };
    let (default, _) = fit(&[]);
    assert!(default.starts_with("refit"));
    assert_eq!(fit(&["--no-refit", "--refit"]).0, default, "the last one counts");
    let (without, models) = fit(&["--no-refit"]);
    assert!(without.starts_with("train-only"));
    assert!(models[0]["metrics"]["ndcg@10"]["mean"].is_number());
}

#[test]
fn settings_given_by_hand_bind_and_the_others_are_searched() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", "ials", "--seed", "3"])
        .args(["--set", "models.ials.factors=4", "--set", "models.ials.iterations=2"])
        .args(SMALL)
        .json();
    let settings = &report["models"][0]["settings"];
    assert_eq!(settings["factors"], 4);
    assert_eq!(settings["iterations"], 2);
    assert_eq!(report["protocol"]["seed"], 3);
}

#[test]
fn predictions_come_as_one_table_with_the_protocol() {
    let home = Home::with_data();
    let call = |task: &str| {
        home.run(["evaluate", "--data", "data", "--models", "popularity,mf,linear,deepfm,dcn"])
            .args(["--task", task, "--split", "random", "--threads", "2"])
            .args(FEW_EPOCHS)
            .args(SMALL)
    };
    let report = call("click").args(["--negatives", "3"]).json();
    assert_eq!(report["protocol"]["split"], "random");
    let [positives, negatives] =
        ["positives", "negatives"].map(|key| report["protocol"][key].as_u64().unwrap());
    assert!(positives > 50 && negatives == 3 * positives, "{positives} {negatives}");
    let models = report["models"].as_array().unwrap();
    assert_eq!(models.len(), 5);
    for model in models {
        let auc = model["auc"].as_f64().unwrap();
        assert!((0.3..=1.0).contains(&auc), "{model}");
        let predicts = ["linear", "deepfm", "dcn"].contains(&model["name"].as_str().unwrap());
        assert_eq!(model["log_loss"].is_number(), predicts, "{model}");
        assert!(model["rmse"].is_null(), "{model}");
    }
    let table = call("rating").args(["--positive-at", "4"]).good();
    for part in ["| model ", "log-loss", "- split: random", "at least 4", "| mf ", "| dcn "] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let like = call("like").json();
    let settings = &like["models"][3]["settings"];
    assert_eq!(settings["objective"], "like");
    assert!(settings["calibration"].is_array(), "{settings}");
}

#[test]
fn predictions_repeat_with_any_number_of_threads() {
    let home = Home::with_data();
    let call = |threads: &str| {
        let call = home.run(["evaluate", "--data", "data", "--models", "fm,dnn,deepfm,dcn"]);
        let call = call.args(["--task", "click", "--threads", threads]);
        let report = call.args(FEW_EPOCHS).args(SMALL).json();
        let measures =
            |model: &serde_json::Value| [model["auc"].clone(), model["log_loss"].clone()];
        report["models"].as_array().unwrap().iter().map(measures).collect::<Vec<_>>()
    };
    assert_eq!(call("1"), call("2"));
}

#[test]
fn tasks_nobody_knows_and_flags_without_a_task_are_wrong_usage() {
    let home = Home::with_data();
    home.run(["evaluate", "--data", "data", "--task", "clicks"])
        .fails(2, &["no task `clicks`", "click, like, rating"]);
    home.run(["evaluate", "--data", "data", "--negatives", "3"]).fails(2, &["--task"]);
    home.run(["evaluate", "--data", "data", "--task", "like", "--positive-at", "9"])
        .args(["--models", "popularity"])
        .args(SMALL)
        .good();
}

#[test]
fn the_fused_model_is_measured_without_each_of_its_parts() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", "popularity", "--ablate", "--users", "20"])
        .args(["--set", "fusion.parts=[\"markov\", \"ials\", \"text-knn\"]"])
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    let models = report["models"].as_array().unwrap();
    let names: Vec<&str> = models.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let without = ["markov", "ials", "text-knn"].map(|part| format!("fused without {part}"));
    assert_eq!(names[..2], ["popularity", "fused"]);
    assert_eq!(names[2..], without);
    let tests = report["tests"].as_array().unwrap();
    let is_against_fused =
        |test: &&Value| test["model"] == without[0].as_str() && test["against"] == "fused";
    assert_eq!(tests.iter().filter(is_against_fused).count(), 1);
    assert_eq!(report["protocol"]["test_users"], 20);
}

#[test]
fn two_sides_are_compared_on_the_same_users() {
    let home = Home::with_model("markov");
    home.put("new.toml", "[pipeline]\nsources = [{ from = \"popular\", n = 30 }]\n");
    let compare = |a: &str, b: &str| {
        home.run(["compare", "--data", "data", a, b])
            .args(["--set", "fusion.parts=[\"markov\", \"ials\"]"])
            .args(SMALL)
            .args(NO_SEARCH)
    };
    let found = compare("markov", "popularity").json();
    let row = &found["rows"][0];
    let difference = row["mean_a"].as_f64().unwrap() - row["mean_b"].as_f64().unwrap();
    assert!((row["difference"].as_f64().unwrap() - difference).abs() < 1e-9);
    assert_eq!((&row["metric"], &row["against"]), (&"ndcg@10".into(), &"popularity".into()));
    // A folder is fitted again as it was trained: here as the settings say, so that both are the same.
    let same = compare("model", "markov").json();
    assert_eq!(same["rows"][0]["difference"], 0.0);
    let piped = compare("new.toml", "fused").good();
    assert!(piped.contains("new") && piped.contains("95 % interval"), "{piped}");
    compare("markov", "markov").fails(2, &["name two"]);
    compare("markow", "markov").fails(2, &["markow"]);
}
