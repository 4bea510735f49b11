//! A served model with a browser before it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::browser::Browser;
use crate::home::{Home, NO_SEARCH, SMALL};

/// A server, a browser, and the folder of both.
pub(crate) struct Stage {
    pub(crate) browser: Browser,
    pub(crate) origin: String,
    _server: Server,
    pub(crate) home: Home,
}

/// Our own child, ended whatever becomes of a test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A home with two models of which the first is served.
pub(crate) fn two_models() -> Home {
    let home = Home::with_data();
    std::fs::create_dir_all(home.path("models/default")).unwrap();
    for (name, model) in [("one", "item-knn"), ("two", "text-knn")] {
        let out = format!("models/default/{name}");
        home.run(["train", "--data", "data", "--out", &out, "--model", model])
            .args(SMALL)
            .args(NO_SEARCH)
            .good();
    }
    let epoch = |loss: f64, validation: f64| serde_json::json!({ "loss": loss, "validation": validation, "samples": 9, "seconds": 0.1 });
    let curves = serde_json::json!([{
        "model": "sasrec", "best_epoch": 2, "epochs": [epoch(2.0, 0.1), epoch(1.5, 0.2), epoch(1.2, 0.15)],
    }]);
    home.put("models/default/two.curves.json", curves.to_string());
    home
}

impl Stage {
    pub(crate) fn new(home: Home, args: &[&str]) -> Self {
        let server = Command::new(env!("CARGO_BIN_EXE_tastemaker"))
            .current_dir(home.path(""))
            .env("HOME", home.path(""))
            .args(["serve", "--offline", "--addr", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Server(server);
        let mut lines = BufReader::new(server.0.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the server ended: {said}");
            said.push_str(&line);
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        std::thread::spawn(move || lines.read_to_string(&mut String::new()));
        let browser = Browser::start(&home.path(""));
        Self { browser, origin: format!("http://{address}"), _server: server, home }
    }

    /// Sends one request past the browser.
    pub(crate) fn send(&self, (method, path): (&str, &str), body: &Value) -> u16 {
        let address = self.origin.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Goes to a page through the frame's links, and waits until it is whole.
    #[track_caller]
    pub(crate) fn go(&self, page: &str) {
        self.browser.click(&format!("nav a[data-page={page}]"));
        self.is_at(page);
    }

    #[track_caller]
    pub(crate) fn is_at(&self, page: &str) {
        self.browser
            .wait(&format!("document.querySelector('main[aria-busy=false][data-page={page}] h1')"));
    }

    /// Everything went well but requests that were answered otherwise on purpose, and nothing left this server.
    #[track_caller]
    pub(crate) fn is_clean(&self, on_purpose: &[&str]) {
        let complaints = self.browser.complaints();
        let is_expected = |line: &String| on_purpose.iter().any(|part| line.contains(part));
        assert!(complaints.iter().all(is_expected), "{complaints:?}");
        let requests = self.browser.requests();
        // Chromium's own first page comes from itself.
        let own = [&format!("{}/", self.origin), "chrome://", "data:"];
        let is_foreign = |url: &&String| !own.iter().any(|start| url.starts_with(*start));
        let foreign: Vec<&String> = requests.iter().filter(is_foreign).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
        let ours = requests.iter().filter(|url| url.starts_with(own[0]));
        assert!(ours.count() > 10, "{requests:?}");
        assert_eq!(self.browser.run("return document.querySelectorAll('.trouble').length"), 0);
    }
}
