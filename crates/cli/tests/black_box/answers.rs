//! From training to answers: lists, likeness and reasons, from a saved model.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::home::{FEW_EPOCHS, Home, NO_SEARCH, SMALL};

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["item_id"].as_str().unwrap()).collect()
}

/// Items of a user in the world's file.
fn taken(home: &Home, user: &str) -> BTreeSet<String> {
    let start = format!("{user},");
    let table = home.read("interactions.csv");
    let own = table.lines().filter(|line| line.starts_with(&start));
    own.map(|line| line.split(',').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn training_says_what_was_made_of_what() {
    let home = Home::with_data();
    let made =
        home.run(["train", "--data", "data", "--out", "model"]).args(SMALL).args(NO_SEARCH).json();
    assert_eq!(made["model"], "fused");
    assert_eq!(made["out"], "model");
    assert!(made["seconds"].as_f64().unwrap() > 0.0);
    let parts = made["parts"].as_array().unwrap();
    assert!(parts.iter().any(|part| part["name"] == "text-knn"), "{parts:?}");
    assert!(parts.iter().all(|part| part["settings"].is_object()));
    assert!(made["weights"].is_object());
    assert!(home.path("model/manifest.json").is_file());
    let again = home.run(["train", "--data", "data", "--out", "model", "--model", "popularity"]);
    let table = again.args(SMALL).good();
    assert!(table.contains("saved popularity in model") && table.contains("next:"), "{table}");
}

#[test]
fn a_list_holds_what_the_user_has_not_taken_best_first_each_with_a_reason() {
    let home = Home::with_model("fused");
    let list = home.run(["recommend", "--model", "model", "--user", "u3", "--explain"]).json();
    assert_eq!(list["model"], "fused");
    assert_eq!(list["user"], "u3");
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 10);
    let seen = taken(&home, "u3");
    let unique: BTreeSet<&str> = ids(&list).into_iter().collect();
    assert_eq!(unique.len(), 10);
    assert!(unique.iter().all(|id| !seen.contains(*id)));
    for (place, item) in items.iter().enumerate() {
        assert_eq!(item["rank"], place + 1);
        assert!(!item["title"].as_str().unwrap().is_empty());
        let reason = &item["reason"];
        assert!(!reason["text"].as_str().unwrap().is_empty());
        let facts = reason["evidence"].as_array().unwrap().len();
        for clause in reason["clauses"].as_array().unwrap() {
            assert!((clause["evidence_index"].as_u64().unwrap() as usize) < facts, "{reason}");
        }
    }
    let score = |item: &Value| item["score"].as_f64().unwrap();
    assert!(items.windows(2).all(|pair| score(&pair[0]) >= score(&pair[1])));
    let plain = home.run(["recommend", "--model", "model", "--user", "u3"]).json();
    assert_eq!(ids(&plain), ids(&list), "reasons change no list");
    assert!(plain["items"][0].get("reason").is_none());
}

#[test]
fn the_table_shows_titles_and_reasons() {
    let home = Home::with_model("fused");
    let text = home.run(["recommend", "--model", "model", "--user", "u3", "--explain"]).good();
    assert!(text.contains("| why") && text.contains("The "), "{text}");
    let text = home.run(["recommend", "--model", "model", "--user", "u3", "-n", "2"]).good();
    assert_eq!(text.lines().count(), 4, "header, rule and two rows:\n{text}");
}

#[test]
fn a_newcomer_is_served_from_a_history_given_by_hand() {
    let home = Home::with_model("fused");
    let list =
        home.run(["recommend", "--model", "model", "--history", "i0,i4", "--exclude", "i8"]).json();
    let listed = ids(&list);
    assert!(["i0", "i4", "i8"].iter().all(|id| !listed.contains(id)), "{listed:?}");
    assert!(list["user"].is_null());
    let other = home.run(["recommend", "--model", "model", "--history", "i1,i5"]).json();
    assert_ne!(listed, ids(&other));
}

#[test]
fn similar_items_leave_out_the_item_itself() {
    let home = Home::with_model("text-knn");
    let list = home.run(["similar", "--model", "model", "--item", "i4", "-n", "5"]).json();
    assert_eq!(list["item"], "i4");
    let listed = ids(&list);
    assert!(listed.len() == 5 && !listed.contains(&"i4"), "{listed:?}");
    let topic = |id: &str| id[1..].parse::<usize>().unwrap() % 4;
    let same = listed.iter().filter(|id| topic(id) == topic("i4")).count();
    assert!(same >= 4, "items told in the same words come first: {listed:?}");
    let table = home.run(["similar", "--model", "model", "--item", "i4"]).good();
    assert!(table.starts_with("Like “"), "{table}");
}

#[test]
fn a_model_that_cannot_find_similar_items_says_which_can() {
    let home = Home::with_model("popularity");
    home.run(["similar", "--model", "model", "--item", "i4"])
        .fails(1, &["`popularity` cannot find similar items", "item-knn"]);
}

#[test]
fn an_explanation_agrees_with_the_list() {
    for model in ["popularity", "fused"] {
        let home = Home::with_model(model);
        let list = home.run(["recommend", "--model", "model", "--user", "u5"]).json();
        for (place, item) in ids(&list).into_iter().enumerate() {
            let why =
                home.run(["explain", "--model", "model", "--user", "u5", "--item", item]).json();
            assert_eq!(why["item_id"], item);
            assert_eq!(why["rank"], place + 1, "{model}: {item} in {list}");
            assert_eq!(why["seen"], false);
            assert!(!why["reason"]["text"].as_str().unwrap().is_empty());
        }
    }
}

#[test]
fn a_fused_score_is_the_sum_of_its_parts_shares() {
    let home = Home::with_model("fused");
    let list = home.run(["recommend", "--model", "model", "--user", "u5", "-n", "1"]).json();
    let item = ids(&list)[0];
    let why = home.run(["explain", "--model", "model", "--user", "u5", "--item", item]).json();
    let parts = why["parts"].as_array().unwrap();
    assert!(parts.len() >= 2);
    let sum: f64 = parts.iter().map(|part| part["share"].as_f64().unwrap()).sum();
    let score = why["score"].as_f64().unwrap();
    assert!((sum - score).abs() < 1e-3 * score.abs().max(1.0), "{sum} is not {score}: {why}");
    let text = home.run(["explain", "--model", "model", "--user", "u5", "--item", item]).good();
    assert!(text.contains("stands at place 1") && text.contains("adds to the score"), "{text}");
}

#[test]
fn an_item_taken_already_is_explained_as_such() {
    let home = Home::with_model("markov");
    let seen = taken(&home, "u5").into_iter().next().unwrap();
    let call = || home.run(["explain", "--model", "model", "--user", "u5", "--item", &seen]);
    let why = call().json();
    assert_eq!(why["seen"], true);
    assert!(why["rank"].is_null());
    assert!(call().good().contains("was taken already"));
}

#[test]
fn import_and_inspect_tell_the_same_counts() {
    let home = Home::new();
    home.world();
    let import = |out: &str| {
        home.run(["import", "--interactions", "interactions.csv", "--items", "items.csv"])
            .args(["--out", out])
    };
    let manifest = import("data").json();
    assert_eq!(manifest["format"], "tastemaker-data");
    assert_eq!(manifest["name"], "data");
    let found = home.run(["inspect", "--data", "data"]).json();
    assert_eq!(found["n_users"], manifest["counts"]["users"]);
    assert_eq!(found["n_items"], manifest["counts"]["items"]);
    assert_eq!(found["n_events"], manifest["counts"]["events"]);
    let lines = home.read("interactions.csv").lines().count() - 1;
    assert_eq!(found["n_events"], lines);
    let table = home.run(["inspect", "--data", "data"]).good();
    assert!(table.contains("density") && table.contains("title"), "{table}");
    let told = import("again").good();
    assert!(told.contains("taken for") && told.contains("next: tastemaker evaluate"), "{told}");
}

#[test]
fn import_does_as_its_flags_say() {
    let home = Home::new();
    home.put(
        "log.csv",
        "who;what;stars;at\na;x;5;1\na;x;4;2\na;y;1;3\nb;x;5;4\nb;y;5;5\nc;z;5;6\n",
    );
    let manifest = home
        .run(["import", "--interactions", "log.csv", "--out", "data", "--name", "shop"])
        .args(["--user-column", "who", "--item-column", "what", "--rating-column", "stars"])
        .args(["--time-column", "at", "--duplicates", "last", "--min-rating", "2"])
        .json();
    assert_eq!(manifest["name"], "shop");
    assert_eq!(manifest["counts"]["rows_read"], 6);
    assert_eq!(manifest["counts"]["events"], 4, "one twice, one rated low: {manifest}");
    assert_eq!(manifest["dropped"].as_array().unwrap().len(), 2);
}

#[test]
fn what_a_model_expects_of_an_item_stands_beside_it() {
    let home = Home::with_data();
    let first = |model: &str| {
        let train = ["train", "--data", "data", "--model", model, "--out", model];
        home.run(train).args(FEW_EPOCHS).args(SMALL).good();
        let ask = ["recommend", "--model", model, "--user", "u1", "-n", "3"];
        (home.run(ask).json()["items"][0].clone(), home.run(ask).good())
    };
    let (item, table) = first("deepfm");
    assert!((0.0..=1.0).contains(&item["probability"].as_f64().unwrap()), "{item}");
    assert!(item["rating"].is_null() && table.contains("probability"), "{table}");
    let (item, table) = first("mf");
    assert!((1.0..=5.0).contains(&item["rating"].as_f64().unwrap()), "{item}");
    assert!(item["probability"].is_null() && table.contains("rating"), "{table}");
    let (item, table) = first("ials");
    assert!(item["rating"].is_null() && item["probability"].is_null(), "{item}");
    assert!(table.contains("score"), "{table}");
}

#[test]
fn lists_have_variety_when_it_is_asked_for() {
    let home = Home::with_data();
    let train = ["train", "--data", "data", "--model", "text-knn", "--out", "model"];
    home.run(train).args(SMALL).args(NO_SEARCH).good();
    let ask = |flags: &[&str]| {
        let ask = ["recommend", "--model", "model", "--user", "u1", "-n", "20"];
        home.run(ask).args(flags).json()
    };
    let (plain, varied) = (ask(&[]), ask(&["--variety", "mmr", "--strength", "0.8"]));
    assert_eq!(ids(&plain)[0], ids(&varied)[0], "the best stays the first");
    assert_ne!(ids(&plain), ids(&varied));
    assert_eq!(ids(&plain), ids(&ask(&["--variety", "dpp", "--strength", "0"])));
    let wrong = |flags: &[&str], part: &str| {
        home.run(["recommend", "--model", "model", "--user", "u1"]).args(flags).fails(2, &[part]);
    };
    wrong(&["--variety", "some"], "--variety must be off, mmr or dpp");
    wrong(&["--strength", "2"], "--strength must be 0 to 1");
    // As a setting it goes with the model, and is measured.
    let varied = ["--set", "rerank.variety=dpp", "--set", "rerank.strength=0.9"];
    let diversity = |flags: &[&str]| {
        let call = home.run(["evaluate", "--data", "data", "--models", "text-knn"]);
        let report = call.args(SMALL).args(NO_SEARCH).args(flags).json();
        report["models"][0]["metrics"]["diversity@10"]["mean"].as_f64().unwrap()
    };
    assert!(diversity(&varied) > diversity(&[]) + 0.01);
    home.run(train).args(SMALL).args(NO_SEARCH).args(varied).good();
    assert_ne!(ids(&ask(&[])), ids(&plain));
    // A model that reads no texts has lists with variety all the same.
    let popular = ["train", "--data", "data", "--model", "popularity", "--out", "popular"];
    home.run(popular).args(SMALL).args(varied).good();
    let ask = ["recommend", "--model", "popular", "--user", "u1", "-n", "20"];
    let plain = home.run(ask).args(["--variety", "off"]).json();
    assert_ne!(ids(&plain), ids(&home.run(ask).json()));
    let none = ["--set", "text.encoder=none"];
    home.run(popular).args(varied).args(none).fails(1, &["rerank.variety", "no"]);
    let without = ["--set", "text.encoder=none", "--models", "ease"];
    let call = home.run(["evaluate", "--data", "data"]).args(SMALL).args(without);
    call.args(varied).fails(1, &["rerank.variety", "no"]);
}

#[test]
fn lists_are_mixed_as_what_the_user_took_when_it_is_asked_for() {
    let home = Home::with_data();
    let measured = |flags: &[&str]| {
        let call = home.run(["evaluate", "--data", "data", "--models", "popularity"]);
        let report = call.args(SMALL).args(NO_SEARCH).args(flags).json();
        report["models"][0]["metrics"]["miscalibration@10"]["mean"].as_f64().unwrap()
    };
    let (plain, mixed) = (measured(&[]), measured(&["--set", "rerank.calibration=0.9"]));
    assert!(plain > 0.0 && mixed < 0.5 * plain, "{plain} {mixed}");
    let train = ["train", "--data", "data", "--model", "popularity", "--out", "model"];
    home.run(train).args(SMALL).good();
    let ask = |flags: &[&str]| {
        home.run(["recommend", "--model", "model", "--user", "u1"]).args(flags).json()
    };
    assert_ne!(ids(&ask(&[])), ids(&ask(&["--calibration", "0.9"])));
    let wrong = |flags: &[&str], code, parts: &[&str]| {
        let call = home.run(["evaluate", "--data", "data", "--models", "popularity"]);
        call.args(SMALL).args(flags).fails(code, parts);
    };
    let calibrated = ["--set", "rerank.calibration=0.5", "--set"];
    let with = |flag| [&calibrated[..], &[flag]].concat();
    wrong(&with("rerank.labels=colour"), 1, &["`colour`", "categories", "rerank.labels"]);
    wrong(&with("rerank.variety=dpp"), 2, &["rerank.calibration", "does not go with"]);
}
