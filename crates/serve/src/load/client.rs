//! One connection that asks and waits: as little work as can be, since it shares the machine with what it measures.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer, in bytes.
const MOST: usize = 64 << 20;

/// A connection that is kept open.
pub(super) struct Client<'a> {
    address: &'a str,
    key: Option<&'a str>,
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    body: Vec<u8>,
}

impl<'a> Client<'a> {
    pub(super) fn new(address: &'a str, key: Option<&'a str>) -> Result<Self, Error> {
        let writer = TcpStream::connect(address)?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(PATIENCE))?;
        let reader = BufReader::new(writer.try_clone()?);
        Ok(Self { address, key, reader, writer, body: Vec::new() })
    }

    /// Sends a request and reads the whole answer; returns its status.
    pub(super) fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<u16, Error> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if let Some(key) = self.key {
            head.push_str(&format!("x-api-key: {key}\r\n"));
        }
        if !body.is_empty() {
            let length = body.len();
            head.push_str(&format!(
                "content-type: application/json\r\ncontent-length: {length}\r\n"
            ));
        }
        head.push_str("\r\n");
        head.push_str(body);
        self.writer.write_all(head.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<u16, Error> {
        let (mut status, mut length) = (None, None);
        let mut line = String::new();
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse::<usize>().ok();
            }
            if line == "\r\n" {
                break;
            }
        }
        let strange = || Error::from(ErrorKind::InvalidData);
        let length = length.filter(|length| *length <= MOST).ok_or_else(strange)?;
        self.body.resize(length, 0);
        self.reader.read_exact(&mut self.body)?;
        status.ok_or_else(strange)
    }
}
