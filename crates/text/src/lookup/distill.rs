//! Distills an encoder into a table of token vectors, as `Model2Vec` does (Tulkens and van Dongen 2024): every token of the vocabulary is
//! encoded alone, the vectors are reduced by principal components, and frequent tokens count less:
//! `v = a / (a + p) · PCA(encoder(token))` with the share `p` of the token (smooth inverse frequency, Arora et al. 2017).

use std::path::Path;

use rayon::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use tastemaker_core::{Progress, Vectors};
use tastemaker_kernels::{Layout, gemm, symmetric_eigen};

use super::encoder::{MODEL_TYPE, TABLE};
use crate::bert::{BertEncoder, read_tokenizer};
use crate::{Aside, Error};

/// Rows whose products are summed in one task.
const GRAM_ROWS: usize = 4096;

/// How an encoder is distilled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DistillSettings {
    /// Width of a vector, 1 up to that of the encoder.
    pub dim: usize,
    /// The `a` of `a / (a + p)`, above 0: the share from which on a token counts less than half.
    pub smoothing: f64,
}

impl Default for DistillSettings {
    fn default() -> Self {
        Self { dim: 256, smoothing: 1e-3 }
    }
}

/// A distilled table, ready to be saved.
pub struct Distilled {
    dim: usize,
    table: Vectors,
    tokenizer: Vec<u8>,
}

/// Distills the encoder in `folder`, opened as `encoder`. The n-th token of the vocabulary is given a share as 1/n (Zipf 1949), as
/// vocabularies are sorted by frequency.
pub fn distill(
    (folder, encoder): (&Path, &BertEncoder),
    settings: DistillSettings,
    progress: &dyn Progress,
) -> Result<Distilled, Error> {
    let DistillSettings { dim, smoothing } = settings;
    let most = encoder.width();
    if !(1..=most).contains(&dim) {
        return Err(Error::setting("dim", format!("must be between 1 and {most}, is {dim}")));
    }
    if !(smoothing > 0.0 && smoothing.is_finite()) {
        let problem = format!("must be above 0, is {smoothing}");
        return Err(Error::setting("smoothing", problem));
    }
    let tokenizer = read_tokenizer(&folder.join("tokenizer.json"))?;
    let tokens = encoder.each_token(progress);
    let mut table = principal(tokens, dim).ok_or(Error::Reduction { dim })?;
    let rows = table.rows();
    let total: f64 = (1..=rows).map(|rank| 1.0 / rank as f64).sum();
    for (row, rank) in (0..rows).zip(1u32..) {
        let share = 1.0 / (f64::from(rank) * total);
        let weight = (smoothing / (smoothing + share)) as f32;
        table.row_mut(row).iter_mut().for_each(|x| *x *= weight);
    }
    Ok(Distilled { dim, table, tokenizer })
}

/// Projects rows to their first `dim` principal components.
fn principal(mut rows: Vectors, dim: usize) -> Option<Vectors> {
    let (n, width) = (rows.rows(), rows.flat().len() / rows.rows().max(1));
    let mut mean = vec![0.0f64; width];
    for row in rows.flat().chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / n as f64);
    }
    for row in rows.flat_mut().chunks_exact_mut(width) {
        row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= *mean as f32);
    }
    let parts: Vec<Vec<f32>> = rows
        .flat()
        .par_chunks(GRAM_ROWS * width)
        .map(|part| {
            let mut gram = vec![0.0; width * width];
            let shape = (width, width, part.len() / width);
            gemm(shape, 1.0, (part, Layout::Transposed), (part, Layout::Plain), 0.0, &mut gram);
            gram
        })
        .collect();
    let mut gram = vec![0.0f64; width * width];
    for part in parts {
        gram.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(x));
    }
    // Eigenvectors stand in rows, the strongest last.
    let (_, directions) = symmetric_eigen(width, &gram)?;
    let directions: Vec<f32> =
        directions.chunks_exact(width).rev().take(dim).flatten().map(|x| *x as f32).collect();
    let mut reduced = Vectors::zeros(n, dim);
    let (from, to) = (rows.flat(), reduced.flat_mut());
    let chunks = to.par_chunks_mut(GRAM_ROWS * dim).zip(from.par_chunks(GRAM_ROWS * width));
    chunks.for_each(|(to, from)| {
        let shape = (from.len() / width, dim, width);
        gemm(shape, 1.0, (from, Layout::Plain), (&directions, Layout::Transposed), 0.0, to);
    });
    Some(reduced)
}

impl Distilled {
    /// Returns `(vocabulary, dim)`.
    pub fn shape(&self) -> (usize, usize) {
        (self.table.rows(), self.dim)
    }

    /// Writes the folder, to the side first; what is there is not written over.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let aside = Aside::new(folder)?;
        for (name, bytes) in self.files() {
            aside.write(name, &bytes)?;
        }
        aside.keep()
    }

    fn files(&self) -> [(&'static str, Vec<u8>); 3] {
        let config = json!({
            "model_type": MODEL_TYPE, "architectures": ["StaticModel"], "hidden_dim": self.dim, "normalize": true,
            "apply_pca": self.dim, "apply_zipf": true, "seq_length": 1_000_000,
        });
        let numbers: Vec<u8> = self.table.flat().iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![self.table.rows(), self.dim], &numbers);
        let weights = view.and_then(|view| safetensors::serialize([(TABLE, view)], None));
        [
            ("config.json", config.to_string().into_bytes()),
            ("tokenizer.json", self.tokenizer.clone()),
            ("model.safetensors", weights.expect("the table fills its shape")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principal_components_keep_distances_of_rows_in_a_plane() {
        // Points of a plane in three dimensions, away from the origin.
        let point = |a: f32, b: f32| [1.0 + a, 2.0 + b, 3.0 + a - b];
        let coordinates = [(0.0, 0.0), (1.0, 0.5), (-1.0, 2.0), (0.3, -0.7), (2.0, 2.0)];
        let flat: Vec<f32> = coordinates.iter().flat_map(|&(a, b)| point(a, b)).collect();
        let rows = Vectors::from_flat(3, flat).expect("five rows");
        let reduced = principal(rows.clone(), 2).expect("three directions");
        let distance = |v: &Vectors, a: usize, b: usize| -> f32 {
            v.row(a).iter().zip(v.row(b)).map(|(x, y)| (x - y) * (x - y)).sum()
        };
        for (a, b) in (0..5).flat_map(|a| (0..5).map(move |b| (a, b))) {
            assert!((distance(&rows, a, b) - distance(&reduced, a, b)).abs() < 1e-4);
        }
    }
}
