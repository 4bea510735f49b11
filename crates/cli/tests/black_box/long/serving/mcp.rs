//! An assistant on stdin and stdout: nothing but the protocol comes out, and the process ends when nobody speaks any more.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::home::Home;

struct Talk {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Talk {
    fn start(home: &Home, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tastemaker"));
        command.current_dir(home.path("")).env("HOME", home.path("")).args(["mcp", "--offline"]);
        command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut talk = Self { child, lines };
        let client = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let hello = talk.ask("initialize", &client);
        assert_eq!(hello["result"]["serverInfo"]["name"], "tastemaker");
        talk.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string());
        talk
    }

    fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        self.say(&message.to_string());
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended");
            let said: Value = serde_json::from_str(&line).unwrap();
            if said["id"] == 7 {
                return said;
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.ask("tools/call", &json!({ "name": tool, "arguments": arguments }));
        answer["result"].clone()
    }

    /// Closes stdin; the process must end by itself. Returns what it said on stderr.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        errors
    }
}

#[test]
fn an_assistant_recommends_records_and_finds_it_again() {
    let home = Home::with_model("item-knn");
    let mut talk = Talk::start(&home, &["--model", "model"]);
    let tools = talk.ask("tools/list", &json!({}));
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 5);
    let wanted = json!({ "user_id": "u1", "n": 3 });
    let list = talk.call("recommend", &wanted)["structuredContent"]["items"].clone();
    let told = json!({ "user_id": "u1", "item_id": list[0]["item_id"] });
    assert_eq!(talk.call("record_feedback", &told)["structuredContent"]["accepted"], 1);
    let next = talk.call("recommend", &wanted)["structuredContent"]["items"].clone();
    assert_eq!(next[0]["item_id"], list[1]["item_id"]);
    let wrong = talk.call("similar", &json!({ "item_id": "nothing" }));
    assert_eq!(wrong["isError"], true);
    // A line that is no message ends nothing.
    talk.say("{ this is no message");
    talk.say(&format!("{}1{}", "[".repeat(5000), "]".repeat(5000)));
    assert_eq!(talk.call("recommend", &wanted)["structuredContent"]["items"], next);
    talk.end();
    // What was recorded is known to the next one.
    let mut again = Talk::start(&home, &["--model", "model"]);
    assert_eq!(again.call("recommend", &wanted)["structuredContent"]["items"], next);
    // Another tenant has neither the model nor the event.
    again.end();
    let mut other = Talk::start(&home, &["--model", "model", "--tenant", "other"]);
    assert_eq!(other.call("recommend", &wanted)["structuredContent"]["source"], "popular");
    other.end();
}

#[test]
fn a_conversation_that_never_begins_ends_well_and_what_cannot_be_opened_is_said() {
    let home = Home::new();
    let silent = home.run(["mcp"]).end();
    assert_eq!((silent.code, silent.out.as_str()), (Some(0), ""));
    let missing = home.run(["mcp", "--model", "nothing"]).end();
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""));
    assert!(missing.err.contains("is not a saved model"), "{}", missing.err);
    assert_eq!(home.run(["mcp", "--tenant", "../a"]).end().code, Some(1));
}
