//! Closed-loop load on a running server: so many connections ask one after the other, and the latencies are told.
//!
//! `cargo run --release -p tastemaker-serve --example load -- 127.0.0.1:8080 16 10 '/v1/recommend?n=10&user_id={n}' 943`
//! asks for 10 s on 16 connections; `{n}` goes from 1 to 943. A path that begins with `POST ` sends an event for user `{n}`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program for people at a terminal, that measures time and may stop at what it did not expect"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, seconds, path, users] = &words[..] else {
        println!("usage: load ADDRESS CONNECTIONS SECONDS PATH USERS");
        return;
    };
    let (connections, users): (usize, usize) =
        (connections.parse().unwrap(), users.parse().unwrap());
    let time = Duration::from_secs(seconds.parse().unwrap());
    let begun = Instant::now();
    let asked = std::thread::scope(|scope| {
        let ask = |number| scope.spawn(move || ask((address, path), (number * 7919, users), time));
        let asking: Vec<_> = (0..connections).map(ask).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect::<Vec<_>>()
    });
    let elapsed = begun.elapsed().as_secs_f64();
    let bad: usize = asked.iter().map(|(_, bad)| bad).sum();
    let mut millis: Vec<f64> = asked.into_iter().flat_map(|(millis, _)| millis).collect();
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| millis[((millis.len() - 1) as f64 * share) as usize];
    println!(
        "{:.0} requests/s, {bad} not answered with 200; ms: p50 {:.2}, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, most {:.2}",
        millis.len() as f64 / elapsed,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// Asks until the time is up; returns milliseconds of each answer, and how many were no success.
fn ask(
    (address, path): (&str, &str),
    (first, users): (usize, usize),
    time: Duration,
) -> (Vec<f64>, usize) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let (mut millis, mut bad) = (Vec::new(), 0);
    let begun = Instant::now();
    for n in first.. {
        if begun.elapsed() > time {
            break;
        }
        let user = (n % users + 1).to_string();
        let (method, path, body) = match path.strip_prefix("POST ") {
            Some(path) => {
                ("POST", path, format!(r#"{{"user_id":"{user}","item_id":"{}"}}"#, n % 1000 + 1))
            }
            None => ("GET", path, String::new()),
        };
        let path = path.replace("{n}", &user);
        let sent = Instant::now();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        writer.write_all(head.as_bytes()).unwrap();
        bad += usize::from(answer(&mut reader) != 200);
        millis.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    (millis, bad)
}

fn answer(reader: &mut BufReader<TcpStream>) -> u16 {
    let (mut status, mut length) = (0, 0);
    for number in 0.. {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if number == 0 {
            status = line.split(' ').nth(1).unwrap().parse().unwrap();
        }
        if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    status
}
