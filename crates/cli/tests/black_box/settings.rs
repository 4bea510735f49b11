//! Settings and everything else that needs no data: layers, faults, lists, completions, help.

use crate::home::{Home, SMALL};

#[test]
fn the_default_settings_load_and_are_the_defaults() {
    let home = Home::new();
    let document = home.run(["config", "default"]).good();
    home.put("settings.toml", &document);
    assert!(document.contains("[models.ials]") && document.contains("# "));
    let of = |flags: &[&str]| home.run(["config", "check"]).args(flags).json();
    let plain = of(&[]);
    assert_eq!(plain["ok"], true);
    assert_eq!(of(&["--config", "settings.toml"]), plain);
    assert_eq!(home.run(["config", "default"]).json(), plain["settings"]);
    assert_eq!(home.run(["config", "check"]).good().trim(), "settings are fine");
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let home = Home::new();
    home.put(
        "a.toml",
        "[models.ials]\nfactors = 8\niterations = 3\n[run]\nseed = 1\nthreads = 1\n",
    );
    let checked = home
        .run(["config", "check", "--config", "a.toml", "--seed", "9"])
        .env("TASTEMAKER_SET__RUN__SEED", "5")
        .env("TASTEMAKER_SET__MODELS__IALS__FACTORS", "16")
        .json();
    let settings = &checked["settings"];
    assert_eq!(settings["run"]["seed"], 9);
    assert_eq!(settings["models"]["ials"]["factors"], 16);
    assert_eq!(settings["models"]["ials"]["iterations"], 3);
    assert_eq!(settings["run"]["threads"], 1);
}

#[test]
fn all_faults_are_told_at_once_with_the_nearest_name() {
    let home = Home::new();
    home.put("a.toml", "[models.ials]\nfactor = 8\n[split]\nkind = \"leave\"\n");
    home.run(["config", "check", "--config", "a.toml", "--set", "fusoin.parts=[]"]).fails(
        2,
        &[
            "3 problems",
            "a.toml",
            "did you mean `factors`",
            "`split.kind`",
            "did you mean `fusion`",
        ],
    );
}

#[test]
fn a_flag_without_a_value_hides_no_other_fault() {
    let home = Home::new();
    home.run(["config", "check", "--set", "foo", "--set", "models.ials.nope=1"])
        .fails(2, &["2 problems", "`--set foo` has no value", "`models.ials.nope`"]);
}

#[test]
fn an_unknown_key_hides_no_impossible_value() {
    let home = Home::new();
    home.run(["config", "check", "--set", "fusoin.x=1", "--set", "search.users=0"])
        .fails(2, &["2 problems", "did you mean `fusion`", "`search.users` must be at least 1"]);
}

#[test]
fn an_impossible_value_is_refused_before_any_work() {
    let home = Home::with_data();
    let evaluate = |set: &str| home.run(["evaluate", "--data", "data", "--set", set]);
    evaluate("models.ials.factors=0").fails(2, &["models.ials.factors"]);
    evaluate("eval.cutoffs=[0]").fails(2, &["eval.cutoffs"]);
    evaluate("split.share=1.5").fails(2, &["split.share"]);
    evaluate("run.threads=100000").fails(2, &["run.threads", "1024"]);
    evaluate("models.ials.factors").fails(2, &["--set", "key=value"]);
}

#[test]
fn an_unknown_setting_or_split_is_wrong_usage() {
    let home = Home::with_data();
    home.run(["evaluate", "--data", "data", "--set", "models.ials.factor=8"])
        .fails(2, &["`models.ials.factor` is not a setting", "did you mean `factors`"]);
    home.run(["evaluate", "--data", "data", "--split", "leave-two-out"])
        .fails(2, &["split.kind", "leave-one-out"]);
}

#[test]
fn a_settings_file_that_is_none_is_told_by_name_and_line() {
    let home = Home::new();
    home.put("a.toml", "[run]\nseed = = 3\n");
    home.run(["config", "check", "--config", "a.toml"]).fails(2, &["a.toml", "line 2"]);
    home.run(["config", "check", "--config", "b.toml"]).fails(2, &["settings in b.toml"]);
    home.run(["config", "check", "--config", "."]).fails(2, &["settings in ."]);
}

#[test]
fn the_schema_is_json_and_knows_every_section() {
    let home = Home::new();
    for flags in [&[][..], &["--format", "json"]] {
        let text = home.run(["config", "schema"]).args(flags).good();
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        for section in ["run", "text", "split", "eval", "search", "fusion", "models"] {
            assert!(schema["properties"].get(section).is_some(), "{section}");
        }
    }
}

#[test]
fn what_can_be_fetched_is_listed_with_its_terms() {
    let home = Home::new();
    for (kind, name) in [("weights", "minilm"), ("data", "ml-100k")] {
        let list = home.run([kind, "list"]).json();
        let asset = list.as_array().unwrap().iter().find(|asset| asset["name"] == name).unwrap();
        assert_eq!(asset["cached"], false);
        assert!(asset["bytes"].as_u64().unwrap() > 0);
        assert!(!asset["licence"].as_str().unwrap().is_empty());
        assert!(home.run([kind, "list"]).good().contains(name));
        let error = home.run([kind, "get", name]).fails(1, &[name, "offline", "by hand"]);
        assert!(error.contains("sha256"), "{error}");
    }
}

#[test]
fn a_name_that_cannot_be_fetched_is_told_the_nearest() {
    let home = Home::new();
    home.run(["weights", "get", "minlm"]).fails(2, &["unknown weights `minlm`", "`minilm`"]);
    let distill = ["weights", "distill", "--out", "words", "--encoder"];
    home.run(distill).args(["minlm"]).fails(2, &["unknown weights `minlm`", "`minilm`"]);
    home.run(distill).args(["tfidf"]).fails(2, &["--encoder tfidf", "no language model"]);
    let inspect = |name| home.run(["weights", "inspect", name]);
    inspect("minlm").fails(2, &["unknown weights `minlm`", "`minilm`"]);
    inspect("tfidf").fails(2, &["tfidf is no language model"]);
    home.run(["weights", "quantize"]).fails(2, &["--data", "--texts"]);
    home.put("texts.txt", "one\n");
    let quantize = home.run(["weights", "quantize", "--texts", "texts.txt", "--encoder", "minlm"]);
    quantize.fails(2, &["unknown weights `minlm`"]);
    let prune = ["weights", "prune", "minlm", "--out", "words"];
    home.run(prune).args(["--heads", "2"]).fails(2, &["--data", "--texts"]);
    home.run(prune).args(["--texts", "texts.txt"]).fails(2, &["--heads", "--layers", "--share"]);
    assert!(!home.path("words").exists());
    home.run(["data", "get", "ml-100"]).fails(2, &["unknown data `ml-100`", "`ml-100k`"]);
}

#[test]
fn completions_come_for_every_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = home.run(["completions", shell]).good();
        assert!(script.contains("tastemaker") && script.contains("evaluate"), "{shell}");
    }
}

#[test]
fn help_ends_well_and_wrong_usage_with_two() {
    let home = Home::new();
    let help = home.run(["--help"]).good();
    assert!(help.contains("Examples:") && help.contains("Exit code 0"), "{help}");
    let commands = [
        "demo",
        "import",
        "inspect",
        "train",
        "evaluate",
        "recommend",
        "similar",
        "explain",
        "describe",
    ];
    for command in commands {
        assert!(help.contains(command));
        home.run([command, "--help"]).good();
    }
    home.run(["evaluate"]).fails(2, &["--data"]);
    home.run(["evalute"]).fails(2, &["evalute", "evaluate"]);
    home.run(["recommend", "--model", "model"]).fails(2, &["--user"]);
    home.run(["config", "check", "--format", "yaml"]).fails(2, &["yaml", "json"]);
    let version = home.run(["--version"]).good();
    assert!(version.starts_with("tastemaker "));
}

#[test]
fn a_name_of_a_model_is_checked_before_the_data_is_read() {
    let home = Home::new();
    let known = ["there is no model `fuzed`", "popularity", "text-knn", "fused"];
    home.run(["evaluate", "--data", "nowhere", "--models", "popularity,fuzed"])
        .args(SMALL)
        .fails(2, &known);
    home.run(["train", "--data", "nowhere", "--out", "model", "--model", "fuzed"]).fails(2, &known);
}

#[test]
fn an_evaluation_of_no_model_is_wrong_usage() {
    let home = Home::with_data();
    home.run(["evaluate", "--data", "data", "--models", ","]).fails(2, &["--models", "popularity"]);
}
