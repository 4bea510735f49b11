//! A hub on the loopback that answers as a test tells it to.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// One answer: the status line's number, the bytes of the file from `start`, and how many are really sent.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) start: usize,
    pub(crate) body: Vec<u8>,
    pub(crate) sent: usize,
}

impl Answer {
    pub(crate) fn whole(body: &[u8]) -> Self {
        Self { status: 200, start: 0, sent: body.len(), body: body.to_vec() }
    }

    /// Answers a range as hubs do: 206 with the rest, or 416 where nothing is left.
    pub(crate) fn from(body: &[u8], start: Option<usize>) -> Self {
        match start {
            None => Self::whole(body),
            Some(start) if start >= body.len() => Self { status: 416, ..Self::whole(b"") },
            Some(start) => Self { status: 206, start, ..Self::whole(&body[start..]) },
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::whole(b"no") }
    }

    /// Promises the whole but sends only so much of it.
    pub(crate) fn cut(self, sent: usize) -> Self {
        Self { sent: sent.min(self.body.len()), ..self }
    }
}

/// What was asked: path and start of the range, one entry a request.
type Log = Arc<Mutex<Vec<(String, Option<usize>)>>>;

/// Serves until the test's process ends.
pub(crate) struct Hub {
    pub(crate) url: String,
    log: Log,
}

impl Hub {
    pub(crate) fn new(
        answer: impl Fn(&str, Option<usize>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Log::default();
        let seen = Arc::clone(&log);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &answer, &seen);
            }
        });
        Self { url, log }
    }

    /// Returns the starts of the ranges asked for, in order.
    pub(crate) fn ranges(&self) -> Vec<Option<usize>> {
        self.log.lock().unwrap().iter().map(|(_, range)| *range).collect()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }
}

fn serve(mut stream: TcpStream, answer: &impl Fn(&str, Option<usize>) -> Answer, log: &Log) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(path) = lines.next().and_then(|l| Some(l.split(' ').nth(1)?.to_owned())) else {
        return;
    };
    let mut range = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(start) = line.to_lowercase().strip_prefix("range: bytes=") {
            range = start.trim_end_matches('-').parse().ok();
        }
    }
    log.lock().unwrap().push((path.clone(), range));
    let Answer { status, start, body, sent } = answer(&path, range);
    let end = start + body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\ncontent-range: bytes {start}-{}/{end}\r\nconnection: close\r\n\r\n",
        body.len(),
        end.saturating_sub(1),
    );
    // A client that hangs up early is no fault of the hub.
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body[..sent])));
}
