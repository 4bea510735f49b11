//! Gathers what a reason may rest on: which events of the history, through which model, speak for an item.

use std::collections::BTreeMap;

use serde::Serialize;
use tastemaker_core::{Contribution, ItemId, Recommender as _, Request};
use tastemaker_dialog::{self as dialog, Author, Clause, Evidence, Wording};
use tastemaker_text::words;

use crate::Engine;
use crate::registry::Model;

/// Most clauses of a reason: what was taken, and one of each way in which a model speaks.
const MAX_CLAUSES: usize = 4;
/// Texts less alike are not said to resemble each other.
const MIN_SIMILARITY: f32 = 0.35;
/// An event not cited yet is preferred while it speaks at least so strongly, compared with the strongest.
const VARIETY: f32 = 0.6;
/// Shared words that are handed on.
const MAX_TERMS: usize = 3;

/// Why an item is recommended: a sentence, and the evidence each of its clauses cites.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reason {
    /// One sentence.
    pub text: String,
    /// Its clauses, each with the index of its evidence.
    pub clauses: Vec<Clause>,
    /// The facts, strongest first.
    pub evidence: Vec<Evidence>,
    /// The events of the history that clauses rest on.
    #[serde(skip)]
    pub(crate) cited: Vec<ItemId>,
    /// Their ids.
    pub events: Vec<String>,
    /// Whose words they are, where a language model was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
    /// Why they are the template's, where a language model was asked and failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Items of a history that the user did not take, but named.
pub(crate) type Named<'a> = &'a [ItemId];

/// A part of the model that speaks for the item: its share of the score and the events it rests on.
struct Voice<'a> {
    model: &'a Model,
    share: f32,
    contributions: Vec<Contribution>,
}

/// Says why `item` is recommended; the evidence is read off the models, nothing is made up.
pub(crate) fn explain(
    engine: &Engine,
    request: &Request<'_>,
    item: ItemId,
    (wording, named): (&Wording, Named<'_>),
) -> Reason {
    let mut voices = voices(engine, request, item);
    voices.sort_by(|a, b| b.share.total_cmp(&a.share));
    let merged = merged(&voices);
    let mut evidence = dialog::took(&merged, |item| engine.title(item));
    evidence.truncate(1);
    if let (Some(fact), Some(top)) = (evidence.first_mut(), merged.first())
        && named.contains(&top.because)
    {
        *fact = Evidence::Wished { item: engine.title(top.because) };
    }
    // Which event each piece of evidence is about.
    let mut events: Vec<ItemId> =
        merged.first().map(|top| top.because).into_iter().take(evidence.len()).collect();
    for voice in &voices {
        let Some(best) = voice.fresh(&events) else { continue };
        let told = fact(engine, voice.model, best, item);
        let is_new = |fact: &Evidence| {
            evidence
                .iter()
                .all(|known| std::mem::discriminant(known) != std::mem::discriminant(fact))
        };
        if let Some(fact) = told.filter(is_new) {
            evidence.push(fact);
            events.push(best.because);
        }
    }
    let told = dialog::explain(&evidence, wording, MAX_CLAUSES);
    let told = told.or_else(|| {
        evidence.extend(popular(engine, item));
        dialog::explain(&evidence, wording, MAX_CLAUSES)
    });
    let Some(reason) = told else {
        let text = match wording.language {
            dialog::Language::English => "Nothing known speaks for it yet.".into(),
            dialog::Language::Chinese => "还没有已知的理由。".into(),
        };
        return Reason { text, evidence, ..Reason::default() };
    };
    let mut cited: Vec<ItemId> = Vec::new();
    for event in reason.clauses.iter().filter_map(|clause| events.get(clause.evidence_index)) {
        if !cited.contains(event) {
            cited.push(*event);
        }
    }
    let events = cited.iter().map(|event| engine.item_name(*event).to_owned()).collect();
    let (text, clauses) = (reason.text, reason.clauses);
    Reason { text, clauses, evidence, cited, events, ..Reason::default() }
}

fn voices<'a>(engine: &'a Engine, request: &Request<'_>, item: ItemId) -> Vec<Voice<'a>> {
    let models = engine.models();
    let shares = match engine.fused() {
        Some(fused) => fused.shares(request, item),
        None => vec![1.0],
    };
    let voice = |(model, share): (&'a Model, f32)| {
        let able = model.as_evidence().filter(|_| item.index() < model.n_items() && share > 0.0)?;
        Some(Voice { model, share, contributions: able.evidence(request, item) })
    };
    models.into_iter().zip(shares).filter_map(voice).collect()
}

impl Voice<'_> {
    /// Returns the strongest contribution, or one nearly as strong whose event was not cited yet.
    fn fresh(&self, cited: &[ItemId]) -> Option<&Contribution> {
        let best = self.contributions.iter().find(|c| c.weight > 0.0)?;
        let is_fresh =
            |c: &&Contribution| c.weight >= VARIETY * best.weight && !cited.contains(&c.because);
        Some(self.contributions.iter().find(is_fresh).unwrap_or(best))
    }
}

/// Adds up what each event of the history contributes over all parts; loudest first, a part counts by its share.
fn merged(voices: &[Voice<'_>]) -> Vec<Contribution> {
    let mut totals: BTreeMap<ItemId, f32> = BTreeMap::new();
    for voice in voices {
        let all: f32 = voice.contributions.iter().map(|c| c.weight.abs()).sum();
        for contribution in voice.contributions.iter().filter(|_| all > 0.0) {
            *totals.entry(contribution.because).or_default() +=
                voice.share * contribution.weight / all;
        }
    }
    let mut merged: Vec<Contribution> =
        totals.into_iter().map(|(because, weight)| Contribution { because, weight }).collect();
    merged.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.because.cmp(&b.because)));
    merged
}

fn fact(engine: &Engine, model: &Model, best: &Contribution, item: ItemId) -> Option<Evidence> {
    let title = engine.title(best.because);
    match model {
        Model::Markov(_) => Some(Evidence::Transition { from: title }),
        Model::ItemKnn(_) | Model::Ease(_) | Model::Ials(_) => {
            Some(Evidence::AlsoLiked { item: title })
        }
        Model::TextKnn(_) => {
            let similarity =
                engine.cosine(best.because, item).filter(|&cosine| cosine >= MIN_SIMILARITY)?;
            Some(Evidence::TextLike {
                shared: shared_terms(engine, best.because, item),
                item: title,
                similarity,
            })
        }
        _ => None,
    }
}

fn popular(engine: &Engine, item: ItemId) -> Option<Evidence> {
    let counts = engine.counts();
    let count = *counts.get(item.index())?;
    let rank = 1 + counts.iter().filter(|&&other| other > count).count();
    Some(Evidence::Popular { count, rank: u32::try_from(rank).ok()? })
}

/// Lists words that both items' texts hold, as they stand in the second one; inflected forms count as one word.
fn shared_terms(engine: &Engine, a: ItemId, b: ItemId) -> Vec<String> {
    let first: Vec<String> = words(&engine.text(a));
    let second = engine.text(b);
    let mut terms: Vec<String> = Vec::new();
    for word in second.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2)
    {
        let is_shared = words(word)
            .iter()
            .any(|stem| first.contains(stem) && !stem.chars().all(char::is_numeric));
        let word = word.to_lowercase();
        if is_shared && !terms.contains(&word) {
            terms.push(word);
        }
        if terms.len() == MAX_TERMS {
            break;
        }
    }
    terms
}
