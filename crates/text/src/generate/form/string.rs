//! The inside of a JSON string: valid UTF-8, escapes, whole surrogate pairs, a number of characters within limits.

use super::step::Step;

/// A string that has been opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    /// Characters it may still have.
    room: u32,
    /// Characters it must still have.
    short: u32,
    part: Part,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// Between characters.
    Plain,
    /// Inside a character of UTF-8: the bytes it still has, and the limits of the next.
    Tail { left: u8, low: u8, high: u8 },
    /// After a backslash.
    Escape,
    /// After `\u`: digits to come, and what the ones before say.
    Digits { left: u8, value: u16, second: bool },
    /// After the first half of a surrogate pair: the backslash of the second.
    Second,
    /// The `u` of the second half.
    SecondU,
}

impl Text {
    /// Opens a string of `least` to `most` characters.
    pub(super) fn open(least: u32, most: u32) -> Self {
        Self { room: most, short: least, part: Part::Plain }
    }

    pub(super) fn step(&mut self, byte: u8) -> Step {
        self.part = match (self.part, byte) {
            (Part::Plain, b'"') => {
                return if self.short == 0 { Step::Last } else { Step::Illegal };
            }
            (Part::Plain, 0..0x20) => return Step::Illegal,
            (Part::Plain, _) if self.room == 0 => return Step::Illegal,
            (Part::Plain, _) => {
                self.room -= 1;
                self.short = self.short.saturating_sub(1);
                match begin(byte) {
                    Some(part) => part,
                    None => return Step::Illegal,
                }
            }
            (Part::Tail { left, low, high }, _) if (low..=high).contains(&byte) => match left {
                1 => Part::Plain,
                _ => Part::Tail { left: left - 1, low: 0x80, high: 0xbf },
            },
            (Part::Escape, b'u') => Part::Digits { left: 4, value: 0, second: false },
            (Part::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Part::Plain,
            (Part::Digits { left, value, second }, _) => match digit(left, value, second, byte) {
                Some(part) => part,
                None => return Step::Illegal,
            },
            (Part::Second, b'\\') => Part::SecondU,
            (Part::SecondU, b'u') => Part::Digits { left: 4, value: 0, second: true },
            _ => return Step::Illegal,
        };
        Step::Stay
    }
}

/// Begins a character (The Unicode Standard, table 3-7: well-formed UTF-8).
fn begin(byte: u8) -> Option<Part> {
    let tail = |left, low, high| Some(Part::Tail { left, low, high });
    match byte {
        b'\\' => Some(Part::Escape),
        0x20..=0x7f => Some(Part::Plain),
        0xc2..=0xdf => tail(1, 0x80, 0xbf),
        0xe0 => tail(2, 0xa0, 0xbf),
        0xed => tail(2, 0x80, 0x9f),
        0xe1..=0xef => tail(2, 0x80, 0xbf),
        0xf0 => tail(3, 0x90, 0xbf),
        0xf1..=0xf3 => tail(3, 0x80, 0xbf),
        0xf4 => tail(3, 0x80, 0x8f),
        _ => None,
    }
}

/// Takes a digit of `\uXXXX`; halves of surrogate pairs stand only as pairs.
fn digit(left: u8, value: u16, second: bool, byte: u8) -> Option<Part> {
    let value = value << 4 | char::from(byte).to_digit(16)? as u16;
    let (first_half, second_half) = (0xd800..=0xdbff, 0xdc00..=0xdfff);
    // What the digits so far leave possible.
    let shift = 4 * (left - 1);
    let lowest = value << shift;
    let highest = lowest | ((1u32 << shift) - 1) as u16;
    let is_legal = if second {
        lowest <= *second_half.end() && highest >= *second_half.start()
    } else {
        lowest < *second_half.start() || highest > *second_half.end()
    };
    is_legal.then_some(match left {
        1 if !second && first_half.contains(&value) => Part::Second,
        1 => Part::Plain,
        _ => Part::Digits { left: left - 1, value, second },
    })
}
