//! A reply on its way to who listens: bytes become text as soon as they are whole letters, up to a text that ends the reply.

use crate::remote::Stopper;

/// Takes bytes, hands on text.
pub(super) struct Telling<'a, 'b> {
    stopper: Stopper<'a>,
    /// Bytes that are no whole letter yet.
    open: Vec<u8>,
    text: String,
    listen: &'b mut dyn FnMut(&str) -> bool,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// More may come.
    Wants,
    /// A text that ends the reply was met.
    Stopped,
    /// Nobody listens any more.
    Enough,
}

impl<'a, 'b> Telling<'a, 'b> {
    pub(super) fn new(stops: &'a [String], listen: &'b mut dyn FnMut(&str) -> bool) -> Self {
        Self { stopper: Stopper::new(stops), open: Vec::new(), text: String::new(), listen }
    }

    /// Hands on what became certain with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Heard {
        self.open.extend_from_slice(bytes);
        let piece = self.whole(false);
        let (certain, is_stopped) = self.stopper.push(&piece);
        match (self.tell(&certain), is_stopped) {
            (false, _) => Heard::Enough,
            (true, true) => Heard::Stopped,
            (true, false) => Heard::Wants,
        }
    }

    /// Hands on what was held back, unless a text that ends the reply was met; returns the reply, and whether it was listened to.
    pub(super) fn finish(mut self, heard: Heard) -> (String, bool) {
        if heard != Heard::Wants {
            return (self.text, heard != Heard::Enough);
        }
        let rest = self.whole(true);
        let (certain, is_stopped) = self.stopper.push(&rest);
        let mut is_heard = self.tell(&certain);
        if !is_stopped {
            let held = std::mem::take(&mut self.stopper).finish();
            is_heard &= self.tell(&held);
        }
        (self.text, is_heard)
    }

    fn tell(&mut self, piece: &str) -> bool {
        self.text.push_str(piece);
        piece.is_empty() || (self.listen)(piece)
    }

    /// Takes the whole letters off the bytes; those that can be none become `�`.
    fn whole(&mut self, is_end: bool) -> String {
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.open) {
                Ok(whole) => {
                    text.push_str(whole);
                    self.open.clear();
                    return text;
                }
                Err(error) => {
                    let (whole, rest) = self.open.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(whole));
                    let Some(bad) = error.error_len().or(is_end.then_some(rest.len())) else {
                        self.open = rest.to_vec();
                        return text;
                    };
                    text.push('\u{fffd}');
                    self.open = rest[bad..].to_vec();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&[u8]], stops: &[String]) -> (Vec<String>, String) {
        let mut heard = Vec::new();
        let mut listen = |piece: &str| {
            heard.push(piece.to_owned());
            true
        };
        let mut telling = Telling::new(stops, &mut listen);
        let mut last = Heard::Wants;
        for piece in pieces {
            last = telling.push(piece);
            if last != Heard::Wants {
                break;
            }
        }
        let (text, _) = telling.finish(last);
        (heard, text)
    }

    #[test]
    fn letters_are_told_when_they_are_whole() {
        let film = "电影".as_bytes();
        let (heard, text) = told(&[&film[..2], &film[2..4], &film[4..], b"!"], &[]);
        assert_eq!((heard.join("|"), text.as_str()), ("电|影|!".into(), "电影!"));
        let (_, text) = told(&[b"a\xff", &film[..2]], &[]);
        assert_eq!(text, "a\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_text_that_ends_the_reply_is_not_told() {
        let stops = ["电影".to_owned()];
        let film = "x电影y".as_bytes();
        let (heard, text) = told(&[&film[..5], &film[5..]], &stops);
        assert_eq!((heard.join("|"), text.as_str()), ("x".into(), "x"));
        let (_, text) = told(&["x电".as_bytes()], &stops);
        assert_eq!(text, "x电");
    }
}
