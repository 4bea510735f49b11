//! LoRA in PEFT's form: `adapter_config.json`, and in `adapter_model.safetensors` for every matrix
//! `base_model.model.PATH.lora_A.weight: [rank, inputs]` and `….lora_B.weight: [outputs, rank]`, with `W + (alpha / rank) B A` meant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use tastemaker_kernels::{View, product};

use crate::Error;
use crate::bert::architecture::Architecture;
use crate::bert::config::{JSON_LIMIT, parse, read_limited};
use crate::bert::extras::{PEFT_CONFIG, PEFT_WEIGHTS, pretty, safetensors_bytes};
use crate::bert::weights::Weights;

/// What stands before the names of all tensors.
const ROOT: &str = "base_model.model.";
const A: &str = ".lora_A.weight";
const B: &str = ".lora_B.weight";
/// Highest rank that is read.
const MAX_RANK: usize = 4096;

/// The two matrices beside one.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraPair {
    /// Name of the matrix without `.weight`; BERT's own while tuning, the file's in a file.
    pub name: String,
    /// `[rank, inputs]`.
    pub a: Vec<f32>,
    /// `[outputs, rank]`.
    pub b: Vec<f32>,
}

/// What LoRA learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Columns of `a`'s transposed and of `b`.
    pub rank: usize,
    /// What products are multiplied with.
    pub scale: f32,
    /// One for every matrix.
    pub pairs: Vec<LoraPair>,
}

#[derive(Deserialize)]
struct Config {
    peft_type: String,
    r: Option<usize>,
    lora_alpha: Option<f32>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    bias: Option<String>,
    modules_to_save: Option<Vec<String>>,
    rank_pattern: Option<BTreeMap<String, Value>>,
    alpha_pattern: Option<BTreeMap<String, Value>>,
}

impl Lora {
    /// Adds a pair's product to its matrix.
    pub(super) fn add(&self, pair: &LoraPair, matrix: &mut [f32]) {
        let (outputs, inputs) = (pair.b.len() / self.rank, pair.a.len() / self.rank);
        let (a, b) = (View::rows(&pair.a, inputs), View::rows(&pair.b, self.rank));
        product((outputs, inputs, self.rank), (self.scale, b, a), 1.0, (matrix, inputs));
    }

    /// Returns the two files in `folder`, by name; `base` says what it was learnt on.
    pub(crate) fn files(
        &self,
        folder: &str,
        (architecture, base): (Architecture, &str),
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let (mut tensors, mut targets) = (Vec::new(), BTreeSet::new());
        for LoraPair { name, a, b } in &self.pairs {
            let name = architecture.tensor(&format!("{name}.weight")).into_owned();
            let name = name.strip_suffix(".weight").unwrap_or(&name);
            let target = name.split_once(".layer.").and_then(|(_, rest)| rest.split_once('.'));
            targets.extend(target.map(|(_, part)| part.replace('.', "\\.")));
            let (outputs, inputs) = (b.len() / self.rank, a.len() / self.rank);
            tensors.push((format!("{ROOT}{name}{A}"), vec![self.rank, inputs], a.clone()));
            tensors.push((format!("{ROOT}{name}{B}"), vec![outputs, self.rank], b.clone()));
        }
        // As one pattern: a list would take `output.dense` for `attention.output.dense`, too.
        let targets: Vec<String> = targets.into_iter().collect();
        let config = json!({
            "peft_type": "LORA", "task_type": "FEATURE_EXTRACTION", "inference_mode": true,
            "base_model_name_or_path": base, "r": self.rank,
            "lora_alpha": self.scale * self.rank as f32, "lora_dropout": 0.0, "bias": "none",
            "fan_in_fan_out": false, "use_rslora": false, "use_dora": false, "revision": Value::Null,
            "target_modules": format!(".*\\.layer\\.\\d+\\.({})", targets.join("|")),
        });
        let name = format!("{folder}/{PEFT_WEIGHTS}");
        let bytes = safetensors_bytes(Path::new(&name), &tensors)?;
        Ok(vec![(format!("{folder}/{PEFT_CONFIG}"), pretty(&config)), (name, bytes)])
    }

    /// Reads a folder; names are as in its file.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(PEFT_CONFIG);
        let config: Config = parse(&path, &read_limited(&path, JSON_LIMIT)?)?;
        config.check(&path)?;
        let fault = |why: String| Error::Config { path: path.clone(), why };
        let rank = config.r.filter(|rank| (1..=MAX_RANK).contains(rank));
        let rank = rank.ok_or_else(|| fault(format!("`r` must be between 1 and {MAX_RANK}")))?;
        let alpha = config.lora_alpha.filter(|alpha| alpha.is_finite());
        let alpha = alpha.ok_or_else(|| fault("`lora_alpha` must be a number".to_owned()))?;
        let over = if config.use_rslora { (rank as f32).sqrt() } else { rank as f32 };
        let file = Weights::open_file(&folder.join(PEFT_WEIGHTS), Architecture::Bert)?;
        let mut pairs = Vec::new();
        for (full, _, shape) in file.tensors() {
            let Some(name) = full.strip_suffix(A) else {
                if full.ends_with(B) {
                    continue;
                }
                let (path, field) = (folder.join(PEFT_WEIGHTS), "tensor");
                let (found, supported) = (format!("`{full}`"), "`lora_A` and `lora_B` of matrices");
                return Err(Error::Unsupported { path, field, found, supported });
            };
            let b = format!("{name}{B}");
            let outputs = *file.shape(&b)?.first().unwrap_or(&0);
            let inputs = *shape.last().unwrap_or(&0);
            pairs.push(LoraPair {
                name: name.strip_prefix(ROOT).unwrap_or(name).to_owned(),
                a: file.take(full, &[rank, inputs])?,
                b: file.take(&b, &[outputs, rank])?,
            });
        }
        if pairs.is_empty() {
            return Err(Error::Weights {
                path: folder.join(PEFT_WEIGHTS),
                why: "it holds no `lora_A` tensor".to_owned(),
            });
        }
        Ok(Self { rank, scale: alpha / over, pairs })
    }
}

impl Config {
    /// Refuses what means another sum than `W + (alpha / rank) B A`.
    fn check(&self, path: &Path) -> Result<(), Error> {
        let refuse = |field, found: String, supported| {
            Err(Error::Unsupported { path: path.to_owned(), field, found, supported })
        };
        if self.peft_type != "LORA" {
            return refuse(
                "peft_type",
                format!("`{}`", self.peft_type),
                "`LORA` and `PREFIX_TUNING`",
            );
        }
        for (field, is_set) in
            [("use_dora", self.use_dora), ("fan_in_fan_out", self.fan_in_fan_out)]
        {
            if is_set {
                return refuse(field, "`true`".to_owned(), "`false`");
            }
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| *bias != "none") {
            return refuse("bias", format!("`{bias}`"), "`none`");
        }
        if let Some(modules) = self.modules_to_save.as_ref().filter(|modules| !modules.is_empty()) {
            return refuse("modules_to_save", modules.join(", "), "none");
        }
        for (field, pattern) in
            [("rank_pattern", &self.rank_pattern), ("alpha_pattern", &self.alpha_pattern)]
        {
            if pattern.as_ref().is_some_and(|pattern| !pattern.is_empty()) {
                return refuse(field, "a pattern".to_owned(), "one for all matrices");
            }
        }
        Ok(())
    }
}
