//! A turn cut into words: lower case, Chinese characters one by one, with what stood between them.

use crate::Language;

/// Letters of a turn that are read.
pub(super) const LONGEST: usize = 2000;

/// One word, number or Chinese character.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) word: String,
    /// It begins with a capital letter.
    pub(super) is_capital: bool,
    /// A comma, a full stop or the like stands before it.
    pub(super) after_break: bool,
    /// It stands between quotation marks; the number tells which.
    pub(super) quoted: Option<usize>,
    /// It is a number with this value.
    pub(super) number: Option<f64>,
}

/// Cuts a text into words.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let (mut open, mut quotes, mut after_break) = (None, 0, true);
    let letters: Vec<char> = text.chars().take(LONGEST).collect();
    let mut at = 0;
    while at < letters.len() {
        let c = letters[at];
        let mut push = |word: String, is_capital: bool, after_break: &mut bool| {
            let number = word
                .parse::<f64>()
                .ok()
                .filter(|n| n.is_finite() && word.starts_with(|c: char| c.is_ascii_digit()));
            out.push(Token { word, is_capital, after_break: *after_break, quoted: open, number });
            *after_break = false;
        };
        if Language::is_han(c) {
            push(c.to_string(), false, &mut after_break);
            at += 1;
        } else if c.is_alphanumeric() {
            let start = at;
            let is_number = c.is_ascii_digit();
            while at < letters.len()
                && !Language::is_han(letters[at])
                && goes_on(&letters, at, is_number)
            {
                at += 1;
            }
            let word: String = letters[start..at]
                .iter()
                .filter(|c| c.is_alphanumeric() || **c == '.')
                .flat_map(|c| c.to_lowercase())
                .collect();
            push(word, c.is_uppercase(), &mut after_break);
        } else {
            match (c, open) {
                ('“' | '《' | '「' | '『', _) | ('"' | '”', None) => {
                    open = Some(quotes);
                    quotes += 1;
                }
                ('”' | '》' | '」' | '』' | '"', Some(_)) => open = None,
                (',' | '.' | ';' | '!' | '?' | '，' | '。' | '；' | '！' | '？' | '\n', _) => {
                    after_break = true;
                }
                _ => {}
            }
            at += 1;
        }
    }
    out
}

/// Tells whether the letter at `at` belongs to the word before it: letters, digits, an apostrophe between letters, a point between digits.
fn goes_on(letters: &[char], at: usize, is_number: bool) -> bool {
    let is_inner = at + 1 < letters.len() && letters[at + 1].is_alphanumeric();
    match letters[at] {
        '\'' | '’' => is_inner,
        '.' => is_number && is_inner && letters[at + 1].is_ascii_digit(),
        c => {
            c.is_alphanumeric()
                && (!is_number
                    || c.is_ascii_digit()
                    || !is_inner
                    || letters[at - 1].is_ascii_digit())
        }
    }
}

/// Returns the words of a text with spaces between them: what two spellings of one title have in common.
pub(super) fn key(text: &str) -> String {
    let words: Vec<String> = tokens(text).into_iter().map(|token| token.word).collect();
    words.join(" ")
}

/// Writes words as they are read aloud: Chinese characters close up.
pub(super) fn spoken(words: &[&str]) -> String {
    let mut out = String::new();
    for word in words {
        let is_han = |c: Option<char>| c.is_some_and(Language::is_han);
        let is_close = is_han(out.chars().last()) && is_han(word.chars().next());
        if !out.is_empty() && !is_close {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_people_read_them() {
        let words = |text| tokens(text).into_iter().map(|t| t.word).collect::<Vec<_>>().join("|");
        assert_eq!(
            words("Schindler's List, sci-fi: 3.5 of the 90s"),
            "schindlers|list|sci|fi|3.5|of|the|90s"
        );
        assert_eq!(words("像《Alien》但1990年后"), "像|alien|但|1990|年|后");
        let quoted = tokens("like “Night Train” not \"x\"");
        let marks: Vec<Option<usize>> = quoted.iter().map(|t| t.quoted).collect();
        assert_eq!(marks, [None, Some(0), Some(0), None, Some(1)]);
        assert_eq!(key("Matrix, The"), "matrix the");
        assert_eq!(spoken(&["黑", "帮", "war"]), "黑帮 war");
    }
}
