//! Words that a model wants before a text: one for what is asked, another for what is looked through.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use tastemaker_core::{Progress, Tokens};

use crate::bert::optional;
use crate::{Encoded, Encoder, Error};

/// What BGE's English models want before a question.
const BGE_EN: &str = "Represent this sentence for searching relevant passages: ";
/// What BGE's Chinese models want before a question.
const BGE_ZH: &str = "为这个句子生成表示以用于检索相关文章：";
/// Longest prefix that is taken from a folder, in bytes.
const MAX_BYTES: usize = 4096;

/// The prefixes of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    /// Before what is asked; empty for none.
    pub query: String,
    /// Before what is looked through, such as items; empty for none.
    pub item: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SentenceTransformers {
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
}

#[derive(Deserialize)]
struct Origin {
    #[serde(rename = "_name_or_path")]
    name: Option<String>,
}

impl Prompts {
    /// Finds the prefixes of the model in a folder: those in `config_sentence_transformers.json`, else those of E5 and BGE where the
    /// folder's name, or that of the model it was made of, is one of theirs.
    ///
    /// # Errors
    /// When a file of the folder cannot be read or is damaged.
    pub fn of(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config_sentence_transformers.json");
        let config: SentenceTransformers = optional(&path)?.unwrap_or_default();
        let prompts = &config.prompts;
        let prompt = |name: &str| prompts.get(name).cloned().flatten().filter(|p| !p.is_empty());
        let common = config.default_prompt_name.as_deref().and_then(prompt);
        let query = prompt("query").or_else(|| common.clone());
        let item = ["passage", "document", "corpus"].into_iter().find_map(prompt).or(common);
        if query.is_some() || item.is_some() {
            let found = Self { query: query.unwrap_or_default(), item: item.unwrap_or_default() };
            if found.query.len().max(found.item.len()) > MAX_BYTES {
                let why = format!("a prompt is longer than {MAX_BYTES} bytes");
                return Err(Error::Config { path, why });
            }
            return Ok(found);
        }
        let origin = optional::<Origin>(&folder.join("config.json"))?.and_then(|o| o.name);
        let own = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        // As the hub's cache has it: models--ORG--NAME/snapshots/REVISION.
        let hub = folder.ancestors().nth(2).and_then(Path::file_name);
        let hub = hub.map(|name| name.to_string_lossy().into_owned());
        let hub = hub.filter(|name| name.starts_with("models--"));
        let names = [own, hub, origin].into_iter().flatten();
        Ok(names.filter_map(|name| Self::of_name(&name)).next().unwrap_or_default())
    }

    /// Knows the models that want a prefix by name.
    fn of_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let parts: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
        let has = |part: &str| parts.contains(&part);
        let of = |query: &str, item: &str| Some(Self { query: query.into(), item: item.into() });
        match () {
            () if has("e5") && !has("instruct") => of("query: ", "passage: "),
            () if has("bge") && has("en") => of(BGE_EN, ""),
            () if has("bge") && has("zh") => of(BGE_ZH, ""),
            () => None,
        }
    }
}

/// An encoder that reads the same words before every text; a text without content stays without.
pub struct Prefixed<E> {
    inner: E,
    prefix: String,
}

impl<E: Encoder> Prefixed<E> {
    /// Puts `prefix` before every text, spaces included.
    pub fn new(inner: E, prefix: &str) -> Self {
        Self { inner, prefix: prefix.to_owned() }
    }
}

impl<E: Encoder> Encoder for Prefixed<E> {
    fn id(&self) -> String {
        format!("{}/after {:?}", self.inner.id(), self.prefix)
    }

    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn tokens(&self, texts: &[&str]) -> Result<Tokens, Error> {
        self.inner.tokens(texts)
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
        let put = |text: &&str| match text.trim() {
            "" => String::new(),
            text => format!("{}{text}", self.prefix),
        };
        let texts: Vec<String> = texts.iter().map(put).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.inner.encode(&texts, progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_known_by_name() {
        let query = |name| Prompts::of_name(name).map(|found| found.query);
        for name in ["multilingual-e5-small", "models--intfloat--e5-base-v2", "intfloat/e5-large"] {
            assert_eq!(query(name).as_deref(), Some("query: "), "{name}");
        }
        assert_eq!(query("bge-small-en-v1.5").as_deref(), Some(BGE_EN));
        assert_eq!(query("BAAI/bge-base-zh-v1.5").as_deref(), Some(BGE_ZH));
        for name in ["all-MiniLM-L6-v2", "bge-m3", "multilingual-e5-large-instruct", "type5", ""] {
            assert_eq!(query(name), None, "{name}");
        }
    }
}
