//! What a pipeline is made of, as plain settings: sources → one score → filters → rules and re-ranking.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tastemaker_core::Fault;

use super::llm::LlmSettings;
use super::rules::RuleSettings;

/// Most candidates of one source.
pub const MAX_CANDIDATES: usize = 10_000;
/// Most sources, rules and variants.
const MAX_PARTS: usize = 64;

/// Where candidates come from that no model gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Plain {
    /// What is taken most.
    Popular,
    /// What came last.
    Newest,
    /// Anything, drawn anew for every user.
    Random,
    /// Items whose texts are nearest to those of the newest events.
    Text,
}

impl Plain {
    const ALL: [(&'static str, Self); 4] = [
        ("popular", Self::Popular),
        ("newest", Self::Newest),
        ("random", Self::Random),
        ("text", Self::Text),
    ];

    /// Finds a source by its name; a model has another one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
    }
}

/// One source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// A part of the trained model, or one of `popular`, `newest`, `random`, `text`.
    pub from: String,
    /// How many candidates it brings, 1 to 10000.
    #[serde(default = "candidates")]
    pub n: usize,
    /// What its places count beside those of the others, for `combine = "vote"` and `"borda"`; its scores, for `"weighted"`.
    #[serde(default = "one")]
    pub weight: f32,
}

const fn candidates() -> usize {
    200
}

const fn one() -> f32 {
    1.0
}

/// Settings for a purpose, of models and pipeline; what is given besides wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Two models that are fitted in seconds.
    Fast,
    /// Five models and trees, the default.
    Balanced,
    /// Sequence models too, fitted in minutes.
    Best,
    /// For catalogues whose items come and go.
    Cold,
}

/// How candidates of several sources get one score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// The trained model scores them all, with weights and trees as they were learnt.
    #[default]
    Learned,
    /// Sum of the sources' z-scores, each times its weight.
    Weighted,
    /// Reciprocal ranks, `Σ weight / (60 + place)` (Cormack et al. 2009).
    Vote,
    /// Borda's count: `Σ weight (n - place) / n`.
    Borda,
}

/// How many users belong to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Segment {
    /// Hardly any events; see `segments`.
    New,
    /// Some.
    Light,
    /// Many.
    Heavy,
}

/// Other settings for some requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhenSettings {
    /// A name for traces.
    pub name: String,
    /// Users with such histories alone.
    pub segment: Option<Segment>,
    /// Requests whose context has these values alone, as in `{ device = "phone" }`; the arm of an experiment is one like any other.
    pub context: BTreeMap<String, String>,
    /// Keys of the pipeline that are other than outside.
    pub then: Map<String, Value>,
}

/// Settings of the way from candidates to a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineSettings {
    /// `fast`, `balanced`, `best` or `cold`: settings of models and pipeline for a purpose (`config/presets`), which those given here win over.
    pub preset: Option<Preset>,
    /// Where candidates come from, as in `[{ from = "markov", n = 200 }, { from = "popular", n = 20 }]`; empty: every item is one.
    pub sources: Vec<SourceSettings>,
    /// `learned`, `weighted`, `vote` or `borda`.
    pub combine: Combine,
    /// An expression over the fields of items and users that all items must fulfil, as in `price < 50 && "scifi" in categories`.
    pub filter: Option<String>,
    /// Items whose texts have a cosine of so much are one, and the best of them stays; 0 = off. Just below 1 for identical texts.
    pub same_text: f32,
    /// How much it counts beside the score that an item is new: 0 nothing, 1 as much as the best score over the worst.
    pub freshness: f32,
    /// A column of numbers that tells how new an item is, greater is newer; left out: when it was first taken.
    pub date: Option<String>,
    /// How much it counts against an item that many take it: 0 nothing, 1 as much as the best score over the worst.
    pub popularity_discount: f32,
    /// Chance of each place to be given to an item drawn from all candidates, 0 to 1; the chance of every item shown is told in the trace.
    pub explore: f32,
    /// Among how many items a place is drawn, itself and those behind it; 0 = all candidates. Few make chances large, which `off-policy` needs.
    pub explore_depth: usize,
    /// Pins, boosts, burials, quotas and shares, in this order of precedence: pins first.
    pub rules: Vec<RuleSettings>,
    /// A language model that orders the head of the list.
    pub llm: LlmSettings,
    /// Longest histories of new and of light users.
    pub segments: [usize; 2],
    /// Other settings for some requests; the first that fits counts.
    pub when: Vec<WhenSettings>,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            preset: None,
            sources: Vec::new(),
            combine: Combine::default(),
            filter: None,
            same_text: 0.0,
            freshness: 0.0,
            date: None,
            popularity_discount: 0.0,
            explore: 0.0,
            explore_depth: 0,
            rules: Vec::new(),
            llm: LlmSettings::default(),
            segments: [2, 20],
            when: Vec::new(),
        }
    }
}

impl PipelineSettings {
    /// Tells whether lists are what the model alone makes of them.
    pub fn is_plain(&self) -> bool {
        let Self { preset, segments, date, .. } = self.clone();
        *self == Self { preset, segments, date, ..Self::default() }
    }

    /// Returns the same without anything drawn at its places.
    #[must_use]
    pub fn without_exploring(mut self) -> Self {
        self.explore = 0.0;
        self.when.iter_mut().for_each(|when| drop(when.then.remove("explore")));
        self
    }

    /// Tells to which segment a user with a history of `length` events belongs.
    pub const fn segment(&self, length: usize) -> Segment {
        if length <= self.segments[0] {
            Segment::New
        } else if length <= self.segments[1] {
            Segment::Light
        } else {
            Segment::Heavy
        }
    }

    /// Returns these settings with the keys of a variant; says what is wrong with those.
    pub fn varied(&self, when: &WhenSettings) -> Result<Self, String> {
        let base = Self { when: Vec::new(), ..self.clone() };
        let mut tree = serde_json::to_value(&base).map_err(|error| error.to_string())?;
        if let Some(keys) = tree.as_object_mut() {
            if when.then.contains_key("when") {
                return Err("`when` inside `then`: list both variants side by side".into());
            }
            keys.extend(when.then.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        let varied: Self = serde_json::from_value(tree).map_err(|error| error.to_string())?;
        match varied.own_faults().first() {
            Some(fault) => Err(format!("`{}` {}", fault.field, fault.problem)),
            None => Ok(varied),
        }
    }

    /// Lists every impossible value.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = self.own_faults();
        faults.extend(Fault::unless(self.when.len() <= MAX_PARTS, "when", || {
            format!("must be at most {MAX_PARTS}, are {}", self.when.len())
        }));
        for (place, when) in self.when.iter().enumerate() {
            let problem = self.varied(when).err();
            faults.extend(problem.map(|problem| Fault {
                field: "when",
                problem: format!("number {}: {problem}", place + 1),
            }));
            faults.extend(Fault::unless(
                when.segment.is_some() || !when.context.is_empty(),
                "when",
                || {
                    format!(
                        "number {} fits every request: give it a segment or a context",
                        place + 1
                    )
                },
            ));
        }
        faults
    }

    fn own_faults(&self) -> Vec<Fault> {
        let part = |field, value: f32| {
            Fault::unless((0.0..=1.0).contains(&value), field, || {
                format!("must be 0 to 1, is {value}")
            })
        };
        let most = |field, n: usize| {
            Fault::unless(n <= MAX_PARTS, field, || format!("must be at most {MAX_PARTS}, are {n}"))
        };
        let names: BTreeSet<&str> =
            self.sources.iter().map(|source| source.from.as_str()).collect();
        let mut faults: Vec<Fault> = [
            part("same_text", self.same_text),
            part("freshness", self.freshness),
            part("popularity_discount", self.popularity_discount),
            part("explore", self.explore),
            most("sources", self.sources.len()),
            most("rules", self.rules.len()),
            Fault::unless(names.len() == self.sources.len(), "sources", || {
                "names a source twice".into()
            }),
            Fault::unless(self.segments[0] < self.segments[1], "segments", || {
                format!("must rise, is {:?}", self.segments)
            }),
            Fault::unless(
                self.combine == Combine::Learned || !self.sources.is_empty(),
                "combine",
                || "combines sources, and there are none: list them, or take `learned`".into(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        for source in &self.sources {
            let n = (1..=MAX_CANDIDATES).contains(&source.n);
            faults.extend(Fault::unless(n, "sources", || {
                format!("{}: n must be 1 to {MAX_CANDIDATES}, is {}", source.from, source.n)
            }));
            let weight = (0.0..=1000.0).contains(&source.weight);
            faults.extend(Fault::unless(weight, "sources", || {
                format!("{}: weight must be 0 to 1000, is {}", source.from, source.weight)
            }));
        }
        faults.extend(super::rules::faults(&self.rules));
        faults.extend(self.llm.faults());
        faults
    }
}
