//! Which tokens are hidden, and by what: of the tokens of a text a share is to be told; of those 80 % give way to the mask, 10 % to
//! any token of the vocabulary, and 10 % stay (Devlin et al. 2019).

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use tastemaker_text::{BertTokens, TokenFacts};

use crate::tuning::tasks::{Input, Reading};

/// Texts with hidden tokens, and what stood there.
#[derive(Clone, Debug, Default)]
pub(super) struct Masked {
    pub(super) input: Input,
    pub(super) targets: Vec<u32>,
}

/// Hides a share of every text's tokens, at least one of each, marks aside.
pub(super) fn hide(
    texts: impl Iterator<Item = BertTokens>,
    (facts, mask): (&TokenFacts, u32),
    share: f32,
    rng: &mut impl Rng,
) -> Masked {
    let vocabulary = facts.begins_word.len() as u32;
    let (mut hidden, mut all_places) = (Masked::default(), Vec::new());
    for text in texts {
        let mut ids = text.ids().to_vec();
        let mut places: Vec<u32> =
            (0..ids.len() as u32).filter(|&at| !facts.is_mark(ids[at as usize])).collect();
        if places.is_empty() {
            continue;
        }
        let n = ((places.len() as f32 * share).round() as usize).clamp(1, places.len());
        places.shuffle(rng);
        places.truncate(n);
        places.sort_unstable();
        for &at in &places {
            let id = &mut ids[at as usize];
            hidden.targets.push(*id);
            match rng.random_range(0..10u32) {
                0..8 => *id = mask,
                8 => *id = rng.random_range(0..vocabulary),
                _ => {}
            }
        }
        hidden.input.texts.push(BertTokens::of_parts(ids, text.types().to_vec()));
        all_places.push(places);
    }
    hidden.input.reading = Reading::Tokens(all_places);
    hidden
}

#[cfg(test)]
mod tests {
    use tastemaker_core::seed;

    use super::*;

    #[test]
    fn of_the_hidden_tokens_most_are_masked_some_exchanged_and_some_stay() {
        let facts = TokenFacts { marks: vec![0, 1], mask: Some(2), begins_word: vec![true; 1000] };
        let text = BertTokens::of_ids([&[0][..], &[7; 20], &[1]].concat());
        let texts = std::iter::repeat_n(text, 1000);
        let got = hide(texts, (&facts, 2), 0.15, &mut seed::stream(1, "test"));
        assert_eq!((got.input.texts.len(), got.targets.len()), (1000, 3000), "15 % of 20 are 3");
        assert!(got.targets.iter().all(|&target| target == 7));
        let Reading::Tokens(places) = &got.input.reading else { panic!("tokens are read") };
        let mut counts = [0; 3];
        for (text, places) in got.input.texts.iter().zip(places) {
            assert!(text.ids()[0] == 0 && text.ids()[21] == 1);
            for &at in places {
                let kind = match text.ids()[at as usize] {
                    2 => 0,
                    7 => 1,
                    _ => 2,
                };
                counts[kind] += 1;
            }
            let changed = text.ids()[1..21].iter().filter(|&&id| id != 7).count();
            assert!(changed <= places.len());
        }
        let [masked, same, other] = counts.map(|n| f64::from(n) / 3000.0);
        assert!((masked - 0.8).abs() < 0.03 && (same - 0.1).abs() < 0.02, "{counts:?}");
        assert!((other - 0.1).abs() < 0.02);
    }

    #[test]
    fn short_texts_hide_a_token_and_bare_marks_are_passed_over() {
        let facts = TokenFacts { marks: vec![0, 1], mask: Some(2), begins_word: vec![true; 9] };
        let texts = [vec![0, 1], vec![0, 5, 1]].map(BertTokens::of_ids);
        let got = hide(texts.into_iter(), (&facts, 2), 0.15, &mut seed::stream(1, "test"));
        assert_eq!((got.input.texts.len(), got.targets), (1, vec![5]));
    }
}
