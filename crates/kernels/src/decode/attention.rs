//! Attention of new tokens to those that were read before, whose keys and values are kept. Several heads of queries share one of
//! keys and values (Ainslie et al. 2023). A token's answer does not depend on those computed beside it, nor on the number of threads.

use multiversion::{multiversion, target::target_cfg_f};
use rayon::prelude::*;

use crate::exp::{exp_lane, multiply_add};

/// Numbers summed side by side.
const LANES: usize = 16;
/// Numbers of a value that are summed in registers.
const BLOCK: usize = 64;
/// Products below which one thread is faster than several.
const ALONE: usize = 1 << 15;

/// What a token attends to: the places `0..shared`, then `from..to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The end of what all attend to.
    pub shared: usize,
    /// The first place of the token's own text.
    pub from: usize,
    /// The place after the token itself.
    pub to: usize,
}

/// Keys and values of one layer, `[places, groups * dim]` each.
#[derive(Clone, Copy, Debug)]
pub struct CachedAttention<'a> {
    /// Keys.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
    /// Heads of keys and values.
    pub groups: usize,
    /// Numbers of a head.
    pub dim: usize,
}

impl CachedAttention<'_> {
    /// Writes what the tokens with `queries: [n, heads * dim]` take from their spans to `out`, of the same shape;
    /// `heads` is a multiple of `groups`.
    ///
    /// # Panics
    /// When the slices do not fill their shapes, or a span is empty or reaches beyond the places.
    pub fn attend(&self, queries: &[f32], spans: &[Span], out: &mut [f32]) {
        let row = self.groups * self.dim;
        let places = self.keys.len() / row;
        assert!(self.keys.len() == places * row && self.values.len() == places * row, "shapes fit");
        assert!(queries.len() == out.len(), "every query has an answer");
        if spans.is_empty() {
            return;
        }
        let width = out.len() / spans.len();
        assert!(width * spans.len() == out.len() && width.is_multiple_of(row), "shapes fit");
        let is_inside =
            |span: &Span| span.shared <= span.from && span.from < span.to && span.to <= places;
        assert!(spans.iter().all(is_inside), "spans lie inside the places");
        let share = width / self.groups;
        let each = |(at, (scores, out)): (usize, (&mut Vec<f32>, &mut [f32]))| {
            let (token, group) = (at / self.groups, at % self.groups);
            let queries = &queries[token * width + group * share..][..share];
            attend_group(self, (queries, group), spans[token], (scores, out));
        };
        let longest = spans.iter().map(|span| span.shared + span.to - span.from).max();
        if longest.unwrap_or(0) * out.len() < ALONE {
            let mut scores = Vec::new();
            out.chunks_exact_mut(share).enumerate().for_each(|(at, out)| {
                each((at, (&mut scores, out)));
            });
        } else {
            out.par_chunks_exact_mut(share)
                .enumerate()
                .for_each_init(Vec::new, |scores, (at, out)| each((at, (scores, out))));
        }
    }
}

/// The heads of one group for one token: softmax of the products, then the mean of the values by it.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn attend_group(
    cached: &CachedAttention<'_>,
    (queries, group): (&[f32], usize),
    span: Span,
    (scores, out): (&mut Vec<f32>, &mut [f32]),
) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let CachedAttention { groups, dim, .. } = *cached;
    let row = groups * dim;
    let part = |all: &[f32], from: usize, to: usize| -> (usize, usize) {
        debug_assert!(to * row <= all.len());
        (from * row, to * row)
    };
    let pieces = [part(cached.keys, 0, span.shared), part(cached.keys, span.from, span.to)];
    let scale = 1.0 / (dim as f32).sqrt();
    for (query, out) in queries.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
        scores.clear();
        for (from, to) in pieces {
            for key in cached.keys[from..to].chunks_exact(row) {
                scores.push(dot(fused, query, &key[group * dim..][..dim]) * scale);
            }
        }
        let sum = exponentials(fused, scores);
        let inverse = 1.0 / sum;
        let mut at = 0;
        while at < dim {
            let block = BLOCK.min(dim - at);
            let mut sums = [0.0f32; BLOCK];
            let mut weights = scores.iter();
            for (from, to) in pieces {
                // The pieces come first: a weight taken before the places have ended would be lost.
                for (value, weight) in cached.values[from..to].chunks_exact(row).zip(&mut weights) {
                    let value = &value[group * dim + at..];
                    if let Some(value) = value.first_chunk::<BLOCK>()
                        && block == BLOCK
                    {
                        for (sum, x) in sums.iter_mut().zip(value) {
                            *sum = multiply_add(fused, *weight, *x, *sum);
                        }
                    } else {
                        for (sum, x) in sums[..block].iter_mut().zip(value) {
                            *sum = multiply_add(fused, *weight, *x, *sum);
                        }
                    }
                }
            }
            for (out, sum) in out[at..at + block].iter_mut().zip(sums) {
                *out = sum * inverse;
            }
            at += block;
        }
    }
}

#[inline(always)]
fn dot(fused: bool, a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = multiply_add(fused, *a, *b, *sum);
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    a_rest.iter().zip(b_rest).fold(sums[0], |sum, (a, b)| multiply_add(fused, *a, *b, sum))
}

/// Replaces scores by `e^(score - greatest)` and returns their sum.
#[inline(always)]
fn exponentials(fused: bool, scores: &mut [f32]) -> f32 {
    let greatest = scores.iter().fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m });
    let (chunks, tail) = scores.as_chunks_mut::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *x = exp_lane(fused, *x - greatest);
            *sum += *x;
        }
    }
    for (sum, x) in sums.iter_mut().zip(tail) {
        *x = exp_lane(fused, *x - greatest);
        *sum += *x;
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, step: f32) -> Vec<f32> {
        (1..=n).map(|i| (i as f32 * step).sin()).collect()
    }

    fn naive(cached: &CachedAttention<'_>, queries: &[f32], heads: usize, span: Span) -> Vec<f64> {
        let CachedAttention { keys, values, groups, dim } = *cached;
        let places: Vec<usize> = (0..span.shared).chain(span.from..span.to).collect();
        let mut out = Vec::new();
        for head in 0..heads {
            let group = head / (heads / groups);
            let at = |all: &[f32], place: usize, d: usize| {
                f64::from(all[place * groups * dim + group * dim + d])
            };
            let score = |place: usize| {
                let dot = |d| f64::from(queries[head * dim + d]) * at(keys, place, d);
                ((0..dim).map(dot).sum::<f64>() / (dim as f64).sqrt()).exp()
            };
            let weights: Vec<f64> = places.iter().map(|&place| score(place)).collect();
            let sum: f64 = weights.iter().sum();
            for d in 0..dim {
                let mix = weights.iter().zip(&places).map(|(w, &place)| w * at(values, place, d));
                out.push(mix.sum::<f64>() / sum);
            }
        }
        out
    }

    #[test]
    fn equals_the_definition_for_shared_heads_and_gaps() {
        for (heads, groups, dim) in [(1, 1, 1), (4, 2, 6), (14, 2, 64), (3, 3, 80), (8, 1, 128)] {
            let places = 21;
            let (keys, values) =
                (numbers(places * groups * dim, 0.31), numbers(places * groups * dim, 0.77));
            let cached = CachedAttention { keys: &keys, values: &values, groups, dim };
            let spans = [
                Span { shared: 0, from: 0, to: 1 },
                Span { shared: 0, from: 0, to: 21 },
                Span { shared: 5, from: 9, to: 13 },
                Span { shared: 18, from: 20, to: 21 },
            ];
            let width = heads * dim;
            let queries = numbers(spans.len() * width, 0.13);
            let mut out = vec![f32::NAN; queries.len()];
            cached.attend(&queries, &spans, &mut out);
            for (at, span) in spans.iter().enumerate() {
                let queries = &queries[at * width..][..width];
                let want = naive(&cached, queries, heads, *span);
                for (x, want) in out[at * width..].iter().zip(want) {
                    assert!((f64::from(*x) - want).abs() < 1e-5, "{heads} {dim}: {x} {want}");
                }
                // Alone, and without the gap, to the bit.
                let mut alone = vec![0.0; width];
                let take = |all: &[f32]| {
                    let row = groups * dim;
                    [&all[..span.shared * row], &all[span.from * row..span.to * row]].concat()
                };
                let (keys, values) = (take(&keys), take(&values));
                let cached = CachedAttention { keys: &keys, values: &values, groups, dim };
                let to = span.shared + span.to - span.from;
                cached.attend(queries, &[Span { shared: 0, from: 0, to }], &mut alone);
                assert!(alone == out[at * width..][..width]);
            }
        }
    }
}
