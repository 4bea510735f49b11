//! Talks and profiles from outside: scripted from standard input, with and without a language model.

use serde_json::Value;

use super::gguf;
use crate::home::Home;

fn turns(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_turn_is_one_line_of_json() {
    let home = Home::with_model("fused");
    home.put("said.txt", "recommend something\n\nwhy the second?\ncompare the first and the third\nnot the first\n换一批\nstart over\n");
    let ask = ["chat-rec", "--model", "model", "--user", "u3", "-n", "4"];
    let out = home.run(ask).args(["--format", "json"]).reading("said.txt").good();
    let replies = turns(&out);
    let intents: Vec<&str> =
        replies.iter().map(|reply| reply["intent"].as_str().unwrap()).collect();
    assert_eq!(intents, ["seek", "why", "compare", "reject", "critique", "reset"]);
    assert_eq!(replies[0]["items"].as_array().unwrap().len(), 4);
    assert_eq!(replies[1]["items"][0]["item_id"], replies[0]["items"][1]["item_id"]);
    assert_eq!(replies[3]["state"]["rejected"][0], replies[0]["items"][0]["item_id"]);
    assert_eq!(replies[4]["language"], "zh");
    let text = home.run(ask).reading("said.txt").good();
    assert!(text.starts_with("Here are 4:") && text.contains("We start over"), "{text}");
    home.run(["chat-rec", "--model", "model", "--user", "nobody"])
        .reading("said.txt")
        .fails(1, &["nobody"]);
    home.put("bad.txt", b"\xff\xfe\n");
    home.run(ask).reading("bad.txt").fails(1, &["UTF-8"]);
    home.run(["chat-rec", "--model", "model", "-n", "0"]).reading("said.txt").fails(2, &["1..=20"]);
}

#[test]
fn a_small_model_takes_part_and_never_stops_the_talk() {
    let home = Home::with_model("fused");
    home.put("tiny.gguf", gguf::model("qwen2", 8).bytes());
    home.put("said.txt", "qwertz uiop\nrecommend something\n");
    let ask =
        ["chat-rec", "--model", "model", "--user", "u3", "-n", "2", "--chat-model", "tiny.gguf"];
    let out =
        home.run(ask).args(["--seconds", "20", "--format", "json"]).reading("said.txt").good();
    assert_eq!(turns(&out)[1]["items"].as_array().unwrap().len(), 2);
    let late = home
        .run(ask)
        .args(["--seconds", "0.000001", "--format", "json"])
        .reading("said.txt")
        .good();
    let notes = turns(&late)[1]["notes"].to_string();
    assert!(notes.contains("time ceiling"), "{notes}");
    home.run(ask).args(["--seconds", "0"]).reading("said.txt").fails(2, &["--seconds"]);
    let list = home
        .run(["recommend", "--model", "model", "--user", "u3", "-n", "2", "--explain"])
        .args(["--chat-model", "tiny.gguf", "--seconds", "0.000001"])
        .json();
    let reason = &list["items"][0]["reason"];
    assert_eq!(reason["author"], "template");
    assert!(reason["note"].as_str().unwrap().contains("time ceiling"), "{reason}");
}

#[test]
fn a_profile_is_written_edited_and_asked_with() {
    let home = Home::with_model("fused");
    let write = ["profile", "--model", "model", "--user", "u3", "--out", "u3.txt"];
    assert_eq!(home.run(write).json()["file"], "written");
    assert_eq!(home.run(write).json()["file"], "unchanged");
    let text = home.read("u3.txt");
    home.put("u3.txt", format!("{text}A love of the sea.\n"));
    assert_eq!(home.run(write).json()["file"], "edited");
    let ask = ["recommend", "--model", "model", "-n", "3"];
    let list = home.run(ask).args(["--user", "u3", "--profile", "u3.txt"]).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    let newcomer = home.run(ask).args(["--words", "stories of the sea"]).json();
    assert_eq!(newcomer["items"].as_array().unwrap().len(), 3);
    home.run(ask).args(["--words", " "]).fails(2, &["nobody is described"]);
    home.run(ask).args(["--profile", "none.txt"]).fails(1, &["none.txt"]);
    assert_eq!(home.run(write).args(["--over"]).json()["file"], "written");
    let chinese = home.run(["profile", "--model", "model", "--user", "u3", "--lang", "zh"]).good();
    assert!(chinese.contains('《'), "{chinese}");
}

#[test]
fn pipelines_with_a_language_model_are_measured() {
    let home = Home::with_data();
    home.put("tiny.gguf", gguf::model("qwen2", 8).bytes());
    home.put(
        "judged.toml",
        "[pipeline.llm]\nway = \"point\"\nlengths = [0, 100]\ntop = 3\nseconds = 60.0\n",
    );
    let report = home
        .run(["evaluate", "--data", "data", "--models", "fused", "--pipelines", "judged.toml"])
        .args(["--users", "10", "--chat-model", "tiny.gguf"])
        .args(crate::home::SMALL)
        .args(crate::home::NO_SEARCH)
        .json();
    assert_eq!(report["protocol"]["test_users"], 10);
    let stages = report["stages"].as_array().unwrap();
    assert!(stages.iter().any(|stage| stage["stage"] == "language model"), "{stages:?}");
}

#[test]
fn questions_are_answered_by_the_catalogue_itself() {
    let home = Home::new();
    home.put(
        "items.csv",
        "item_id,question,answer,next_step\n\
         q1,How do I return a parcel?,Print the label and bring it to a shop.,Print the label\n\
         q2,When will my order arrive?,Within three days.,\n\
         q3,How do I change my password?,Under Settings.,Open Settings\n",
    );
    home.put(
        "events.csv",
        "user_id,item_id,timestamp\nu1,q1,1\nu1,q2,2\nu2,q2,1\nu2,q3,2\nu3,q1,1\nu3,q3,3\n",
    );
    home.run(["import", "--interactions", "events.csv", "--items", "items.csv", "--out", "data"])
        .good();
    home.run(["train", "--data", "data", "--out", "model", "--model", "text-knn"])
        .args(crate::home::SMALL)
        .args(crate::home::NO_SEARCH)
        .good();
    home.put("said.txt", "how can I return my parcel?\nthe weather in Rome?\n");
    let out =
        home.run(["chat-rec", "--model", "model", "--format", "json"]).reading("said.txt").good();
    let replies = turns(&out);
    assert_eq!(
        (&replies[0]["intent"], &replies[0]["items"][0]["item_id"]),
        (&"ask".into(), &"q1".into())
    );
    let reply = replies[0]["reply"].as_str().unwrap();
    assert!(
        reply.starts_with("Print the label and") && reply.contains("Next: Print the label"),
        "{reply}"
    );
    assert!(!replies[1]["reply"].as_str().unwrap().contains("Print"), "{}", replies[1]);
}
