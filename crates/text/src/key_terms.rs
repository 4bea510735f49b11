//! The terms that say most of a text among others: words and whole phrases by TF-IDF, as they are written in the text itself.
//!
//! `w_t = (1 + ln tf_t) · (ln((1 + n) / (1 + df_t)) + 1)` over the `n` texts that have words. A phrase counts once; its words count where they
//! occur outside of it.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::Language;
use crate::words::{count_words, tokens};

/// Fewer texts than this are too few to tell common terms from rare ones.
const FEW: usize = 10;
/// Share of texts above which a term says nothing.
const MAX_SHARE: f64 = 0.5;
/// Texts a term must occur in: one that a single text has leads nowhere.
const MIN_TEXTS: u32 = 2;
/// Words of a phrase, at most.
const PHRASE_WORDS: usize = 6;
/// Texts counted in one task.
const BLOCK: usize = 4096;
/// Begins the keys of phrases, so that they are no words.
const PHRASE: char = '\u{0}';

/// A text with the phrases in it that are terms as a whole, such as its categories.
#[derive(Clone, Copy, Debug)]
pub struct Phrased<'a> {
    /// The text.
    pub text: &'a str,
    /// The phrases; those that do not occur in the text are passed over.
    pub phrases: &'a [String],
}

/// In how many texts each term occurs.
#[derive(Clone, Debug)]
pub struct KeyTerms {
    texts: usize,
    seen: FxHashMap<String, u32>,
}

impl KeyTerms {
    /// Counts the terms of all texts.
    pub fn fit(texts: &[Phrased<'_>]) -> Self {
        let (mut seen, mut with_words) = (FxHashMap::default(), 0);
        for block in texts.chunks(BLOCK) {
            let counts: Vec<_> = block.par_iter().map(|text| count(*text)).collect();
            for terms in counts.into_iter().filter(|terms| !terms.is_empty()) {
                with_words += 1;
                terms.into_keys().for_each(|key| *seen.entry(key).or_insert(0) += 1);
            }
        }
        Self { texts: with_words, seen }
    }

    /// Returns the terms of a text that weigh most, heaviest first, `most` at most.
    pub fn of(&self, text: Phrased<'_>, most: usize) -> Vec<(String, f64)> {
        let n = self.texts as f64;
        let is_few = self.texts < FEW;
        let mut weighed: Vec<(String, (f64, String))> = count(text)
            .into_iter()
            .filter_map(|(key, term)| {
                let df = self.seen.get(&key).copied().unwrap_or(0);
                let tells = (df >= MIN_TEXTS && f64::from(df) <= MAX_SHARE * n) || is_few;
                let idf = ((1.0 + n) / (1.0 + f64::from(df))).ln() + 1.0;
                let weight = (1.0 + f64::from(term.times).ln()) * idf;
                (tells && term.is_tag()).then_some((key, (weight, term.written)))
            })
            .collect();
        weighed.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
        let mut found: Vec<(String, f64)> = Vec::new();
        for (_, (weight, written)) in weighed {
            if found.len() < most && found.iter().all(|(other, _)| *other != written) {
                found.push((written, weight));
            }
        }
        found
    }
}

/// A term of one text.
struct Term {
    times: u32,
    written: String,
}

impl Term {
    /// Tells whether somebody would look for it: single letters and bare numbers nobody does.
    fn is_tag(&self) -> bool {
        self.written.chars().count() > 1 && self.written.chars().any(char::is_alphabetic)
    }
}

/// Counts the terms of a text.
fn count(text: Phrased<'_>) -> BTreeMap<String, Term> {
    let mut terms: BTreeMap<String, Term> = BTreeMap::new();
    for token in tokens(text.text, Language::Auto) {
        let new = Term { times: 0, written: token.surface };
        terms.entry(token.stem).or_insert(new).times += 1;
    }
    for phrase in text.phrases.iter().map(|phrase| phrase.trim()) {
        let is_one = !phrase.is_empty() && count_words(phrase) <= PHRASE_WORDS;
        let key = format!("{PHRASE}{phrase}");
        if !is_one || terms.contains_key(&key) || !text.text.contains(phrase) {
            continue;
        }
        let words = tokens(phrase, Language::Auto);
        for word in &words {
            if let Some(term) = terms.get_mut(&word.stem) {
                term.times = if words.len() == 1 { 0 } else { term.times.saturating_sub(1) };
            }
        }
        terms.insert(key, Term { times: 1, written: phrase.to_owned() });
    }
    terms.retain(|_, term| term.times > 0);
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(texts: &[(&str, &[&str])], of: usize) -> Vec<(String, f64)> {
        let phrases: Vec<Vec<String>> = texts
            .iter()
            .map(|(_, phrases)| phrases.iter().map(|p| (*p).to_owned()).collect())
            .collect();
        let texts: Vec<Phrased<'_>> = texts
            .iter()
            .zip(&phrases)
            .map(|((text, _), phrases)| Phrased { text, phrases })
            .collect();
        KeyTerms::fit(&texts).of(texts[of], 5)
    }

    fn names(terms: &[(String, f64)]) -> Vec<&str> {
        terms.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn weights_of_a_text_by_hand() {
        let found = terms(&[("Foxes hunt a fox", &[]), ("A hunt", &[]), ("", &[])], 0);
        // Two texts have words. fox: tf 2, df 1: (1 + ln 2) · (ln(3 / 2) + 1); hunt: tf 1, df 2: ln(3 / 3) + 1.
        let want = [(1.0 + 2f64.ln()) * (1.5f64.ln() + 1.0), 1.0];
        assert_eq!(names(&found), ["foxes", "hunt"], "as the text itself writes them first");
        assert!(found.iter().zip(want).all(|((_, x), want)| (x - want).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn a_phrase_is_one_term_and_takes_its_words_along() {
        let hair: (&str, &[&str]) = ("Oil. Hair Care. Oil for hair", &["Hair Care", "Nail Care"]);
        let found = terms(&[hair, ("Soap", &[])], 0);
        assert_eq!(names(&found), ["oil", "Hair Care", "hair"], "Nail Care is not in the text");
        let found = terms(&[("Drama. A drama", &["Drama"]), ("Soap", &[])], 0);
        assert_eq!(names(&found), ["Drama"]);
    }

    #[test]
    fn in_many_texts_terms_of_one_or_of_most_say_nothing() {
        let mut texts: Vec<(&str, &[&str])> = vec![("common words here", &[]); 8];
        texts.extend([("common rare", &[] as &[&str]), ("common rare only", &[])]);
        assert_eq!(names(&terms(&texts, 9)), ["rare"]);
    }

    #[test]
    fn chinese_words_are_terms_and_numbers_and_letters_are_not() {
        let found = terms(&[("科幻小说 1999 的 A 7", &[]), ("电影", &[])], 0);
        assert_eq!(names(&found), ["科幻小说"]);
    }
}
