//! The languages that reasons and answers are worded in.

use serde::{Deserialize, Serialize};

/// A language with templates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Chinese.
    #[serde(rename = "zh")]
    Chinese,
}

impl Language {
    /// Returns the language most of a text is written in; `None` where it has no letters.
    ///
    /// A Chinese character counts as much as a word of letters does.
    pub fn of(text: &str) -> Option<Self> {
        let han = text.chars().filter(|c| Self::is_han(*c)).count();
        let words = text
            .split(|c: char| !c.is_alphanumeric() || Self::is_han(c))
            .filter(|word| word.chars().any(char::is_alphabetic))
            .count();
        match (han, words) {
            (0, 0) => None,
            _ if han > words => Some(Self::Chinese),
            _ => Some(Self::English),
        }
    }

    /// Tells whether a letter is a Chinese character.
    pub(crate) const fn is_han(c: char) -> bool {
        matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_of_the_language_that_most_of_it_is_in() {
        assert_eq!(Language::of("something like Alien"), Some(Language::English));
        assert_eq!(Language::of("想看像 Alien 一样的电影"), Some(Language::Chinese));
        assert_eq!(Language::of("a film by 王家卫 that I have not seen"), Some(Language::English));
        assert_eq!(Language::of("1990!"), None);
    }
}
