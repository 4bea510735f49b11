//! Settings made ready: every id found, every expression read, every column looked up, for the pipeline and each of its variants.

use std::sync::Arc;

use tastemaker_core::{Fault, ItemId, Labels};

use super::adjust::places;
use super::catalogue::{Catalogue, Lookup, Question};
use super::llm::{Arbiter, LlmSettings, LlmWay};
use super::rules::{Deed, RuleSettings};
use super::settings::{Combine, PipelineSettings, Plain, Segment};
use crate::Mixer;

/// Where candidates come from.
#[derive(Clone, Debug)]
pub(super) enum From {
    /// A part of the model, by its number.
    Part(usize),
    /// What needs no model.
    Plain(Plain),
}

/// A source made ready.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) from: From,
    pub(super) n: usize,
    pub(super) weight: f32,
}

/// A rule made ready.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    Boost(Question, f32),
    Bury(Question),
    Never(Question),
    Quota { labels: Labels, most: usize, within: usize },
    Share { labels: Labels, shares: Vec<(u32, f32)> },
}

/// One variant made ready.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) name: Option<String>,
    pub(super) segment: Option<Segment>,
    pub(super) context: Vec<(String, String)>,
    pub(super) sources: Vec<Source>,
    pub(super) combine: Combine,
    pub(super) filter: Option<Question>,
    pub(super) same_text: f32,
    pub(super) freshness: f32,
    pub(super) popularity_discount: f32,
    /// The chance of a place to be drawn, and among how many.
    pub(super) explored: (f32, usize),
    pub(super) rules: Vec<Rule>,
    /// Places, from 1, with their items; rising.
    pub(super) pins: Vec<(usize, ItemId)>,
    pub(super) llm: LlmSettings,
}

/// A pipeline ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) settings: PipelineSettings,
    /// The variants, and the pipeline itself as the last.
    pub(super) variants: Vec<Variant>,
    pub(super) catalogue: Catalogue,
    /// `[n_items]`: how new, 0 to 1.
    pub(super) novelty: Vec<f32>,
    /// `[n_items]`: how popular, 0 to 1.
    pub(super) popularity: Vec<f32>,
    pub(super) mixer: Mixer,
    pub(super) seed: u64,
    pub(super) arbiter: Option<Arc<dyn Arbiter>>,
}

impl Plan {
    /// Makes settings ready for a model with these `parts`; lists everything that cannot be.
    pub fn new(
        settings: PipelineSettings,
        parts: &[&str],
        mut catalogue: Catalogue,
        (mixer, seed): (Mixer, u64),
        lookup: &dyn Lookup,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = settings.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        if let Some(column) = &settings.date {
            match lookup.numbers(column) {
                Ok(dates) => catalogue.dates = dates,
                Err(problem) => faults.push(Fault { field: "date", problem }),
            }
        }
        let mut variants = Vec::new();
        for (place, when) in settings.when.iter().enumerate() {
            let varied =
                settings.varied(when).map_err(|problem| vec![Fault { field: "when", problem }])?;
            let mut compile = Compile { parts, catalogue: &catalogue, lookup, faults: Vec::new() };
            let mut variant = compile.variant(&varied);
            let name =
                if when.name.is_empty() { format!("{}", place + 1) } else { when.name.clone() };
            (variant.name, variant.segment) = (Some(name), when.segment);
            variant.context = when.context.clone().into_iter().collect();
            variants.push(variant);
            faults.extend(compile.faults.into_iter().map(|fault| Fault {
                field: "when",
                problem: format!("number {}: `{}` {}", place + 1, fault.field, fault.problem),
            }));
        }
        let mut compile = Compile { parts, catalogue: &catalogue, lookup, faults: Vec::new() };
        variants.push(compile.variant(&settings));
        faults.extend(compile.faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let novelty = places(&catalogue.dates);
        let popularity =
            places(&catalogue.counts.iter().map(|&n| f64::from(n)).collect::<Vec<_>>());
        Ok(Self { settings, variants, catalogue, novelty, popularity, mixer, seed, arbiter: None })
    }

    /// Lets a language model order the heads of lists, where the settings say so.
    #[must_use]
    pub fn with_arbiter(mut self, arbiter: Arc<dyn Arbiter>) -> Self {
        self.arbiter = Some(arbiter);
        self
    }

    /// Tells whether a language model is asked for some requests.
    pub fn asks_model(&self) -> bool {
        self.variants.iter().any(|variant| variant.llm.way != LlmWay::Off)
    }

    /// Returns the settings.
    pub const fn settings(&self) -> &PipelineSettings {
        &self.settings
    }
}

struct Compile<'a> {
    parts: &'a [&'a str],
    catalogue: &'a Catalogue,
    lookup: &'a dyn Lookup,
    faults: Vec<Fault>,
}

impl Compile<'_> {
    /// Keeps a problem, and goes on with nothing.
    fn kept<T>(&mut self, field: &'static str, found: Result<T, String>) -> Option<T> {
        found.map_err(|problem| self.faults.push(Fault { field, problem })).ok()
    }

    fn variant(&mut self, settings: &PipelineSettings) -> Variant {
        let sources = settings.sources.iter();
        let found: Vec<(String, Result<From, String>, usize, f32)> = sources
            .map(|source| (source.from.clone(), self.source(&source.from), source.n, source.weight))
            .collect();
        let sources = found
            .into_iter()
            .filter_map(|(name, from, n, weight)| {
                Some(Source { from: self.kept("sources", from)?, name, n, weight })
            })
            .collect();
        let filter = settings.filter.as_ref().filter(|text| !text.trim().is_empty());
        let filter = filter.map(|text| self.lookup.question(text));
        let filter = filter.and_then(|found| self.kept("filter", found));
        if settings.same_text > 0.0 && self.catalogue.vectors.is_none() {
            let problem = "compares the texts of items, and there are none: set it to 0, or train with a text encoder";
            self.faults.push(Fault { field: "same_text", problem: problem.into() });
        }
        let mut rules = Vec::new();
        for rule in settings.rules.iter().filter(|rule| rule.deed != Deed::Pin) {
            let found = self.rule(rule);
            rules.extend(self.kept("rules", found));
        }
        Variant {
            name: None,
            segment: None,
            context: Vec::new(),
            sources,
            combine: settings.combine,
            filter,
            same_text: settings.same_text,
            freshness: settings.freshness,
            popularity_discount: settings.popularity_discount,
            explored: (settings.explore, settings.explore_depth),
            rules,
            pins: self.pins(&settings.rules),
            llm: settings.llm.clone(),
        }
    }

    fn source(&self, name: &str) -> Result<From, String> {
        if let Some(part) = self.parts.iter().position(|part| *part == name) {
            return Ok(From::Part(part));
        }
        match Plain::named(name) {
            Some(Plain::Text) if self.catalogue.vectors.is_none() => {
                Err("names `text`, and the items have no texts that were encoded: leave it out, or train with a text encoder".into())
            }
            Some(plain) => Ok(From::Plain(plain)),
            None => Err(format!(
                "names `{name}`, which is no part of this model: choose among {}, popular, newest, random, text, or train it in (`fusion.parts`)",
                self.parts.join(", ")
            )),
        }
    }

    fn pins(&mut self, rules: &[RuleSettings]) -> Vec<(usize, ItemId)> {
        let mut pins = Vec::new();
        for rule in rules.iter().filter(|rule| rule.deed == Deed::Pin) {
            for (step, id) in rule.items.iter().enumerate() {
                let found = self.lookup.item(id);
                pins.extend(self.kept("rules", found).map(|item| (rule.place + step, item)));
            }
        }
        pins.sort_unstable();
        pins
    }

    fn rule(&self, rule: &RuleSettings) -> Result<Rule, String> {
        Ok(match rule.deed {
            Deed::Boost => Rule::Boost(self.question(rule)?, rule.by),
            Deed::Bury => Rule::Bury(self.question(rule)?),
            Deed::Never | Deed::Pin => Rule::Never(self.question(rule)?),
            Deed::Quota => {
                let (labels, _) = self.lookup.labels(rule.column.as_deref().unwrap_or_default())?;
                Rule::Quota { labels, most: rule.most, within: rule.within }
            }
            Deed::Share => {
                let column = rule.column.as_deref().unwrap_or_default();
                let (labels, names) = self.lookup.labels(column)?;
                let mut shares = Vec::new();
                for (name, share) in &rule.shares {
                    let Some(label) = names.iter().position(|known| known == name) else {
                        let some: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
                        return Err(format!(
                            "names `{name}`, which no item has in `{column}`; some that are there: {}",
                            some.join(", ")
                        ));
                    };
                    shares.push((label as u32, *share));
                }
                Rule::Share { labels, shares }
            }
        })
    }

    /// What a rule is about: items by their ids, or those an expression tells.
    fn question(&self, rule: &RuleSettings) -> Result<Question, String> {
        if let Some(text) = &rule.which {
            return self.lookup.question(text);
        }
        let mut named = vec![false; self.catalogue.counts.len()];
        for id in &rule.items {
            if let Some(item) = named.get_mut(self.lookup.item(id)?.index()) {
                *item = true;
            }
        }
        Ok(Question::Fixed(Arc::new(named)))
    }
}
