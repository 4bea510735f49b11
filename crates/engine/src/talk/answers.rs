//! Questions that the catalogue answers itself: items that are questions with answers.

use tastemaker_core::{ItemId, Silent, top_k};
use tastemaker_dialog::talk::Answer;
use tastemaker_text::words;

use super::lexicon::answers;
use crate::{Engine, Error};

/// Questions less alike are another question.
const LIKE: f32 = 0.2;
/// Other questions that are shown.
const OTHERS: usize = 3;

impl Engine {
    /// Answers a question by the item whose question is nearest; `None` where none is near.
    pub(super) fn answer(
        &self,
        text: &str,
        barred: &[ItemId],
    ) -> Result<Option<(ItemId, Answer)>, Error> {
        let items = &self.data().items;
        let Some((question, answer)) = answers(items.columns()) else { return Ok(None) };
        let mut scores: Vec<f32> = match (self.reader(), self.vectors()) {
            (Some(reader), Some(vectors)) => {
                let encoded = reader.encoder.encode(&[text], &Silent)?;
                let asked = encoded.vectors.row(0);
                let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
                let cosine = |row: &[f32]| {
                    let product: f32 = row.iter().zip(asked).map(|(x, y)| x * y).sum();
                    product / (length(row) * length(asked))
                };
                (0..vectors.rows()).map(|item| cosine(vectors.row(item))).collect()
            }
            _ => self.shared_words(question, text),
        };
        barred.iter().for_each(|item| scores[item.index()] = f32::NEG_INFINITY);
        let best = top_k(&scores, 1 + OTHERS);
        let field = |item: ItemId, name: &str| items.field(item.index(), name);
        let Some(first) = best.first().filter(|scored| scored.score >= LIKE) else {
            return Ok(None);
        };
        let Some(told) = field(first.item, answer) else { return Ok(None) };
        let others = best[1..].iter().filter(|scored| scored.score >= LIKE);
        let next = items.columns().iter().find(|column| {
            ["next", "next_step", "next step", "下一步"]
                .contains(&column.name.to_lowercase().as_str())
        });
        let known = Answer::Known {
            question: field(first.item, question).unwrap_or_default(),
            answer: told,
            next: next.and_then(|column| field(first.item, &column.name)),
            others: others.filter_map(|scored| field(scored.item, question)).collect(),
        };
        Ok(Some((first.item, known)))
    }

    /// Returns for every item the share of words that its question and the one asked have in common.
    fn shared_words(&self, column: &str, text: &str) -> Vec<f32> {
        let asked = words(text);
        let items = &self.data().items;
        let share = |item: usize| {
            let own = words(&items.field(item, column).unwrap_or_default());
            let shared = asked.iter().filter(|word| own.contains(word)).count();
            2.0 * shared as f32 / (asked.len() + own.len()).max(1) as f32
        };
        (0..items.len()).map(share).collect()
    }
}
