//! Takes heads or layers from a language model and tells what that gains and costs: size, speed, likeness to the vectors of the whole
//! model, and lists by text-kNN. A part of the texts says what goes; likeness is told of the others.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tastemaker_core::{Clock, Progress};
use tastemaker_text::{Aside, BertSettings, Cut, Precision, PrunedLayer};

use super::material::{Material, Read, change, cosines, is_empty};
use crate::config::Loaded;
use crate::export::TextSource;
use crate::reading::Reading;
use crate::texts::language_model;
use crate::{Error, Places};

/// Texts by which it is chosen what goes, and at most this part of all that have content.
const SAMPLE: usize = 128;
const PART: usize = 2;

/// What to prune, and with what at hand.
#[derive(Clone, Copy)]
pub struct Prune<'a> {
    /// Settings: encoder, template, limit, split.
    pub loaded: &'a Loaded,
    /// The texts; where they are those of a data set, its users' lists are measured too.
    pub source: TextSource<'a>,
    /// What is to go.
    pub cut: Cut,
    /// The folder to write; it is not there yet.
    pub out: &'a Path,
    /// Where weights lie.
    pub places: &'a Places,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Is told of progress.
    pub progress: &'a dyn Progress,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PruneReport {
    /// The encoder.
    pub encoder: String,
    /// The folder that was written.
    pub folder: PathBuf,
    /// Texts that were encoded.
    pub texts: usize,
    /// Those by which it was chosen what goes.
    pub sample: usize,
    /// Those that the cosines are of.
    pub held_out: usize,
    /// Threads that encoded.
    pub threads: usize,
    /// How lists were measured; `None` without a data set.
    pub protocol: Option<String>,
    /// The layers of the model that was read.
    pub layers: Vec<PrunedLayer>,
    /// The whole model.
    pub before: ModelSide,
    /// The pruned one.
    pub after: ModelSide,
    /// Mean cosine of the vectors of held-out texts to those of the whole model.
    pub cosine_mean: f64,
    /// The least of them.
    pub cosine_least: f64,
    /// How much of NDCG@10 is gained or lost.
    pub ndcg_change: Option<f64>,
}

/// A model, before or after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelSide {
    /// Layers.
    pub layers: usize,
    /// Heads of all layers.
    pub heads: usize,
    /// Numbers of all tensors.
    pub parameters: u64,
    /// Bytes of the weights files.
    pub bytes: u64,
    /// Texts a second, on all threads.
    pub texts_per_second: f64,
    /// NDCG@10 of text-kNN.
    pub ndcg: Option<f64>,
}

impl Prune<'_> {
    /// Runs it. The folder is written whole or not at all.
    ///
    /// # Errors
    /// When there are no two texts with content, more is to go than can, the encoder is no BERT that can be opened, the folder is
    /// there, or text-kNN cannot be measured on the data.
    pub fn run(&self) -> Result<PruneReport, Error> {
        let aside = Aside::new(self.out)?;
        let Self { loaded, source, clock, progress, .. } = *self;
        let (text, material) = (&loaded.config.text, Material { loaded, source, clock, progress });
        let all = material.texts()?;
        let borrowed: Vec<&str> = all.iter().map(String::as_str).collect();
        let (sample, held_out) = divide(&borrowed)?;
        let folder = language_model(&text.encoder, self.places, progress)?;
        let reading = Reading::of(text, &folder)?;
        let settings = BertSettings {
            max_tokens: (text.max_tokens > 0).then_some(text.max_tokens),
            ..BertSettings::default()
        };
        let by: Vec<String> =
            sample.iter().map(|&row| format!("{}{}", reading.prefix, all[row])).collect();
        let by: Vec<&str> = by.iter().map(String::as_str).collect();
        let pruned = tastemaker_text::prune(&folder, &settings, self.cut, &by, progress)?;
        pruned.write(&aside)?;
        let layers = pruned.layers().to_vec();
        drop(pruned);
        let read = |folder: &Path| {
            let encoder = reading.open(folder, (text.max_tokens, Precision::F32))?;
            material.read(&*encoder, &borrowed)
        };
        let (whole, part) = (read(&folder)?, read(aside.path())?);
        let held_out_rows = held_out.iter().copied();
        let (cosine_mean, cosine_least) = cosines(&whole.vectors, &part.vectors, held_out_rows);
        let side = |folder: &Path, read: &Read, (layers, heads)| {
            let facts = tastemaker_text::inspect(folder)?;
            Ok::<_, Error>(ModelSide {
                layers,
                heads,
                parameters: facts.parameters,
                bytes: facts.bytes,
                texts_per_second: read.texts_per_second,
                ndcg: read.ndcg,
            })
        };
        let heads = |of: fn(&PrunedLayer) -> usize| layers.iter().map(of).sum::<usize>();
        let kept = layers.iter().filter(|layer| layer.kept).count();
        let before = side(&folder, &whole, (layers.len(), heads(|layer| layer.heads_before)))?;
        let after = side(aside.path(), &part, (kept, heads(|layer| layer.heads)))?;
        aside.keep()?;
        Ok(PruneReport {
            encoder: text.encoder.clone(),
            folder: self.out.to_owned(),
            texts: all.len(),
            sample: sample.len(),
            held_out: held_out.len(),
            threads: rayon::current_num_threads(),
            protocol: material.protocol(),
            cosine_mean,
            cosine_least,
            ndcg_change: change(part.ndcg, whole.ndcg),
            layers,
            before,
            after,
        })
    }
}

/// Divides the texts with content into those to choose by, spread evenly, and the others.
fn divide(texts: &[&str]) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let full: Vec<usize> = (0..texts.len()).filter(|&row| !is_empty(texts[row])).collect();
    let n = SAMPLE.min(full.len() / PART);
    if n == 0 {
        let problem =
            "two with content are needed: one to choose by and one to judge by".to_owned();
        return Err(tastemaker_text::Error::Setting { field: "texts", problem }.into());
    }
    let sample: Vec<usize> = (0..n).map(|i| full[i * full.len() / n]).collect();
    let others = full.into_iter().filter(|row| sample.binary_search(row).is_err()).collect();
    Ok((sample, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_divided_evenly_and_none_is_on_both_sides() {
        let (sample, others) = divide(&["a", " ", "b", "c", "d", "e"]).unwrap();
        assert_eq!((sample, others), (vec![0, 3], vec![2, 4, 5]));
        let many = vec!["text"; 1000];
        let (sample, others) = divide(&many).unwrap();
        assert_eq!((sample.len(), others.len()), (128, 872));
        assert!(sample.iter().all(|row| !others.contains(row)) && sample[127] > 980);
        assert!(divide(&["a", ""]).is_err());
    }
}
