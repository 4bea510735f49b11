//! Questions that cannot be meant, and those that merely look so.

use crate::home::{Home, NO_SEARCH, SMALL};

#[test]
fn more_items_than_there_are_gives_a_shorter_list() {
    let home = Home::with_model("popularity");
    let list = home.run(["recommend", "--model", "model", "--user", "u0", "-n", "5000"]).json();
    let items = list["items"].as_array().unwrap();
    assert!(items.len() > 10 && items.len() < 40, "all of 40 but the seen: {}", items.len());
    let told = home.run(["recommend", "--model", "model", "--user", "u0", "-n", "5000"]).end();
    assert_eq!(told.code, Some(0));
    assert!(told.err.contains("neither seen nor excluded"), "{}", told.err);
}

#[test]
fn no_items_or_far_too_many_is_wrong_usage() {
    let home = Home::with_model("popularity");
    for n in ["0", "10001"] {
        home.run(["recommend", "--model", "model", "--user", "u0", "-n", n])
            .fails(2, &["-n must lie between 1 and 10000", n]);
        home.run(["similar", "--model", "model", "--item", "i0", "-n", n])
            .fails(2, &["-n must lie between 1 and 10000", n]);
    }
    home.run(["recommend", "--model", "model", "--user", "u0", "-n", "-1"]).fails(2, &["-1"]);
}

#[test]
fn an_empty_id_or_a_rating_that_is_no_number_is_wrong_usage() {
    let home = Home::with_model("popularity");
    for history in ["", " ", "i1,,i2"] {
        home.run(["recommend", "--model", "model", "--history", history])
            .fails(2, &["--history", "an id is not empty"]);
        home.run(["explain", "--model", "model", "--history", history, "--item", "i3"])
            .fails(2, &["--history", "an id is not empty"]);
    }
    home.run(["recommend", "--model", "model", "--user", ""]).fails(2, &["--user", "not empty"]);
    home.run(["similar", "--model", "model", "--item", ""]).fails(2, &["--item", "not empty"]);
    for rating in ["nan", "inf", "good"] {
        home.run(["import", "--interactions", "interactions.csv", "--out", "new"])
            .args(["--min-rating", rating])
            .fails(2, &["--min-rating", rating, "finite number"]);
    }
}

#[test]
fn an_unknown_user_is_named_with_the_nearest_one() {
    let home = Home::with_model("popularity");
    home.run(["recommend", "--model", "model", "--user", "u600"])
        .fails(1, &["u600", "did you mean `u"]);
    home.run(["explain", "--model", "model", "--user", "nobody at all", "--item", "i1"])
        .fails(1, &["nobody at all"]);
}

#[test]
fn an_unknown_item_is_named_wherever_it_is_given() {
    let home = Home::with_model("markov");
    home.run(["similar", "--model", "model", "--item", "i400"]).fails(1, &["i400", "did you mean"]);
    home.run(["explain", "--model", "model", "--user", "u1", "--item", "i400"]).fails(1, &["i400"]);
    home.run(["recommend", "--model", "model", "--history", "i1,i400"]).fails(1, &["i400"]);
    home.run(["recommend", "--model", "model", "--user", "u1", "--exclude", "i400"])
        .fails(1, &["i400"]);
}

#[test]
fn a_user_who_has_taken_everything_gets_an_empty_list() {
    let home = Home::new();
    let mut events = String::from("user_id,item_id,timestamp\n");
    for user in 0..6 {
        let taken = if user == 0 { 8 } else { 4 };
        (0..taken)
            .for_each(|i| events.push_str(&format!("u{user},i{},{}\n", (user + i) % 8, 10 + i)));
    }
    home.put("events.csv", events);
    home.run(["import", "--interactions", "events.csv", "--out", "data"]).good();
    for model in ["popularity", "item-knn", "fused"] {
        home.run(["train", "--data", "data", "--out", model, "--model", model])
            .args(SMALL)
            .args(NO_SEARCH)
            .good();
        let call = || home.run(["recommend", "--model", model, "--user", "u0", "--explain"]);
        assert_eq!(call().json()["items"], serde_json::json!([]), "{model}");
        let told = call().end();
        assert_eq!(told.code, Some(0));
        assert!(told.err.contains("only 0 of the 8 items"), "{}", told.err);
        let all = home.run(["recommend", "--model", model, "--user", "u1"]).json();
        assert_eq!(all["items"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn cutoffs_beyond_the_catalogue_are_measured_and_absurd_ones_refused() {
    let home = Home::with_data();
    let report = home
        .run(["evaluate", "--data", "data", "--models", "popularity,fused", "--at", "10,1000"])
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    for model in report["models"].as_array().unwrap() {
        let hit = model["metrics"]["hit@1000"]["mean"].as_f64().unwrap();
        assert!((hit - 1.0).abs() < 1e-12, "every target is somewhere: {hit}");
    }
    home.run(["evaluate", "--data", "data", "--models", "popularity", "--at", "5000"])
        .fails(2, &["eval.cutoffs", "between 1 and 1000"]);
}

#[test]
fn a_model_that_reads_texts_says_so_where_there_are_none() {
    let home = Home::new();
    home.world();
    home.run(["import", "--interactions", "interactions.csv", "--out", "data"]).good();
    home.run(["evaluate", "--data", "data", "--models", "text-knn"])
        .args(SMALL)
        .fails(1, &["text-knn", "text"]);
    let fused = home
        .run(["evaluate", "--data", "data", "--models", "fused"])
        .args(SMALL)
        .args(NO_SEARCH)
        .json();
    let notes = fused["notes"].to_string();
    assert!(notes.contains("fused goes without text-knn"), "{notes}");
}

#[test]
fn texts_without_a_usable_word_stop_nobody_from_training() {
    let home = Home::with_data();
    let titles: String = (0..40).map(|i| format!("i{i},the\n")).collect();
    home.put("items.csv", format!("item_id,title\n{titles}"));
    home.run(["import", "--interactions", "interactions.csv", "--items", "items.csv"])
        .args(["--out", "data"])
        .good();
    for model in ["popularity", "fused"] {
        home.run(["train", "--data", "data", "--out", model, "--model", model])
            .args(SMALL)
            .args(NO_SEARCH)
            .good();
    }
}

#[test]
fn histories_too_short_to_choose_settings_on_stop_nobody_from_training() {
    let home = Home::new();
    home.put("events.csv", "user_id,item_id\na,x\na,y\nb,x\nb,z\nc,y\n");
    home.run(["import", "--interactions", "events.csv", "--out", "data"]).good();
    for model in ["popularity", "fused"] {
        home.run(["train", "--data", "data", "--out", model, "--model", model]).args(SMALL).good();
        let list = home.run(["recommend", "--model", model, "--user", "c"]).json();
        assert_eq!(list["items"].as_array().unwrap().len(), 2, "{model}: {list}");
    }
}

#[test]
fn a_template_that_names_no_field_is_told_which_there_are() {
    let home = Home::with_data();
    home.run(["evaluate", "--data", "data", "--models", "text-knn"])
        .args(["--set", "text.template=\"{titel}\""])
        .args(SMALL)
        .fails(1, &["`titel`", "title", "categories"]);
}

#[test]
fn data_too_small_to_split_is_told_so() {
    let home = Home::new();
    home.put("events.csv", "user_id,item_id\na,x\nb,y\n");
    home.run(["import", "--interactions", "events.csv", "--out", "data"]).good();
    home.run(["evaluate", "--data", "data", "--models", "popularity"])
        .args(SMALL)
        .fails(1, &["leave-one-out"]);
}

#[test]
fn a_reader_that_hangs_up_is_no_failure() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_tastemaker"))
        .args(["--offline", "config", "default"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
}
