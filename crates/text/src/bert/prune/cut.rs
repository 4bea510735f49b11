//! Takes what a plan says out of a folder's files: rows and columns of the heads, tensors of the layers, fields of `config.json`.
//! Everything else is copied as it is. What a head gave on average goes into the bias behind it: `b + W mean`.

use std::path::Path;

use rustc_hash::FxHashMap;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value};

use super::kept::pruned_heads;
use super::plan::Plan;
use crate::Error;
use crate::bert::architecture::Architecture;
use crate::bert::config::{Description, parse};
use crate::bert::tune::plain_files;
use crate::bert::weights::Weights;

/// What becomes of a tensor.
enum Change {
    /// These rows stay, a run of them for each head.
    Rows(usize),
    /// These columns stay.
    Columns(usize),
    /// It becomes this.
    Numbers(Vec<f32>),
}

/// A tensor of the new file.
type Made = (String, Dtype, Vec<usize>, Vec<u8>);

/// Returns the files of the folder without what the plan takes, by name.
pub(super) fn cut(
    folder: &Path,
    description: &Description,
    plan: &Plan,
) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut files = plain_files(folder, &description.dense)?;
    files.retain(|(name, _)| name != "config.json");
    files.push(("config.json".to_owned(), config(folder, description, plan)?));
    files.push(("model.safetensors".to_owned(), weights(folder, description, plan)?));
    Ok(files)
}

/// Writes `config.json` with fewer layers and heads.
fn config(folder: &Path, description: &Description, plan: &Plan) -> Result<Vec<u8>, Error> {
    let Description { config, bytes, .. } = description;
    let mut fields: Map<String, Value> = parse(&folder.join("config.json"), bytes)?;
    let layers = plan.layers();
    let kept = layers.iter().map(|&layer| {
        let names = &config.heads[layer];
        plan.heads(layer).into_iter().map(|head| names[head]).collect()
    });
    let kept: Vec<Vec<usize>> = kept.collect();
    let count = match config.architecture {
        Architecture::Distil => "n_layers",
        Architecture::Bert | Architecture::Roberta => "num_hidden_layers",
    };
    fields.insert(count.to_owned(), layers.len().into());
    fields.insert("pruned_heads".to_owned(), pruned_heads(&kept, config.num_attention_heads));
    let text = serde_json::to_vec_pretty(&fields);
    Ok(text.expect("what was JSON can be written as JSON"))
}

/// Returns the bytes of one weights file.
fn weights(folder: &Path, description: &Description, plan: &Plan) -> Result<Vec<u8>, Error> {
    let path = folder.join("model.safetensors");
    let damaged = |why: safetensors::SafeTensorError| Error::Weights {
        path: path.clone(),
        why: why.to_string(),
    };
    let config = &description.config;
    let file = Weights::open(folder, config.architecture)?;
    let changes = changes(&file, description, plan)?;
    let (layers, width) = (plan.layers(), config.head_width());
    let mut made: Vec<Made> = Vec::new();
    for (name, dtype, shape) in file.tensors() {
        let (mut new_name, mut shape) = (name.to_owned(), shape.to_vec());
        if let Some((before, layer, after)) = file.layer_of(name) {
            let Some(at) = layers.iter().position(|&own| own == layer) else { continue };
            new_name = format!("{before}{at}{after}");
        }
        let (dtype, bytes) = match changes.get(name) {
            None => (dtype, file.raw(name)?),
            Some(Change::Rows(layer)) => {
                let (raw, kept) = (file.raw(name)?, plan.heads(*layer));
                let of_head = width * raw.len() / shape[0];
                shape[0] = kept.len() * width;
                (dtype, runs(&raw, raw.len(), of_head, &kept))
            }
            Some(Change::Columns(layer)) => {
                let (raw, kept) = (file.raw(name)?, plan.heads(*layer));
                let of_row = raw.len() / shape[0];
                let of_head = width * of_row / shape[1];
                shape[1] = kept.len() * width;
                (dtype, runs(&raw, of_row, of_head, &kept))
            }
            Some(Change::Numbers(numbers)) => {
                (Dtype::F32, numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
        };
        made.push((new_name, dtype, shape, bytes));
    }
    let views = made.iter().map(|(name, dtype, shape, bytes)| {
        TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    safetensors::serialize(views, file.metadata()).map_err(damaged)
}

/// Returns what becomes of the tensors of layers that lose heads, by their names in the files.
fn changes(
    file: &Weights,
    description: &Description,
    plan: &Plan,
) -> Result<FxHashMap<String, Change>, Error> {
    let config = &description.config;
    let (hidden, width) = (config.hidden_size, config.head_width());
    let mut changes = FxHashMap::default();
    for layer in plan.layers() {
        if plan.taken(layer).next().is_none() {
            continue;
        }
        let at = |part: &str| format!("encoder.layer.{layer}.attention.{part}");
        for part in ["query", "key", "value"] {
            for kind in ["weight", "bias"] {
                let name = file.name(&at(&format!("self.{part}.{kind}")));
                changes.insert(name, Change::Rows(layer));
            }
        }
        let inputs = config.heads[layer].len() * width;
        let (weight, bias) = (at("output.dense.weight"), at("output.dense.bias"));
        let rows = file.take(&weight, &[hidden, inputs])?;
        let mut sums = file.take(&bias, &[hidden])?;
        for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(inputs)) {
            for (head, mean) in plan.taken(layer) {
                let own = row[head * width..].iter().zip(mean);
                *sum += own.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() as f32;
            }
        }
        changes.insert(file.name(&weight), Change::Columns(layer));
        changes.insert(file.name(&bias), Change::Numbers(sums));
    }
    Ok(changes)
}

/// Keeps, of every `row` bytes, the runs of `run` bytes with these numbers.
fn runs(bytes: &[u8], row: usize, run: usize, kept: &[usize]) -> Vec<u8> {
    let rows = bytes.chunks_exact(row.max(1));
    rows.flat_map(|row| kept.iter().flat_map(move |&at| &row[at * run..(at + 1) * run]).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_rows_by_hand() {
        assert_eq!(
            runs(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 6, 2, &[0, 2]),
            [0, 1, 4, 5, 6, 7, 10, 11]
        );
        assert_eq!(runs(&[0, 1, 2, 3], 4, 2, &[1]), [2, 3]);
    }
}
