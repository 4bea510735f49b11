//! A served model with a browser before it.

use serde_json::Value;

use crate::browser::Browser;
use crate::home::{Home, NO_SEARCH, SMALL};
use crate::server::{self, Server};

/// A server, a browser, and the folder of both.
pub(crate) struct Stage {
    pub(crate) browser: Browser,
    pub(crate) origin: String,
    server: Server,
    pub(crate) home: Home,
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
        let server = server::start(&home, args);
        let browser = Browser::start(&home.path(""));
        Self { browser, origin: format!("http://{}", server.address), server, home }
    }

    /// Sends one request past the browser.
    pub(crate) fn send(&self, (method, path): (&str, &str), body: &Value) -> u16 {
        let answer = server::ask(&self.server.address, (method, path), &body.to_string());
        answer.unwrap().0
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
