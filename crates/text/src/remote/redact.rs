//! What is struck out of a text before it leaves the machine.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Changes texts before they are sent to a service.
pub trait Redact: Send + Sync {
    /// Names it with everything that changes what it strikes out; part of the name that vectors are cached under.
    fn id(&self) -> String;

    /// Returns what may be sent.
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str>;
}

/// Sends texts as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unredacted;

impl Redact for Unredacted {
    fn id(&self) -> String {
        "as-is".into()
    }

    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(text)
    }
}

/// Strikes out e-mail addresses, telephone numbers and numbers of nine digits and more, in any grouping that people write:
/// `[email]`, `[phone]`, `[number]`. Years, prices, sizes and dates stay. Names of people stay too: no pattern tells them.
#[derive(Clone, Copy, Debug, Default)]
pub struct PersonalData;

static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{L}\p{N}._%+\-]+@[\p{L}\p{N}\-]+(?:\.[\p{L}\p{N}\-]+)+")
        .expect("a fixed pattern")
});

/// A number, perhaps in groups: brackets, at most two marks or spaces between groups.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\+ ?)?\(?\+?\d(?:[ ().\-/\u{a0}\u{2010}-\u{2013}]{0,2}\d)*")
        .expect("a fixed pattern")
});

/// Digits from which on a number is struck out.
const DIGITS: usize = 9;
/// Digits of one that begins with `+`, as telephone numbers do.
const PHONE_DIGITS: usize = 7;
/// Digits of a telephone number, at most (ITU-T E.164).
const LONGEST_PHONE: usize = 15;

impl Redact for PersonalData {
    fn id(&self) -> String {
        "personal-1".into()
    }

    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Cow::Owned(text) = EMAIL.replace_all(text, "[email]") else {
            return NUMBER.replace_all(text, word);
        };
        Cow::Owned(NUMBER.replace_all(&text, word).into_owned())
    }
}

/// Chooses the word for a number, or leaves it.
fn word(found: &Captures<'_>) -> String {
    let number = &found[0];
    let digits = number.chars().filter(|c| c.is_numeric()).count();
    let is_phone = number.contains('+');
    let is_grouped = number.trim_start_matches(['(', '+']).contains(|c: char| !c.is_numeric());
    if is_phone && (PHONE_DIGITS..=LONGEST_PHONE).contains(&digits) {
        "[phone]".into()
    } else if digits < DIGITS {
        number.into()
    } else if is_grouped && digits <= LONGEST_PHONE {
        "[phone]".into()
    } else {
        "[number]".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_telephones_and_long_numbers_are_struck_out() {
        for (text, wanted) in [
            ("write to ann.lee+x@mail.example.co.uk now", "write to [email] now"),
            ("联系我:王@例子.中国。", "联系我:[email]。"),
            ("call +49 (0)30 901820 today", "call [phone] today"),
            ("call (555) 123-4567!", "call [phone]!"),
            ("手机13800138000", "手机[number]"),
            ("138 0013 8000", "[phone]"),
            ("card 4111 1111 1111 1111.", "card [number]."),
            ("isbn 978-0-306-40615-7", "isbn [phone]"),
            ("+1 555 0100", "[phone]"),
        ] {
            assert_eq!(PersonalData.redact(text), wanted);
        }
    }

    #[test]
    fn years_prices_sizes_and_dates_stay() {
        for text in [
            "2001: A Space Odyssey (1968)",
            "on 2024-01-15 at 10:30 for 1,299.00 in 1920x1080",
            "the war of 1939-1945",
            "1.5 l, 12345678 pieces",
            "no@where",
            "",
        ] {
            assert_eq!(PersonalData.redact(text), text);
        }
    }
}
