//! Server-sent events, cut out of bytes as they come
//! (WHATWG HTML Living Standard, 9.2.6, <https://html.spec.whatwg.org/multipage/server-sent-events.html>). Only `data` counts here.

/// Bytes of an event, at most.
const LIMIT: usize = 4 << 20;

/// Takes bytes in any pieces, and gives the data of whole events.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    /// The last byte was a carriage return, to which a line feed may belong.
    after_return: bool,
}

/// An event is longer than any can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Events {
    /// Takes more bytes; the data of events that are now whole are added to `events`.
    pub(super) fn push(&mut self, bytes: &[u8], events: &mut Vec<Vec<u8>>) -> Result<(), TooLong> {
        for &byte in bytes {
            let is_second = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                _ if is_second => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, Vec::len) > LIMIT {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    /// Returns what stands at the end without an empty line after it.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        self.end_line().or(self.data)
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.data.take();
        }
        // A byte order mark may stand before the first line.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut self.data {
                None => self.data = Some(value.to_vec()),
                Some(data) => {
                    data.push(b'\n');
                    data.extend(value);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let (mut events, mut reader) = (Vec::new(), Events::default());
        for piece in pieces {
            reader.push(piece, &mut events).unwrap();
        }
        events.extend(reader.finish());
        events.into_iter().map(|event| String::from_utf8(event).unwrap()).collect()
    }

    #[test]
    fn comments_other_fields_and_line_ends_of_all_kinds_are_read() {
        let text = "\u{feff}data: a\n\n: a comment\nevent: x\nid: 1\ndata:b\r\ndata: c\r\n\r\ndata\r\rdata:  d\r\r\n";
        assert_eq!(read(&[text.as_bytes()]), ["a", "b\nc", " d"]);
        assert_eq!(read(&[b"data: x\n\ndata: [DONE]"]), ["x", "[DONE]"]);
        assert_eq!(read(&[b"\n\n\r\n"]), Vec::<String>::new());
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut reader = Events::default();
        let mut push = |bytes: &[u8]| reader.push(bytes, &mut Vec::new());
        let mut line = b"data: ".to_vec();
        line.resize(LIMIT / 2, b'x');
        line.push(b'\n');
        assert_eq!((push(&line), push(&line), push(&line)), (Ok(()), Ok(()), Err(TooLong)));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            lines in prop::collection::vec("(data: ?[a电]{0,3}|:c|)(\n|\r\n|\r)", 0..12), cut in 1usize..7,
        ) {
            let text = lines.concat();
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(read(&pieces), read(&[text.as_bytes()]));
        }
    }
}
