//! A JSON number of limited length, so that a model cannot go on with digits for ever and every reader can hold it.

use super::step::Step;

/// Bytes of a number.
const LENGTH: u8 = 24;
/// Digits of an integer: any such number fits in 64 bits.
const INTEGER_DIGITS: u8 = 18;

/// A number that has been begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    whole: bool,
    part: Part,
    /// Bytes it may still have.
    room: u8,
    /// It has one digit before the point, so that its exponent may go up to 299; else to 99. All are in the range of `f64`.
    is_scientific: bool,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    E,
    Sign,
    Exponent { left: u8 },
}

impl Number {
    /// Begins a number, without fraction and exponent where it is `whole`.
    pub(super) fn begin(whole: bool, byte: u8) -> Option<Self> {
        let room = match (whole, byte) {
            (false, _) => LENGTH - 1,
            (true, b'-') => INTEGER_DIGITS,
            (true, _) => INTEGER_DIGITS - 1,
        };
        let part = match byte {
            b'-' => Part::Minus,
            b'0' => Part::Zero,
            b'1'..=b'9' => Part::Digits,
            _ => return None,
        };
        Some(Self { whole, part, room, is_scientific: true })
    }

    /// Tells whether it is a number as it stands.
    pub(super) fn may_end(self) -> bool {
        !matches!(self.part, Part::Minus | Part::Point | Part::E | Part::Sign)
    }

    pub(super) fn step(&mut self, byte: u8) -> Step {
        let part = match (self.part, byte) {
            // `-0` is no integer to many readers.
            (Part::Minus, b'0') if !self.whole => Part::Zero,
            (Part::Minus, b'1'..=b'9') | (Part::Digits, b'0'..=b'9') => Part::Digits,
            (Part::Zero | Part::Digits, b'.') if !self.whole => Part::Point,
            (Part::Point | Part::Fraction, b'0'..=b'9') => Part::Fraction,
            (Part::Zero | Part::Digits | Part::Fraction, b'e' | b'E') if !self.whole => Part::E,
            (Part::E, b'+' | b'-') => Part::Sign,
            (Part::E | Part::Sign, b'1' | b'2') if self.is_scientific => Part::Exponent { left: 2 },
            (Part::E | Part::Sign, b'0'..=b'9') => Part::Exponent { left: 1 },
            (Part::Exponent { left: left @ 1.. }, b'0'..=b'9') => Part::Exponent { left: left - 1 },
            _ if self.may_end() => return Step::Past,
            _ => return Step::Illegal,
        };
        let is_longer = matches!((self.part, part), (Part::Digits, Part::Digits));
        let (room, is_scientific) = (self.room.saturating_sub(1), self.is_scientific && !is_longer);
        let next = Self { part, room, is_scientific, ..*self };
        // Where a digit must follow there must be room for it.
        if self.room <= u8::from(!next.may_end()) {
            return if self.may_end() { Step::Past } else { Step::Illegal };
        }
        *self = next;
        Step::Stay
    }
}
