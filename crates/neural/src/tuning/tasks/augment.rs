//! Texts that are read a little differently each time: words left out, ends cut off, words exchanged for their neighbours.
//!
//! A word is a token that begins one and those that go on with it; marks stay where they are.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rayon::prelude::*;
use tastemaker_core::seed;
use tastemaker_kernels::{View, product};
use tastemaker_text::{BertTokens, TokenFacts, TunableBert};

use super::settings::AugmentSettings;
use super::two_tower::normalise;

/// Words whose neighbours are looked for together.
const TOGETHER: usize = 128;

/// Changes texts.
pub(in crate::tuning) struct Augment {
    settings: AugmentSettings,
    facts: TokenFacts,
    neighbours: BTreeMap<u32, Vec<u32>>,
}

impl Augment {
    pub(in crate::tuning) fn new(
        settings: &AugmentSettings,
        (bert, weights): (&TunableBert, &[f32]),
        texts: &[BertTokens],
    ) -> Self {
        let facts = bert.token_facts();
        let mut neighbours = BTreeMap::new();
        if settings.synonyms > 0.0 {
            let table = &weights[bert.tensors()[0].range.clone()];
            let mut used: Vec<u32> = texts.iter().flat_map(|text| text.ids()).copied().collect();
            used.sort_unstable();
            used.dedup();
            used.retain(|&token| facts.begins_word.get(token as usize) == Some(&true));
            neighbours = nearest((table, bert.dim()), &used, settings.neighbours);
        }
        Self { settings: *settings, facts, neighbours }
    }

    /// Tells what tokens are.
    pub(super) const fn facts(&self) -> &TokenFacts {
        &self.facts
    }

    /// Returns the text as it is read this time.
    pub(super) fn apply(&self, text: &BertTokens, rng: &mut impl Rng) -> BertTokens {
        let AugmentSettings { drop, crop, synonyms, .. } = self.settings;
        if drop <= 0.0 && crop <= 0.0 && synonyms <= 0.0 {
            return text.clone();
        }
        let (mut ids, mut types) = (Vec::new(), Vec::new());
        let all = text.ids();
        let mut at = 0;
        while at < all.len() {
            if self.facts.is_mark(all[at]) {
                ids.push(all[at]);
                types.push(text.types()[at]);
                at += 1;
                continue;
            }
            let marks = |token: &u32| self.facts.is_mark(*token);
            let end = all[at..].iter().position(marks).map_or(all.len(), |n| at + n);
            let kind = text.types()[at];
            let kept = self.change(&all[at..end], rng);
            types.extend(std::iter::repeat_n(kind, kept.len()));
            ids.extend(kept);
            at = end;
        }
        BertTokens::of_parts(ids, types)
    }

    /// Changes a run of tokens without marks; at least a word is left.
    fn change(&self, tokens: &[u32], rng: &mut impl Rng) -> Vec<u32> {
        let AugmentSettings { drop, crop, synonyms, .. } = self.settings;
        let begins = |token: u32| self.facts.begins_word.get(token as usize) == Some(&true);
        let words: Vec<&[u32]> = tokens.chunk_by(|_, &next| !begins(next)).collect();
        let n = words.len() - (words.len() as f32 * crop) as usize;
        let first = if n < words.len() { rng.random_range(0..=words.len() - n) } else { 0 };
        let words = &words[first..first + n];
        let saved = rng.random_range(0..words.len());
        let mut kept = Vec::with_capacity(tokens.len());
        for (at, word) in words.iter().enumerate() {
            let [chance, change] = [rng.random::<f32>(), rng.random::<f32>()];
            if chance < drop && at != saved {
                continue;
            }
            let others = match word {
                [token] if change < synonyms => self.neighbours.get(token),
                _ => None,
            };
            match others {
                Some(others) if !others.is_empty() => {
                    kept.push(others[rng.random_range(0..others.len())]);
                }
                _ => kept.extend_from_slice(word),
            }
        }
        kept
    }
}

/// Returns the texts of items as they are read in a step.
pub(in crate::tuning) fn augmented(
    (items, texts): (&[u32], &[BertTokens]),
    augment: &Augment,
    (step, seed): (usize, u64),
) -> Vec<BertTokens> {
    let mut rng = seed::stream(seed, &format!("tune/noise{step}"));
    items.iter().map(|&item| augment.apply(&texts[item as usize], &mut rng)).collect()
}

/// Returns for each of `used` the `n` other ones whose rows of the table have the highest cosines with its own.
fn nearest((table, dim): (&[f32], usize), used: &[u32], n: usize) -> BTreeMap<u32, Vec<u32>> {
    let row = |&token: &u32| table[token as usize * dim..][..dim].iter().copied();
    let mut units: Vec<f32> = used.iter().flat_map(row).collect();
    normalise(&mut units, dim, &mut Vec::new());
    let all = View::rows(&units, dim).transposed();
    let parts: Vec<Vec<(u32, Vec<u32>)>> = used
        .par_chunks(TOGETHER)
        .zip(units.par_chunks(TOGETHER * dim))
        .map(|(tokens, own)| {
            let mut cosines = vec![0.0; tokens.len() * used.len()];
            let shape = (tokens.len(), used.len(), dim);
            product(shape, (1.0, View::rows(own, dim), all), 0.0, (&mut cosines, used.len()));
            let rows = tokens.iter().zip(cosines.chunks_exact(used.len()));
            rows.map(|(&token, cosines)| {
                let mut order: Vec<usize> =
                    (0..used.len()).filter(|&at| used[at] != token).collect();
                let better = |a: &usize, b: &usize| {
                    cosines[*b].total_cmp(&cosines[*a]).then(used[*a].cmp(&used[*b]))
                };
                if n < order.len() {
                    order.select_nth_unstable_by(n, better);
                    order.truncate(n);
                }
                order.sort_unstable_by(better);
                (token, order.into_iter().map(|at| used[at]).collect())
            })
            .collect()
        })
        .collect();
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens 0 and 1 are marks, 2 to 5 begin words, 6 goes on with one.
    fn augment(settings: AugmentSettings, neighbours: &[(u32, Vec<u32>)]) -> Augment {
        let begins_word = (0..7).map(|id| (2..6).contains(&id)).collect();
        let facts = TokenFacts { marks: vec![0, 1], mask: None, begins_word };
        Augment { settings, facts, neighbours: neighbours.iter().cloned().collect() }
    }

    #[test]
    fn words_go_whole_marks_stay_and_a_word_is_always_left() {
        let text =
            BertTokens::of_parts(vec![0, 2, 6, 3, 1, 4, 6, 6, 1], vec![0, 0, 0, 0, 0, 1, 1, 1, 1]);
        let settings = AugmentSettings { drop: 0.5, ..AugmentSettings::default() };
        let augment = augment(settings, &[]);
        let mut rng = seed::stream(1, "test");
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..60 {
            let got = augment.apply(&text, &mut rng);
            // The second text is one word, so it stays.
            let (first, second) = got.ids().split_at(got.len() - 5);
            assert_eq!(second, [1, 4, 6, 6, 1]);
            assert_eq!(got.types()[got.len() - 5..], [0, 1, 1, 1, 1]);
            seen.insert(first.to_vec());
        }
        let want = [vec![0, 2, 6], vec![0, 2, 6, 3], vec![0, 3]];
        assert!(seen.into_iter().eq(want));
    }

    #[test]
    fn crops_are_runs_of_words_and_nothing_changes_by_default() {
        let text = BertTokens::of_ids(vec![0, 2, 3, 4, 5, 1]);
        let mut rng = seed::stream(2, "test");
        let plain = augment(AugmentSettings::default(), &[]);
        assert_eq!(plain.apply(&text, &mut rng).ids(), text.ids());
        let crop = augment(AugmentSettings { crop: 0.5, ..AugmentSettings::default() }, &[]);
        let mut seen = std::collections::BTreeSet::new();
        (0..60).for_each(|_| {
            seen.insert(crop.apply(&text, &mut rng).ids()[1..3].to_vec());
        });
        assert!(seen.into_iter().eq([vec![2, 3], vec![3, 4], vec![4, 5]]));
    }

    #[test]
    fn neighbours_are_those_of_the_highest_cosine() {
        // Token 2 lies along the first axis, 3 close to it, 4 along the second, 5 against the first.
        let table = [9.0, 9.0, 9.0, 9.0, 1.0, 0.0, 3.0, 1.0, 0.0, 2.0, -1.0, 0.0];
        let found = nearest((&table, 2), &[2, 3, 4, 5], 2);
        assert_eq!((&found[&2][..], &found[&5][..]), (&[3, 4][..], &[4, 3][..]));
        let settings = AugmentSettings { synonyms: 0.9, ..AugmentSettings::default() };
        let augment = augment(settings, &[(2, vec![3])]);
        let text = BertTokens::of_ids(vec![0, 2, 2, 2, 2, 2, 6, 5, 1]);
        let got = augment.apply(&text, &mut seed::stream(3, "test"));
        assert!(got.ids()[1..5].iter().filter(|&&id| id == 3).count() >= 2);
        assert_eq!(
            got.ids()[5..],
            [2, 6, 5, 1],
            "words of two pieces and those without neighbours stay"
        );
    }
}
