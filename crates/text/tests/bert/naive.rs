//! BERT written down plainly in double precision, as a yardstick.

use crate::tiny::{Sizes, Tensors};

type Matrix = Vec<Vec<f64>>;

fn numbers(tensors: &Tensors, name: &str) -> Vec<f64> {
    tensors[name].1.iter().map(|x| f64::from(*x)).collect()
}

fn linear(tensors: &Tensors, name: &str, x: &Matrix) -> Matrix {
    let (weight, bias) =
        (numbers(tensors, &format!("{name}.weight")), numbers(tensors, &format!("{name}.bias")));
    let dot = |row: &[f64], w: &[f64]| row.iter().zip(w).map(|(a, b)| a * b).sum::<f64>();
    x.iter()
        .map(|row| weight.chunks(row.len()).zip(&bias).map(|(w, b)| dot(row, w) + b).collect())
        .collect()
}

fn norm(tensors: &Tensors, name: &str, x: &mut Matrix) {
    let (gain, bias) =
        (numbers(tensors, &format!("{name}.weight")), numbers(tensors, &format!("{name}.bias")));
    for row in x {
        let n = row.len() as f64;
        let mean = row.iter().sum::<f64>() / n;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        for (i, x) in row.iter_mut().enumerate() {
            *x = (*x - mean) / (variance + 1e-12).sqrt() * gain[i] + bias[i];
        }
    }
}

fn add(x: &mut Matrix, y: &Matrix) {
    for (x, y) in x.iter_mut().flatten().zip(y.iter().flatten()) {
        *x += y;
    }
}

/// Taylor series of the error function; exact enough below 4.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..120 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    if x.abs() > 4.0 { x.signum() } else { sum * 2.0 / std::f64::consts::PI.sqrt() }
}

/// Returns the vector of every token.
pub(crate) fn forward(tensors: &Tensors, sizes: Sizes, ids: &[usize]) -> Matrix {
    let ids: Vec<(usize, usize)> = ids.iter().copied().zip(0..).collect();
    forward_at(tensors, sizes, &ids)
}

/// Returns the vector of every token; each comes with its position. Tokens have no types where there is no table of them.
pub(crate) fn forward_at(tensors: &Tensors, sizes: Sizes, ids: &[(usize, usize)]) -> Matrix {
    let hidden = sizes.hidden;
    let table = |name: &str, row: usize| {
        numbers(tensors, &format!("embeddings.{name}_embeddings.weight"))
            [row * hidden..(row + 1) * hidden]
            .to_vec()
    };
    let has_types = tensors.contains_key("embeddings.token_type_embeddings.weight");
    let types = if has_types { table("token_type", 0) } else { vec![0.0; hidden] };
    let embed = |&(id, position): &(usize, usize)| {
        let (w, p) = (table("word", id), table("position", position));
        (0..hidden).map(|i| w[i] + p[i] + types[i]).collect()
    };
    let mut x: Matrix = ids.iter().map(embed).collect();
    norm(tensors, "embeddings.LayerNorm", &mut x);
    for n in 0..sizes.layers {
        let at = |name: &str| format!("encoder.layer.{n}.{name}");
        let [q, k, v] = ["query", "key", "value"]
            .map(|part| linear(tensors, &at(&format!("attention.self.{part}")), &x));
        let dim = hidden / sizes.heads;
        let mut mixed = vec![vec![0.0; hidden]; x.len()];
        for head in (0..hidden).step_by(dim) {
            for (i, out) in mixed.iter_mut().enumerate() {
                let score = |j: usize| {
                    (head..head + dim).map(|d| q[i][d] * k[j][d]).sum::<f64>() / (dim as f64).sqrt()
                };
                let weights: Vec<f64> = (0..x.len()).map(|j| score(j).exp()).collect();
                let total: f64 = weights.iter().sum();
                for d in head..head + dim {
                    out[d] = weights.iter().zip(&v).map(|(w, v)| w / total * v[d]).sum();
                }
            }
        }
        add(&mut x, &linear(tensors, &at("attention.output.dense"), &mixed));
        norm(tensors, &at("attention.output.LayerNorm"), &mut x);
        let mut inner = linear(tensors, &at("intermediate.dense"), &x);
        inner.iter_mut().flatten().for_each(|x| *x *= 0.5 * (1.0 + erf(*x / 2f64.sqrt())));
        add(&mut x, &linear(tensors, &at("output.dense"), &inner));
        norm(tensors, &at("output.LayerNorm"), &mut x);
    }
    x
}
