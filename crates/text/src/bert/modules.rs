//! What follows the transformer in a folder of sentence-transformers: `modules.json`, pooling, dense layers.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use tastemaker_kernels::{LinearScratch, LinearWeights, Then, WeightFormat};

use super::architecture::Architecture;
use super::config::{JSON_LIMIT, MAX_WIDTH};
use super::config::{Pooling, optional, parse, read_limited};
use super::weights::Weights;
use crate::Error;
use crate::cache::Digest;

/// Most dense layers that are read.
const MAX_DENSE: usize = 4;

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PoolingConfig {
    pooling_mode: Option<serde_json::Value>,
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_lasttoken: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_weightedmean_tokens: bool,
    include_prompt: Option<bool>,
}

#[derive(Deserialize)]
struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    activation_function: String,
}

const fn yes() -> bool {
    true
}

/// What follows the transformer, in its order: pooling, dense layers. That vectors are scaled in the end is for the settings to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modules {
    pub(crate) pooling: Pooling,
    /// Folders of dense layers.
    pub(crate) dense: Vec<PathBuf>,
}

impl Modules {
    /// Reads what the folder says; mean pooling where it says nothing.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("modules.json");
        let Some(modules) = optional::<Vec<Module>>(&path)? else {
            let pooling = pooling(&folder.join("1_Pooling/config.json"))?;
            return Ok(Self { pooling, dense: Vec::new() });
        };
        let refuse = |field, found: String, supported| {
            Err(Error::Unsupported { path: path.clone(), field, found, supported })
        };
        let mut found = Self { pooling: Pooling::Mean, dense: Vec::new() };
        // In this order alone does what follows give the vectors that Python gives.
        let mut last = "";
        for module in &modules {
            let place = Path::new(&module.path);
            if place.components().any(|part| !matches!(part, Component::Normal(_))) {
                return refuse("path", format!("`{}`", module.path), "a folder below its own");
            }
            let kind = module.kind.rsplit('.').next().unwrap_or_default();
            let place = folder.join(place);
            match (last, kind) {
                ("", "Transformer") if module.path.is_empty() => {}
                ("", "Transformer") => {
                    return refuse(
                        "path",
                        format!("`{}`", module.path),
                        "a transformer in the folder itself",
                    );
                }
                ("Transformer", "Pooling") => found.pooling = pooling(&place.join("config.json"))?,
                ("Pooling" | "Dense", "Dense") if found.dense.len() < MAX_DENSE => {
                    found.dense.push(place);
                }
                ("Pooling" | "Dense", "Normalize") => {}
                _ => {
                    let after =
                        if last.is_empty() { String::new() } else { format!(" after `{last}`") };
                    let supported =
                        "`Transformer`, `Pooling`, up to 4 `Dense` and `Normalize`, in this order,";
                    return refuse("type", format!("`{kind}`{after}"), supported);
                }
            }
            last = kind;
        }
        Ok(found)
    }
}

/// Reads how vectors of tokens become one.
fn pooling(path: &Path) -> Result<Pooling, Error> {
    let Some(config) = optional::<PoolingConfig>(path)? else { return Ok(Pooling::Mean) };
    let refuse = |field, found: String, supported| {
        Err(Error::Unsupported { path: path.to_owned(), field, found, supported })
    };
    if config.include_prompt == Some(false) {
        return refuse("include_prompt", "`false`".to_owned(), "`true`");
    }
    let flags = [
        (config.pooling_mode_cls_token, "cls"),
        (config.pooling_mode_mean_tokens, "mean"),
        (config.pooling_mode_max_tokens, "max"),
        (config.pooling_mode_lasttoken, "lasttoken"),
        (config.pooling_mode_mean_sqrt_len_tokens, "mean_sqrt_len_tokens"),
        (config.pooling_mode_weightedmean_tokens, "weightedmean"),
    ];
    let flags: Vec<&str> =
        flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
    let said = match &config.pooling_mode {
        Some(serde_json::Value::String(name)) => name.clone(),
        Some(other) => other.to_string(),
        None => flags.join(" and "),
    };
    match said.as_str() {
        "mean" => Ok(Pooling::Mean),
        "cls" => Ok(Pooling::Cls),
        "max" => Ok(Pooling::Max),
        "lasttoken" => Ok(Pooling::Last),
        other => {
            let found = if other.is_empty() { "missing".to_owned() } else { format!("`{other}`") };
            refuse("pooling_mode", found, "one of `mean`, `cls`, `max` and `lasttoken`")
        }
    }
}

/// A dense layer behind the pooling: `y = a(W x + b)`, `a` the identity or tanh.
pub(crate) struct Dense {
    weights: LinearWeights,
    is_tanh: bool,
}

impl Dense {
    /// Reads the layers, the first `width` numbers wide; returns the width of the last one's output, too.
    pub(crate) fn load_all(
        folders: &[PathBuf],
        mut width: usize,
        digest: &mut Digest,
    ) -> Result<(Vec<Self>, usize), Error> {
        let mut all = Vec::new();
        for folder in folders {
            let path = folder.join("config.json");
            let bytes = read_limited(&path, JSON_LIMIT)?;
            let config: DenseConfig = parse(&path, &bytes)?;
            let (from, to) = (config.in_features, config.out_features);
            if from != width || !(1..=MAX_WIDTH).contains(&to) {
                let why =
                    format!("its layer is {from} to {to} numbers wide, what comes in {width}");
                return Err(Error::Config { path, why });
            }
            let is_tanh = match config.activation_function.rsplit('.').next() {
                Some("Tanh") => true,
                Some("Identity") => false,
                _ => {
                    let found = format!("`{}`", config.activation_function);
                    let (field, supported) = ("activation_function", "`Tanh` or `Identity`");
                    return Err(Error::Unsupported { path, field, found, supported });
                }
            };
            let file = Weights::open(folder, Architecture::Bert)?;
            digest.bytes(&bytes);
            file.digest(digest)?;
            let rows = file.take("linear.weight", &[to, from])?;
            let bias = if config.bias { file.take("linear.bias", &[to])? } else { vec![0.0; to] };
            let weights = LinearWeights::new(&rows, bias, WeightFormat::Single);
            all.push(Self { weights, is_tanh });
            width = to;
        }
        Ok((all, width))
    }

    /// Returns the output for `rows`.
    pub(crate) fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let (from, to) = self.weights.shape();
        let mut out = vec![0.0; rows.len() / from * to];
        self.weights.apply(rows, &mut out, Then::Write, &mut LinearScratch::default());
        if self.is_tanh {
            out.iter_mut().for_each(|x| *x = x.tanh());
        }
        out
    }
}
