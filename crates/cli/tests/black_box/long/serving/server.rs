//! A server as a process of its own, ended whatever becomes of a test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::home::Home;

/// A server under way.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts a server in a home.
pub(crate) fn start(home: &Home, more: &[&str]) -> Server {
    spawn(Command::new(env!("CARGO_BIN_EXE_tastemaker")), home, more)
}

/// Starts a server by a command that ends in the path of the binary.
pub(crate) fn spawn(mut command: Command, home: &Home, more: &[&str]) -> Server {
    command.current_dir(home.path("")).env("HOME", home.path(""));
    command.args(["serve", "--offline", "--addr", "127.0.0.1:0"]).args(more);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the server ended: {said}");
        said.push_str(&line);
        if let Some((_, rest)) = line.split_once("http://") {
            break rest.split_whitespace().next().unwrap().to_owned();
        }
    };
    // What it says later must not fill the pipe.
    std::thread::spawn(move || lines.read_to_string(&mut String::new()));
    Server { child, address }
}

/// Sends one request on a connection of its own; `None` when the server is gone.
pub(crate) fn ask(address: &str, (method, path): (&str, &str), body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, serde_json::from_str(body).ok()?))
}
