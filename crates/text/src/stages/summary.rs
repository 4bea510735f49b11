//! `TextRank` (Mihalcea and Tarau 2004): sentences vote for sentences that share words with them, as pages do in `PageRank`.
//!
//! `w(i, j) = |words of both| / (ln |words of i| + ln |words of j|)`,
//! `r(i) = (1 - d) + d · Σ_j w(j, i) / Σ_k w(j, k) · r(j)`, `d = .85`. The sentences that rank first are kept as long as they fit, in the
//! order of the text.

use rustc_hash::FxHashMap;
use unicode_segmentation::UnicodeSegmentation;

use crate::words::{count_words, first_words, words};

/// Chance to follow a vote.
const DAMPING: f64 = 0.85;
/// Most rounds of voting.
const ROUNDS: usize = 100;
/// Ranks that move less than this have settled.
const SETTLED: f64 = 1e-6;
/// Sentences that are looked at: the first of a text.
const MAX_SENTENCES: usize = 512;

/// Returns the sentences of a text that rank first, in their order and of so many words at most; the beginning of the best one where not one
/// is that short.
pub fn extract(text: &str, most_words: usize) -> String {
    let short = summarise(text, most_words, &mut |sentence| count_words(sentence));
    let short = short.unwrap_or_else(|| {
        let sentences = sentences(text);
        let ranks = ranks(&sentences);
        let best =
            (0..sentences.len()).max_by(|&a, &b| ranks[a].total_cmp(&ranks[b]).then(b.cmp(&a)));
        let cut = best.map_or("", |best| first_words(sentences[best], most_words)).trim();
        if count_words(cut) > 0 { format!("{cut}…") } else { String::new() }
    });
    short.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Parts a text into sentences, also at ends of lines and Chinese full stops (Unicode Standard Annex 29).
fn sentences(text: &str) -> Vec<&str> {
    let sentences = text.split_sentence_bounds().filter(|sentence| !sentence.trim().is_empty());
    sentences.take(MAX_SENTENCES).collect()
}

/// Returns the sentences that rank first and together have at most `room` tokens by `count`, in their order; `None` where not one fits.
pub(crate) fn summarise(
    text: &str,
    room: usize,
    count: &mut dyn FnMut(&str) -> usize,
) -> Option<String> {
    let sentences = sentences(text);
    let ranks = ranks(&sentences);
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.sort_by(|&a, &b| ranks[b].total_cmp(&ranks[a]).then(a.cmp(&b)));
    let (mut kept, mut left) = (Vec::new(), room);
    for at in order {
        let tokens = count(sentences[at]);
        if (1..=left).contains(&tokens) {
            left -= tokens;
            kept.push(at);
        }
    }
    // Sentences side by side may have more tokens than each by itself.
    while !kept.is_empty() {
        let mut order = kept.clone();
        order.sort_unstable();
        let short: String = order.into_iter().map(|at| sentences[at]).collect();
        if count(&short) <= room {
            return Some(short);
        }
        kept.pop();
    }
    None
}

/// Ranks sentences.
fn ranks(sentences: &[&str]) -> Vec<f64> {
    let mut numbers: FxHashMap<String, u32> = FxHashMap::default();
    let mut number = |word: String| {
        let next = numbers.len() as u32;
        *numbers.entry(word).or_insert(next)
    };
    let sets: Vec<Vec<u32>> = sentences
        .iter()
        .map(|sentence| {
            let mut set: Vec<u32> = words(sentence).into_iter().map(&mut number).collect();
            set.sort_unstable();
            set.dedup();
            set
        })
        .collect();
    let n = sentences.len();
    let mut votes = vec![0.0; n * n];
    for a in 0..n {
        for b in a + 1..n {
            let vote = likeness(&sets[a], &sets[b]);
            votes[a * n + b] = vote;
            votes[b * n + a] = vote;
        }
    }
    let totals: Vec<f64> = votes.chunks(n.max(1)).map(|row| row.iter().sum()).collect();
    let mut ranks = vec![1.0; n];
    for _ in 0..ROUNDS {
        let next: Vec<f64> = (0..n)
            .map(|i| {
                let voters = (0..n).filter(|&j| totals[j] > 0.0);
                let sum: f64 = voters.map(|j| votes[j * n + i] / totals[j] * ranks[j]).sum();
                1.0 - DAMPING + DAMPING * sum
            })
            .collect();
        let moved = ranks.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        ranks = next;
        if moved < SETTLED {
            break;
        }
    }
    ranks
}

/// Returns how like two sentences are, by their sorted words.
fn likeness(a: &[u32], b: &[u32]) -> f64 {
    let common = a.iter().filter(|word| b.binary_search(word).is_ok()).count();
    let length = (a.len().max(1) as f64).ln() + (b.len().max(1) as f64).ln();
    // Two sentences of a word each have no length by this measure.
    if length > 0.0 { common as f64 / length } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: &str, room: usize) -> Option<String> {
        summarise(text, room, &mut |part| part.split_whitespace().count())
    }

    #[test]
    fn ranks_of_three_sentences_by_hand() {
        // Words {red, fox}, {red, hen}, {blue, sea}: w(0, 1) = 1 / (2 ln 2), the third is alone.
        let found = ranks(&["Red fox.", "A red hen.", "Blue sea."]);
        // Two that vote for each other keep rank 1; the third has 1 - d alone.
        for (rank, want) in found.iter().zip([1.0, 1.0, 0.15]) {
            assert!((rank - want).abs() < 1e-5, "{found:?}");
        }
        assert!((likeness(&[0, 1], &[0, 2]) - 1.0 / (2.0 * 2f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn sentences_in_the_middle_of_the_talk_are_kept_in_their_order() {
        let text = "Buy now! The red fox hunts hens. Shipping is free. A fox hunts red hens at night. Thanks.";
        let want = "The red fox hunts hens. A fox hunts red hens at night. ";
        assert_eq!(short(text, 12).as_deref(), Some(want));
        assert_eq!(short(text, 100).as_deref(), Some(text));
    }

    #[test]
    fn chinese_sentences_end_with_their_own_stops() {
        let text = "欢迎光临本店！这部科幻电影讲述太空战争。运费另计。科幻电影里的太空战争很精彩。";
        let kept = summarise(text, 30, &mut |part| part.chars().count()).unwrap();
        assert_eq!(kept, "这部科幻电影讲述太空战争。科幻电影里的太空战争很精彩。");
    }

    #[test]
    fn a_sentence_that_does_not_fit_is_passed_over_and_none_gives_nothing() {
        assert_eq!(short("One two three four five. Six.", 2).as_deref(), Some("Six."));
        assert_eq!(short("one two three four five", 2), None);
        assert_eq!(short("", 2), None);
    }

    #[test]
    fn an_extract_is_of_so_many_words_in_any_language() {
        let text =
            "Buy now! The red fox hunts\nhens. Shipping is free. A fox hunts red hens at night.";
        // A line's end ends a sentence.
        assert_eq!(extract(text, 8), "hens. A fox hunts red hens at night.");
        let text = text.replace('\n', " ");
        assert_eq!(extract(&text, 8), "Buy now! The red fox hunts hens.");
        assert_eq!(extract("One two three four five", 2), "One two…");
        assert_eq!(extract("科幻电影里的太空战争很精彩。", 2), "科幻电影里…");
        assert_eq!(["", " \n", "!!!"].map(|text| extract(text, 5)), ["", "", ""]);
    }

    #[test]
    fn what_grows_when_joined_is_shortened_until_it_fits() {
        // Every sentence counts 1, two of them together count 3.
        let mut count = |part: &str| match part.matches('.').count() {
            1 => 1,
            n => n + 1,
        };
        assert_eq!(summarise("A fox. A fox. Sea.", 2, &mut count).as_deref(), Some("A fox. "));
    }
}
