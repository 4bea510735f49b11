//! All settings, as plain structs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tastemaker_core::Fault;
use tastemaker_data::SplitSettings;
use tastemaker_dialog::{Language, Wording};
use tastemaker_eval as eval;
use tastemaker_neural::TuneSettings;
use tastemaker_pipeline::{FusionSettings, PipelineSettings, RerankSettings, Variety};
use tastemaker_text::{Precision, RemoteChatSettings, RemoteSettings, Summary, TfIdfSettings};

use crate::chat::ChatSettings;
use crate::lists::GraphSettings;
use crate::registry::{FUSED, Kind, Models};

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seed and threads.
    pub run: RunSettings,
    /// How item texts become vectors.
    pub text: TextSettings,
    /// What is learnt from and what is held back.
    pub split: SplitSettings,
    /// The tuning of a text encoder, for `tune`.
    pub tune: TuneSettings,
    /// Metrics, cutoffs and candidates.
    pub eval: eval::Settings,
    /// The search for settings on validation events.
    pub search: SearchSettings,
    /// The fused model.
    pub fusion: FusionSettings,
    /// The way from candidates to a list: sources, filters, rules.
    pub pipeline: PipelineSettings,
    /// The variety of lists.
    pub rerank: RerankSettings,
    /// Lists of large catalogues, read off a graph of near neighbours.
    pub graph: GraphSettings,
    /// The words of reasons.
    pub reasons: ReasonSettings,
    /// A model that writes, for `chat`.
    pub chat: ChatSettings,
    /// A model that writes behind an address. Ceilings hold for one run of the program.
    pub remote_chat: RemoteChatSettings,
    /// One block a model.
    pub models: Models,
}

/// Seed and threads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunSettings {
    /// Root of all randomness: same seed, same data, same result, for any number of threads.
    pub seed: u64,
    /// Threads to compute with; 0 = all cores.
    pub threads: usize,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { seed: 42, threads: 0 }
    }
}

/// How item texts become vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextSettings {
    /// `auto` (minilm where it can be had, else tfidf), `tfidf`, `none`, a name of `weights list`, a Hugging Face folder, a file of word
    /// vectors (.txt, .vec, .bin), or the address of a service, as in `http://localhost:8080/v1`.
    pub encoder: String,
    /// Text of an item from its fields, as in `{title}. {text}`; `auto` takes titles, words of categories and descriptions.
    pub template: String,
    /// Tokens read of each text; 0 = what the encoder allows.
    pub max_tokens: usize,
    /// What stands before the text of every item: `auto` (as the folder's `config_sentence_transformers.json` says, or `passage: ` for models
    /// named E5), else exactly this; empty for none. At most 4096 bytes. For language models.
    pub prefix: String,
    /// What stands before texts that are questions, for `encode --query`: `auto` (likewise; also BGE's), else exactly this.
    pub query_prefix: String,
    /// Windows of `max_tokens` that a language model reads of a long text, 1 to 64; their vectors are averaged by their tokens.
    pub windows: usize,
    /// Tokens that a window has in common with the next one; fewer than a window holds.
    pub overlap: usize,
    /// How texts too long for a language model are shortened before they are cut: `off`, or `textrank`, to their main sentences.
    pub summary: Summary,
    /// First numbers of a language model's vectors that are kept; 0 = all. For models trained as Matryoshka.
    pub dim: usize,
    /// What a language model multiplies: `f32`; `bf16`, four times as fast on processors with AMX; `int8`, also on those with AVX-512
    /// VNNI, and 1.7 to 2 times as fast with AVX2 alone, with vectors a little off (cosine .9994).
    pub precision: Precision,
    /// Keeps vectors on disk, so that a second run encodes nothing.
    pub cache: bool,
    /// The encoder that needs no weights.
    pub tfidf: TfIdfSettings,
    /// The encoder behind an address. Ceilings hold for one run of the program.
    pub remote: RemoteSettings,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self {
            encoder: "auto".into(),
            template: "auto".into(),
            max_tokens: 0,
            prefix: "auto".into(),
            query_prefix: "auto".into(),
            windows: 1,
            overlap: 0,
            summary: Summary::Off,
            dim: 0,
            precision: Precision::F32,
            cache: true,
            tfidf: TfIdfSettings::default(),
            remote: RemoteSettings::default(),
        }
    }
}

/// The search for settings on validation events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSettings {
    /// Searches settings on validation events; keys set by hand are never changed.
    pub enabled: bool,
    /// Validation users a choice rests on.
    pub users: usize,
    /// What `search` tries of each key, as in `models.ials.factors = [32, 64]`; `--space` comes before it.
    pub space: BTreeMap<String, Value>,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self { enabled: true, users: 4000, space: BTreeMap::new() }
    }
}

/// The words of reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReasonSettings {
    /// What users do with items, in the past: "watched", "bought", "read".
    pub took: String,
    /// What an item's text is called: "plot", "description".
    pub text: String,
    /// The language of reasons: `en`, `zh`, or `auto`: Chinese where most titles of the catalogue are.
    pub language: ReasonLanguage,
}

/// The language of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonLanguage {
    /// The one that most titles are in.
    #[default]
    Auto,
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Default for ReasonSettings {
    fn default() -> Self {
        let Wording { took, text, .. } = Wording::default();
        Self { took, text, language: ReasonLanguage::Auto }
    }
}

impl ReasonSettings {
    /// Returns them as `dialog` takes them; `titles` is the language that most titles are in.
    pub fn wording(&self, titles: Language) -> Wording {
        let language = match self.language {
            ReasonLanguage::Auto => titles,
            ReasonLanguage::En => Language::English,
            ReasonLanguage::Zh => Language::Chinese,
        };
        Wording::new(&self.took, &self.text).in_language(language)
    }
}

impl Config {
    /// Lists every impossible value with its section.
    pub fn faults(&self) -> Vec<(String, Fault)> {
        let mut all: Vec<(String, Fault)> = Vec::new();
        let mut add = |section: &str, faults: Vec<Fault>| {
            all.extend(faults.into_iter().map(|fault| (section.to_owned(), fault)));
        };
        let threads = self.run.threads;
        add(
            "run",
            Fault::unless(threads <= 1024, "threads", || {
                format!("must be at most 1024, is {threads}")
            })
            .into_iter()
            .collect(),
        );
        let users = self.search.users;
        add(
            "search",
            Fault::unless(users >= 1, "users", || "must be at least 1".into())
                .into_iter()
                .collect(),
        );
        add("text", self.text.faults());
        add("text.remote", self.text.remote.faults());
        add("chat", self.chat.faults());
        add("remote_chat", self.remote_chat.faults());
        add("split", self.split.faults());
        add("tune", self.tune.faults());
        add("eval", self.eval.faults());
        add("fusion", self.fusion.faults());
        add("fusion", self.part_faults());
        add("pipeline", self.pipeline.faults());
        add("rerank", self.rerank.faults());
        add("graph", self.graph.faults());
        for (model, fault) in self.models.faults() {
            add(&format!("models.{model}"), vec![fault]);
        }
        all
    }

    /// Tells whether texts are read for these models, or to give their lists variety.
    pub fn reads_texts(&self, models: &[String]) -> bool {
        let reads = |name: &String| {
            name == FUSED || Kind::named(name).is_some_and(|kind| self.models.reads_text(kind))
        };
        self.rerank.variety != Variety::Off || models.iter().any(reads)
    }

    /// Lists parts of the fusion that are no models, or are named twice.
    fn part_faults(&self) -> Vec<Fault> {
        let parts = &self.fusion.parts;
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let judge = |(at, name): (usize, &String)| {
            let unknown = || format!("names no model `{name}`: choose among {}", known.join(", "));
            let is_known = Fault::unless(Kind::named(name).is_some(), "parts", unknown);
            is_known.or_else(|| {
                Fault::unless(!parts[..at].contains(name), "parts", || {
                    format!("names `{name}` twice")
                })
            })
        };
        parts.iter().enumerate().filter_map(judge).collect()
    }
}
