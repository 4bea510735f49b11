//! Words cleaned for counting: one form for one word, English and Chinese alike.
//!
//! NFKC and lower case; Unicode word boundaries, and jieba's dictionary for Chinese runs; words that say nothing
//! left out; English words cut to their stem.

use std::sync::LazyLock;

use jieba_rs::Jieba;
use rust_stemmers::{Algorithm, Stemmer};
use rustc_hash::FxHashSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Which language's rules clean the words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Chinese rules for Chinese characters, English rules for everything else.
    #[default]
    Auto,
    /// English stop words and stems; Chinese characters stay single.
    English,
    /// Chinese words and stop words; other words stay as they are.
    Chinese,
    /// Words as they stand.
    Other,
}

/// Returns the words of a text, cleaned for counting, in their order.
pub fn words(text: &str) -> Vec<String> {
    tokens(text, Language::Auto).into_iter().map(|token| token.stem).collect()
}

/// A word as it is counted and as it was written.
pub(crate) struct Token {
    pub(crate) stem: String,
    pub(crate) surface: String,
}

static JIEBA: LazyLock<Jieba> = LazyLock::new(Jieba::new);
static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));
static ENGLISH: LazyLock<FxHashSet<&str>> = LazyLock::new(|| stop_words("en"));
static CHINESE: LazyLock<FxHashSet<&str>> = LazyLock::new(|| stop_words("zh"));

fn stop_words(language: &str) -> FxHashSet<&'static str> {
    stop_words::lookup(language).unwrap_or_default().iter().copied().collect()
}

pub(crate) fn tokens(text: &str, language: Language) -> Vec<Token> {
    let (english, chinese) = match language {
        Language::Auto => (true, true),
        Language::English => (true, false),
        Language::Chinese => (false, true),
        Language::Other => (false, false),
    };
    let text = folded(text);
    let mut tokens = Vec::new();
    for (run, han) in runs(&text) {
        if han && chinese {
            let cut = JIEBA.cut(run, true).into_iter().map(|token| token.word);
            tokens.extend(cut.filter(|word| !CHINESE.contains(word)).map(plain));
        } else if english {
            tokens.extend(run.unicode_words().filter_map(english_token));
        } else {
            tokens.extend(run.unicode_words().map(plain));
        }
    }
    tokens
}

/// Returns all words of a text, also those that say nothing, in one form for one word, in their order.
pub fn stems(text: &str) -> Vec<String> {
    let text = folded(text);
    let mut stems = Vec::new();
    for (run, han) in runs(&text) {
        if han {
            stems.extend(JIEBA.cut(run, true).into_iter().map(|token| token.word.to_owned()));
            continue;
        }
        let bare = |word: &str| STEMMER.stem(word.strip_suffix("'s").unwrap_or(word)).into_owned();
        stems.extend(run.unicode_words().map(bare));
    }
    stems
}

/// Counts the words of a text, Chinese ones as the dictionary cuts them.
pub fn count_words(text: &str) -> usize {
    word_ends(text).len()
}

/// Returns the beginning of a text: so many words at most.
pub(crate) fn first_words(text: &str, most: usize) -> &str {
    let ends = word_ends(text);
    match ends.get(most) {
        Some(_) => &text[..most.checked_sub(1).map_or(0, |last| ends[last])],
        None => text,
    }
}

/// Returns where each word of a text ends.
fn word_ends(text: &str) -> Vec<usize> {
    let (mut ends, mut start) = (Vec::new(), 0);
    for (run, han) in runs(text) {
        if han {
            let mut at = start;
            for token in JIEBA.cut(run, true) {
                at += token.word.len();
                ends.push(at);
            }
        } else {
            ends.extend(run.unicode_word_indices().map(|(at, word)| start + at + word.len()));
        }
        start += run.len();
    }
    ends
}

/// Folds letters that are written in several ways.
pub(crate) fn folded(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect::<String>().replace('’', "'")
}

/// Parts a text into runs of Chinese characters and of others.
fn runs(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let han = is_han(rest.chars().next()?);
        let (run, after) = rest.split_at(rest.find(|c| is_han(c) != han).unwrap_or(rest.len()));
        rest = after;
        Some((run, han))
    })
}

fn plain(word: &str) -> Token {
    Token { stem: word.to_owned(), surface: word.to_owned() }
}

fn english_token(word: &str) -> Option<Token> {
    let bare = word.strip_suffix("'s").unwrap_or(word);
    // A single Latin letter is a left-over of an abbreviation or a possessive.
    let is_letter =
        bare.len() == 1 && bare.is_char_boundary(1) && !bare.as_bytes()[0].is_ascii_digit();
    if is_letter || ENGLISH.contains(word) || ENGLISH.contains(bare) {
        return None;
    }
    Some(Token { stem: STEMMER.stem(bare).into_owned(), surface: bare.to_owned() })
}

/// Tells whether a character is Chinese (also used in Japanese and Korean).
const fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_words_lose_case_endings_and_stop_words() {
        assert_eq!(
            words("The Detectives' mysteries, and the DETECTIVE’S mystery!"),
            ["detect", "mysteri", "detect", "mysteri"]
        );
        assert_eq!(words("It doesn't matter what I said in 1999"), ["matter", "said", "1999"]);
    }

    #[test]
    fn chinese_runs_are_cut_into_words_without_particles() {
        assert_eq!(words("我们喜欢科幻小说和电影"), ["喜欢", "科幻小说", "电影"]);
        assert_eq!(words("看Netflix的电影"), ["看", "netflix", "电影"]);
    }

    #[test]
    fn full_width_letters_and_ligatures_become_plain() {
        assert_eq!(words("ＡＢＣ ﬁlm №5"), ["abc", "film", "no5"]);
    }

    #[test]
    fn nothing_to_say_gives_no_words() {
        for text in ["", " \n\t", "!!! … —", "🙂🙂", "the of and"] {
            assert!(words(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn stems_leave_no_word_out() {
        assert_eq!(
            stems("It doesn’t matter in the 1990s."),
            ["it", "doesn't", "matter", "in", "the", "1990s"]
        );
        assert_eq!(stems("我们喜欢电影 DVD"), ["我们", "喜欢", "电影", "dvd"]);
    }

    #[test]
    fn words_are_counted_and_texts_begin_in_both_languages() {
        let text = "Red fox, 我们喜欢电影!";
        assert_eq!(count_words(text), 5);
        assert_eq!(first_words(text, 1), "Red");
        assert_eq!(first_words(text, 3), "Red fox, 我们");
        assert_eq!([first_words(text, 5), first_words(text, 0)], [text, ""]);
    }

    #[test]
    fn other_languages_are_left_as_they_are_when_asked() {
        let surface: Vec<String> =
            tokens("Les films français", Language::Other).into_iter().map(|t| t.stem).collect();
        assert_eq!(surface, ["les", "films", "français"]);
    }
}
