//! `export`: vectors and an index for other programs. `describe`: summaries and tags of items.

use std::fs;

use serde_json::Value;

use crate::home::{FEW_EPOCHS, Home, NO_SEARCH, SMALL};

/// Reads a matrix that `NumPy` would read, and the ids beside it.
fn npy(home: &Home, name: &str) -> (Vec<String>, Vec<Vec<f32>>) {
    let bytes = fs::read(home.path(format!("{name}.npy"))).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let flat: Vec<f32> =
        bytes[start..].as_chunks::<4>().0.iter().map(|&word| f32::from_le_bytes(word)).collect();
    let ids: Vec<String> = serde_json::from_str(&home.read(&format!("{name}.ids.json"))).unwrap();
    let rows = flat.chunks_exact(flat.len() / ids.len()).map(<[f32]>::to_vec).collect();
    (ids, rows)
}

/// Ranks all items for a user by products, the taken ones left out.
fn ranked(items: &(Vec<String>, Vec<Vec<f32>>), user: &[f32], taken: &[String]) -> Vec<String> {
    let product =
        |item: &Vec<f32>| -> f64 { item.iter().zip(user).map(|(a, b)| f64::from(a * b)).sum() };
    let mut all: Vec<(f64, &String)> = items.1.iter().map(product).zip(&items.0).collect();
    all.retain(|(_, id)| !taken.contains(id));
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().map(|(_, id)| id.clone()).collect()
}

#[test]
fn products_of_exported_vectors_rank_as_the_model_does() {
    let home = Home::with_data();
    for model in ["ials", "bpr", "item2vec", "two-tower", "gru4rec"] {
        home.run(["train", "--data", "data", "--out", model, "--model", model])
            .args(SMALL)
            .args(NO_SEARCH)
            .args(FEW_EPOCHS)
            .good();
        let told = home
            .run(["export", "--model", model, "--out", "items.npy", "--users", "users.npy"])
            .json();
        let (items, users) = (npy(&home, "items"), npy(&home, "users"));
        assert_eq!((&told["model"], &told["measure"]), (&model.into(), &"dot".into()));
        assert_eq!(told["items"], items.0.len());
        assert_eq!(told["users"], users.0.len());
        assert_eq!(told["dims"], items.1[0].len());
        assert_eq!(told["files"].as_array().unwrap().len(), 4);
        assert_eq!(told["index"], Value::Null);
        let table = home.read("interactions.csv");
        for (id, vector) in users.0.iter().zip(&users.1).take(5) {
            let start = format!("{id},");
            let own = table.lines().filter(|line| line.starts_with(&start));
            let taken: Vec<String> =
                own.map(|line| line.split(',').nth(1).unwrap().into()).collect();
            let list = home.run(["recommend", "--model", model, "--user", id, "-n", "5"]).json();
            let list = list["items"].as_array().unwrap().clone();
            let scores: Vec<f64> = list.iter().map(|x| x["score"].as_f64().unwrap()).collect();
            // Neighbours nearer than rounding may change places.
            let apart = scores.windows(2).all(|pair| pair[0] - pair[1] > 1e-5);
            let list: Vec<&str> = list.iter().map(|x| x["item_id"].as_str().unwrap()).collect();
            let own = ranked(&items, vector, &taken);
            assert!(!apart || own[..4] == list[..4], "{model} {id}: {own:?} {list:?}");
        }
    }
}

#[test]
fn an_index_is_written_measured_and_told_of() {
    let home = Home::with_model("ials");
    let args = ["--users", "users.safetensors", "--index", "items.usearch", "--storage", "bf16"];
    let told = home.run(["export", "--model", "model", "--out", "items.parquet"]).args(args).json();
    let index = &told["index"];
    assert!(index["recall"].as_f64().unwrap() > 0.9, "{index}");
    assert_eq!((&index["k"], &index["queries"]), (&10.into(), &60.into()));
    let files = told["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["items.parquet", "users.safetensors", "items.usearch"]);
    for file in files {
        let path = home.path(file["path"].as_str().unwrap());
        assert_eq!(fs::metadata(path).unwrap().len(), file["bytes"]);
    }
    let again =
        home.run(["export", "--model", "model", "--out", "items.parquet"]).args(args).good();
    for part in ["recall of the index", "queries a second, exact", "items.usearch", "| measure"] {
        assert!(again.contains(part), "no `{part}` in:\n{again}");
    }
}

#[test]
fn what_cannot_be_exported_is_told_before_anything_is_written() {
    let home = Home::with_model("fused");
    let export = |out: &str| home.run(["export", "--model", "model", "--out"]).args([out]);
    export("items.parquet").fails(1, &["`fused` cannot be exported as vectors", "ials"]);
    export("items.csv").fails(2, &["items.csv", ".parquet, .npy or .safetensors"]);
    export("items.npy").args(["--users", "items.npy"]).fails(2, &["would be written twice"]);
    export("items.npy").args(["--users", "users.txt"]).fails(2, &["users.txt"]);
    let ials = Home::with_model("ials");
    let call = ials.run(["export", "--model", "model", "--out", "x.npy", "--index", "x.usearch"]);
    call.args(["--connectivity", "1"]).fails(2, &["`connectivity` must be 2 to 256, is 1"]);
    ials.run(["export", "--model", "model", "--out", "no/x.npy"]).fails(1, &["no/x"]);
}

#[test]
fn texts_become_a_file_of_vectors() {
    let home = Home::with_data();
    let tfidf = ["--set", "text.encoder=tfidf"];
    let told = home.run(["encode", "--data", "data", "--out", "items.npy"]).args(tfidf).json();
    let (ids, vectors) = npy(&home, "items");
    assert_eq!(told["texts"], ids.len());
    assert_eq!(told["dims"], vectors[0].len());
    home.put("texts.txt", "a red film\n\nthe red sea\na film about the sea\n");
    let lines = ["encode", "--input", "texts.txt", "--out", "lines.npy"];
    let told = home.run(lines).args(tfidf).json();
    let (ids, vectors) = npy(&home, "lines");
    assert_eq!((told["empty"].as_u64(), ids.join(" ")), (Some(1), "1 2 3 4".to_owned()));
    assert!(vectors[1].iter().all(|x| x.abs() < 1e-9), "a line without text is a zero row");
    assert!(home.run(lines).args(tfidf).good().contains("lines.npy"));
}

#[test]
fn texts_that_cannot_be_encoded_are_told() {
    let home = Home::new();
    let run = |input, out, parts: &[&str], code| {
        home.run(["encode", "--input", input, "--out", out, "--set", "text.encoder=tfidf"])
            .fails(code, parts);
    };
    home.put("texts.txt", "one\ntwo\n");
    fs::write(home.path("latin.txt"), b"fine\nna\xefve\n").unwrap();
    home.put("empty.txt", "");
    run("texts.txt", "a.csv", &["a.csv", ".parquet"], 2);
    run("latin.txt", "a.npy", &["latin.txt", "line 2", "UTF-8"], 1);
    run("empty.txt", "a.npy", &["no texts"], 1);
    run("none.txt", "a.npy", &["none.txt"], 1);
    assert!(!home.path("a.npy").exists());
    home.run(["encode", "--out", "a.npy"]).fails(2, &["--data", "--input"]);
}

#[test]
fn an_export_that_cannot_be_finished_writes_nothing() {
    let home = Home::with_data();
    let train = ["train", "--data", "data", "--model", "ials", "--out", "model"];
    home.run(train).args(SMALL).args(NO_SEARCH).good();
    home.put("there/keep.txt", "mine");
    fs::create_dir(home.path("dir.npy")).unwrap();
    let run = |flags: &[&str], code, parts: &[&str]| {
        home.run(["export", "--model", "model"]).args(flags).fails(code, parts);
        for name in ["a.npy", "a.ids.json", "dir.ids.json", "b.us"] {
            assert!(!home.path(name).exists(), "{name} after {flags:?}");
        }
    };
    run(&["--out", "a.npy", "--users", "none/u.npy"], 1, &["none/u.npy"]);
    run(&["--out", "a.npy", "--index", "none/b.us"], 1, &["none/b.us"]);
    run(&["--out", "dir.npy"], 1, &["dir.npy"]);
    // Vectors of iALS have lengths of their own.
    run(&["--out", "a.npy", "--index", "b.us", "--storage", "i8"], 2, &["i8"]);
}

#[test]
fn a_column_of_a_table_becomes_vectors_with_its_ids() {
    let home = Home::new();
    home.put("x.csv", "sku,title\na1,the red sea\na2,\na3,a film about the red sea\n");
    let base = ["encode", "--input", "x.csv", "--out", "x.npy", "--encoder", "tfidf"];
    let told = home.run(base).args(["--column", "title", "--id-column", "sku"]).json();
    let (ids, _) = npy(&home, "x");
    assert_eq!((ids.join(" "), &told["empty"]), ("a1 a2 a3".to_owned(), &1.into()));
    assert!(told["texts_per_second"].as_f64().unwrap() > 0.0);
    home.run(base).args(["--column", "title"]).good();
    assert_eq!(npy(&home, "x").0, ["1", "2", "3"]);
    home.run(base).fails(2, &["x.csv", "--column NAME"]);
    let column = |name| home.run(base).args(["--column", name]);
    column("titel").fails(1, &["no column `titel`", "did you mean `title`"]);
    column("title").args(["--id-column", "ski"]).fails(1, &["no column `ski`", "--id-column"]);
    column("title").args(["--id-column", "vector"]).fails(2, &["--id-column vector", "rename"]);
    home.run(base).args(["--id-column", "sku"]).fails(2, &["--column"]);
}

#[test]
fn items_are_described_gone_on_with_and_imported_again() {
    let home = Home::with_data();
    let call = ["describe", "--data", "data", "--out", "described.jsonl"];
    let told = home.run(call).args(["--limit", "3", "--words", "8"]).json();
    assert_eq!(
        (&told["items"], &told["by_template"], &told["failed"]),
        (&3.into(), &3.into(), &0.into())
    );
    let first = home.read("described.jsonl");
    assert_eq!(first.lines().count(), 3);
    for line in first.lines() {
        let one: Value = serde_json::from_str(line).unwrap();
        let summary = one["summary"].as_str().unwrap();
        assert!(!summary.is_empty() && summary.split_whitespace().count() <= 8, "{line}");
        assert_eq!(one["author"], "template");
    }
    home.run(call).fails(1, &["described.jsonl exists", "--continue"]);
    let text =
        home.run(call).args(["--continue", "--words", "8", "--items-out", "all.jsonl"]).good();
    assert!(text.contains("| items described | 37") && text.contains("kept of before"), "{text}");
    let whole = home.read("described.jsonl");
    assert!(whole.starts_with(&first) && whole.lines().count() == 40);
    home.run([
        "import",
        "--interactions",
        "interactions.csv",
        "--items",
        "all.jsonl",
        "--out",
        "again",
    ])
    .good();
    let columns = home.run(["inspect", "--data", "again"]).good();
    assert!(columns.contains("summary") && columns.contains("tags"), "{columns}");
    let filter =
        ["--set", "text.encoder=tfidf", "--set", "text.template={title}. {tags}. {summary}"];
    home.run(["encode", "--data", "again", "--out", "items.npy"]).args(filter).good();
}

#[test]
fn a_call_that_cannot_be_meant_leaves_nothing_behind() {
    let home = Home::with_data();
    let call = |args: &[&str]| home.run(["describe", "--data", "data"]).args(args);
    call(&["--out", "x.jsonl", "--items", "nobody"]).fails(1, &["unknown item `nobody`"]);
    call(&["--out", "x.jsonl", "--items-out", "x.jsonl"]).fails(2, &["would be written twice"]);
    call(&["--out", "no/x.jsonl"]).fails(1, &["no/x"]);
    call(&["--out", "x.jsonl", "--words", "0"]).fails(2, &["--words"]);
    call(&["--out", "x.jsonl", "--chat-model", "nobody"]).fails(2, &["nobody"]);
    call(&["--out", "x.jsonl", "--set", "text.template={plot}"]).fails(1, &["plot"]);
}
