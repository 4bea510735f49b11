//! A headless Chromium, driven by plain `WebDriver` over HTTP: Debian's `chromium` and `chromium-driver`, nothing else. It can reach this
//! machine alone.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tastemaker_core::{Clock as _, SystemClock};

/// Longest time that a page may take for something.
const PATIENCE: Duration = Duration::from_secs(30);
/// The name under which `WebDriver` hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
pub(crate) const ESCAPE: &str = "\u{E00C}";
pub(crate) const TAB: &str = "\u{E004}";
pub(crate) const ENTER: &str = "\u{E007}";

/// A browser with one page.
pub(crate) struct Browser {
    /// Ends after the session.
    _driver: Driver,
    address: String,
    session: String,
}

/// Our own child, ended whatever becomes of a test.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let path = format!("/session/{}", self.session);
        ask(&self.address, ("DELETE", &path), &Value::Null);
    }
}

impl Browser {
    /// Starts one that keeps what it must keep in `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is there: apt-get install chromium chromium-driver");
        let mut driver = Driver(driver);
        let mut lines = BufReader::new(driver.0.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "chromedriver ended");
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                break rest.trim().trim_end_matches('.').to_owned();
            }
        };
        std::thread::spawn(move || lines.read_to_string(&mut String::new()));
        let address = format!("127.0.0.1:{port}");
        let profile = format!("--user-data-dir={}", folder.join("chromium").display());
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            &profile,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let made = ask(&address, ("POST", "/session"), &wanted).unwrap();
        let session = made["value"]["sessionId"].as_str();
        let session = session.unwrap_or_else(|| panic!("no browser: {made}")).to_owned();
        Self { _driver: driver, address, session }
    }

    fn command(&self, (method, path): (&str, &str), body: &Value) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        let mut answer = ask(&self.address, (method, &path), body).unwrap();
        answer["value"].take()
    }

    pub(crate) fn open(&self, url: &str) {
        self.command(("POST", "url"), &json!({ "url": url }));
    }

    /// Runs a script; what it returns comes back.
    pub(crate) fn run(&self, script: &str) -> Value {
        let answer =
            self.command(("POST", "execute/sync"), &json!({ "script": script, "args": [] }));
        assert!(answer.get("error").is_none(), "{script}: {answer}");
        answer
    }

    /// Waits until an expression is true of the page.
    #[track_caller]
    pub(crate) fn wait(&self, expression: &str) {
        let clock = SystemClock::default();
        let begun = clock.seconds();
        while self.run(&format!("return Boolean({expression})")) != json!(true) {
            if clock.seconds() - begun > PATIENCE.as_secs_f64() {
                let page = self.run("return document.body.innerText");
                panic!(
                    "never true: {expression}\n{}\n{:?}",
                    page.as_str().unwrap(),
                    self.complaints()
                );
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until the page holds a text.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, text: &str) {
        self.wait(&format!("document.body.innerText.includes({})", json!(text)));
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        self.wait(&format!("document.querySelector({})", json!(selector)));
        // The driver takes what lies below the frame for what can be seen.
        let scroll = "scrollIntoView({ block: 'center', behavior: 'instant' })";
        self.run(&format!("document.querySelector({}).{scroll}", json!(selector)));
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.command(("POST", "element"), &wanted);
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{selector}: {found}")).to_owned()
    }

    /// Clicks as a hand would: what is hidden or covered cannot be clicked.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let path = format!("element/{}/click", self.element(selector));
        let answer = self.command(("POST", &path), &json!({}));
        assert!(answer.is_null(), "{selector}: {answer}");
    }

    /// Writes into a field.
    #[track_caller]
    pub(crate) fn write(&self, selector: &str, text: &str) {
        let path = format!("element/{}/value", self.element(selector));
        let answer = self.command(("POST", &path), &json!({ "text": text }));
        assert!(answer.is_null(), "{selector}: {answer}");
    }

    /// Presses keys, wherever the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let one = |key: char| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let actions: Vec<Value> = keys.chars().flat_map(one).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.command(("POST", "actions"), &json!({ "actions": [keyboard] }));
    }

    /// Returns what the browser complained of since it was asked last.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.command(("POST", "se/log"), &json!({ "type": "browser" }));
        let grave = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        grave.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the addresses of everything that was asked for since the last time, pages included.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = self.command(("POST", "se/log"), &json!({ "type": "performance" }));
        let read = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            (message["method"] == "Network.requestWillBeSent")
                .then(|| message["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        log.as_array().unwrap().iter().filter_map(read).collect()
    }
}

/// Sends one request to the driver.
fn ask(address: &str, (method, path): (&str, &str), body: &Value) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(2 * PATIENCE)).ok()?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    // The driver leaves the connection open: what is said of the length ends the answer.
    let mut lines = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some((_, n)) = line.split_once("content-length:") {
            length = n.trim().parse().ok()?;
        }
    }
    let mut answer = vec![0; length];
    lines.read_exact(&mut answer).ok()?;
    serde_json::from_slice(&answer).ok()
}
