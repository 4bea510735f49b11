//! A temporary folder with a made-up world in it, and the binary run there.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tastemaker_engine::data::{WorldSettings, generate};

/// Settings that keep every run small and away from weights.
pub(crate) const SMALL: [&str; 4] =
    ["--set", "text.encoder=\"tfidf\"", "--set", "eval.bootstrap=50"];
/// Takes settings as they are, for tests that look at something else.
pub(crate) const NO_SEARCH: [&str; 2] = ["--set", "search.enabled=false"];

/// Keeps models that learn by epochs short.
pub(crate) const FEW_EPOCHS: [&str; 30] = [
    "--set",
    "models.sasrec.epochs=2",
    "--set",
    "models.esasrec.epochs=2",
    "--set",
    "models.bert4rec.epochs=2",
    "--set",
    "models.gru4rec.epochs=2",
    "--set",
    "models.lstm.epochs=2",
    "--set",
    "models.caser.epochs=2",
    "--set",
    "models.next-mlp.epochs=2",
    "--set",
    "models.lightgcn.epochs=2",
    "--set",
    "models.two-tower.epochs=2",
    "--set",
    "models.linear.epochs=2",
    "--set",
    "models.dnn.epochs=2",
    "--set",
    "models.fm.epochs=2",
    "--set",
    "models.deepfm.epochs=2",
    "--set",
    "models.dcn.epochs=2",
    "--set",
    "models.text-cnn.epochs=2",
];

/// A temporary folder; every test has its own.
pub(crate) struct Home(tempfile::TempDir);

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A home with the files of a world and the data set imported from them, in `data`.
    pub(crate) fn with_data() -> Self {
        let home = Self::new();
        home.world();
        home.run(["import", "--interactions", "interactions.csv", "--items", "items.csv"])
            .args(["--out", "data"])
            .good();
        home
    }

    /// A home with a data set and `model` trained on it, in `model`.
    pub(crate) fn with_model(model: &str) -> Self {
        let home = Self::with_data();
        home.run(["train", "--data", "data", "--out", "model", "--model", model])
            .args(SMALL)
            .args(NO_SEARCH)
            .good();
        home
    }

    /// Writes `interactions.csv` and `items.csv`: 60 users, 40 items.
    pub(crate) fn world(&self) {
        let settings =
            WorldSettings { n_users: 60, n_items: 40, n_topics: 4, events_per_user: 10, seed: 7 };
        generate(&settings, self.0.path()).unwrap();
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Changes one byte in the middle of a file.
    pub(crate) fn damage(&self, name: &str) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Names everything below the home, hidden files included, sorted; the cache is left out.
    pub(crate) fn tree(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.0.path().to_path_buf()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("cache") {
                    open.push(path.clone());
                }
                found.push(path);
            }
        }
        found.retain(|path| !path.ends_with("cache"));
        found.sort();
        found
    }

    /// Waits until a first checkpoint is in the folder.
    pub(crate) fn wait_for_checkpoint(&self, folder: &str, child: &mut Child) {
        for _ in 0..2000 {
            // One that is being written has another name.
            let is_whole = |path: PathBuf| path.extension().is_some_and(|end| end == "safetensors");
            let files = fs::read_dir(self.path(folder)).into_iter().flatten();
            if files.filter_map(Result::ok).any(|file| is_whole(file.path())) {
                return;
            }
            assert!(child.try_wait().unwrap().is_none(), "the fit is still under way");
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no checkpoint was written");
    }

    /// Starts a command line; nothing runs before [`Call::end`] or one of its like.
    pub(crate) fn run<const N: usize>(&self, args: [&str; N]) -> Call<'_> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tastemaker"));
        command
            .current_dir(self.0.path())
            .env_remove("TASTEMAKER_OFFLINE")
            .env("TASTEMAKER_CACHE", self.path("cache"))
            .env("HOME", self.0.path())
            .env("HF_ENDPOINT", "http://127.0.0.1:9")
            .arg("--offline")
            .args(args);
        Call { home: self, command }
    }
}

/// A command line being put together.
pub(crate) struct Call<'a> {
    home: &'a Home,
    command: Command,
}

impl Call<'_> {
    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it a file of the home as standard input.
    pub(crate) fn reading(mut self, name: &str) -> Self {
        self.command.stdin(fs::File::open(self.home.path(name)).unwrap());
        self
    }

    /// Lets no file grow, so that every write to disk fails.
    #[cfg(unix)]
    pub(crate) fn without_room(self) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]);
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.current_dir(self.home.0.path());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self { command, ..self }
    }

    /// Starts it and lets it run; what it says on stderr goes to `errors`.
    pub(crate) fn spawn(mut self, errors: Stdio) -> Child {
        self.command.stdout(Stdio::null()).stderr(errors).spawn().unwrap()
    }

    /// Runs it, whatever comes of it; a panic never may.
    #[track_caller]
    pub(crate) fn end(mut self) -> Outcome {
        let output = self.command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert!(!err.contains("panicked"), "{err}");
        Outcome { code: output.status.code(), out, err }
    }

    /// Runs it; it must end well. Returns what it printed.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        let outcome = self.end();
        assert_eq!(outcome.code, Some(0), "{}", outcome.err);
        outcome.out
    }

    /// Runs it with `--format json`; it must end well and print one JSON value.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let out = self.args(["--format", "json"]).good();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e} in:\n{out}"))
    }

    /// Runs it; it must end with `code`, print nothing, leave no trace on disk, and say all of `parts`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) -> String {
        let Outcome { out, err, .. } = self.ends_badly(code, parts);
        assert_eq!(out, "", "a failure prints no result");
        err
    }

    /// Runs it; it must end with 1 as in [`fails`](Self::fails), but print a result. Returns that.
    #[track_caller]
    pub(crate) fn fails_with_a_result(self, parts: &[&str]) -> String {
        let Outcome { out, .. } = self.ends_badly(1, parts);
        assert!(out.contains("ndcg@10"), "the result is printed all the same: {out}");
        out
    }

    #[track_caller]
    fn ends_badly(self, code: i32, parts: &[&str]) -> Outcome {
        let home = self.home;
        let before = home.tree();
        let outcome = self.end();
        let err = &outcome.err;
        assert_eq!(outcome.code, Some(code), "{err}");
        assert!(err.starts_with("error: "), "{err}");
        for part in parts {
            assert!(err.contains(part), "expected `{part}` in: {err}");
        }
        assert_eq!(home.tree(), before, "a failure leaves nothing behind");
        outcome
    }
}
