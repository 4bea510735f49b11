//! What an item's vector is made of: a vector of its own, a learnt projection of its text, or both.
//!
//! Of an item with features f of its text, [`Adapter`] makes `t`; with `e: [items, own]` learnt row by row, its vector is
//! `v = e + t`, or side by side `v = [e ; t]`. A further product `P [e ; t]` would be a sum again, of `P_1 e` and `P_2 t`, so
//! there is none. In a step, a share of the items goes without `e`, so that the projection learns to stand alone, as it must for
//! items nobody has taken (DropoutNet: Volkovs et al. 2017).

use std::borrow::Cow;

use rayon::prelude::*;
use tastemaker_core::Vectors;

use super::Adapter;
use crate::params::{Layout, normal};
use crate::sequence::network::EMBEDDING;

/// Rows made by one task; fixed, so that nothing depends on the number of threads.
const ROWS: usize = 256;
/// Tasks whose gradients are kept apart before they are added up.
const TASKS: usize = 16;
/// Gradients that are added up by one task.
const SPAN: usize = 1 << 12;

/// Widths of the parts of a vector; where both are as wide as the vector they are added, else they stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sequence) struct Parts {
    pub(in crate::sequence) dim: usize,
    /// 0 without.
    pub(in crate::sequence) own: usize,
    /// 0 without.
    pub(in crate::sequence) text: usize,
}

/// How item vectors come about.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sequence) struct Tower {
    parts: Parts,
    adapter: Option<Adapter>,
    features: Stored,
    /// Gradients of the adapter from each of some tasks.
    partial: Vec<Vec<f32>>,
}

/// Features in an order in which those of a step mostly lie one after another.
#[derive(Clone, Debug, Default, PartialEq)]
struct Stored {
    rows: Vectors,
    /// Row of each item.
    place: Vec<u32>,
}

impl Stored {
    /// Puts the `first` items first, and then the others.
    fn new(features: &Vectors, first: &[u32]) -> Self {
        let mut place = vec![u32::MAX; features.rows()];
        (0..).zip(first).for_each(|(at, &item)| place[item as usize] = at);
        let others = place.iter_mut().filter(|at| **at == u32::MAX);
        (first.len() as u32..).zip(others).for_each(|(next, at)| *at = next);
        let mut rows = Vectors::zeros(features.rows(), features.dim());
        for (item, &at) in place.iter().enumerate() {
            rows.row_mut(at as usize).copy_from_slice(features.row(item));
        }
        Self { rows, place }
    }

    fn of(&self, item: u32) -> &[f32] {
        self.rows.row(self.place[item as usize] as usize)
    }

    /// Returns the rows of some items, copied only where they do not lie one after another.
    fn rows_of(&self, items: &[u32]) -> Cow<'_, [f32]> {
        let Some(&first) = items.first() else { return Cow::Borrowed(&[]) };
        let (start, dim) = (self.place[first as usize], self.rows.dim());
        if items.iter().zip(start..).all(|(&item, at)| self.place[item as usize] == at) {
            return Cow::Borrowed(&self.rows.flat()[start as usize * dim..][..items.len() * dim]);
        }
        let mut rows = Vec::with_capacity(items.len() * dim);
        items.iter().for_each(|&item| rows.extend_from_slice(self.of(item)));
        Cow::Owned(rows)
    }
}

impl Tower {
    /// Lays out what makes vectors of the features of all items; most steps are about all of the items `first`.
    pub(in crate::sequence) fn new(
        layout: &mut Layout,
        parts: Parts,
        experts: usize,
        (features, first): (&Vectors, &[u32]),
    ) -> Self {
        let Parts { text, .. } = parts;
        let adapter = (text > 0).then(|| Adapter::new(layout, (features.dim(), text), experts));
        let features = if text > 0 { Stored::new(features, first) } else { Stored::default() };
        Self { parts, adapter, features, partial: Vec::new() }
    }

    /// Returns the width of the features that are projected; 0 for none.
    pub(in crate::sequence) const fn n_features(&self) -> usize {
        self.features.rows.dim()
    }

    /// Returns about how many numbers it keeps beside the parameters.
    pub(in crate::sequence) fn floats(&self) -> usize {
        let partial = self.adapter.as_ref().map_or(0, |adapter| TASKS * adapter.len());
        self.features.rows.flat().len() + partial
    }

    pub(super) fn has_text(&self, item: u32) -> bool {
        self.features.of(item).iter().any(|x| x.abs() > 0.0)
    }

    /// Writes the vectors of the items `ids` to `out: [ids, dim]`. `alone` says which of them go without their own part.
    pub(in crate::sequence) fn vectors(
        &self,
        (parameters, own): (&[f32], &[f32]),
        ids: &[u32],
        alone: impl Fn(u32) -> bool + Sync,
        out: &mut Vec<f32>,
    ) {
        let Parts { dim, own: own_width, text } = self.parts;
        out.resize(ids.len() * dim, 0.0);
        out.par_chunks_mut(ROWS * dim).zip(ids.par_chunks(ROWS)).for_each(|(out, ids)| {
            match &self.adapter {
                Some(adapter) if text == dim => self.project(adapter, parameters, ids, out),
                Some(adapter) => {
                    let mut texts = vec![0.0; ids.len() * text];
                    self.project(adapter, parameters, ids, &mut texts);
                    for (out, text) in out.chunks_exact_mut(dim).zip(texts.chunks_exact(text)) {
                        let (own, part) = out.split_at_mut(own_width);
                        own.fill(0.0);
                        part.copy_from_slice(text);
                    }
                }
                None => out.fill(0.0),
            }
            if own_width > 0 {
                for (out, &id) in out.chunks_exact_mut(dim).zip(ids).filter(|(_, id)| !alone(**id))
                {
                    let own = &own[id as usize * own_width..][..own_width];
                    out.iter_mut().zip(own).for_each(|(x, own)| *x += own);
                }
            }
        });
    }

    fn project(&self, adapter: &Adapter, parameters: &[f32], ids: &[u32], texts: &mut [f32]) {
        adapter.forward(adapter.of(parameters), &self.features.rows_of(ids), texts);
    }

    /// Writes the projected texts of the items `ids` to `out: [ids, text]`.
    pub(super) fn texts(&self, parameters: &[f32], ids: &[u32], out: &mut Vec<f32>) {
        out.clear();
        let Some(adapter) = &self.adapter else { return };
        out.resize(ids.len() * adapter.width(), 0.0);
        let chunks = out.par_chunks_mut(ROWS * adapter.width()).zip(ids.par_chunks(ROWS));
        chunks.for_each(|(texts, ids)| self.project(adapter, parameters, ids, texts));
    }

    /// Adds the gradients of the adapter, and turns those of the vectors into those of the items' own parts, which it returns, one
    /// row after another.
    pub(in crate::sequence) fn backward<'a>(
        &mut self,
        parameters: &[f32],
        (ids, alone): (&[u32], impl Fn(u32) -> bool),
        d_vectors: &'a mut [f32],
        gradients: &mut [f32],
    ) -> &'a mut [f32] {
        let Parts { dim, own, text } = self.parts;
        if text == dim {
            self.backward_texts(parameters, ids, d_vectors, gradients);
        } else if text > 0 {
            let rows = d_vectors.chunks_exact(dim);
            let d_texts: Vec<f32> = rows.flat_map(|d| &d[own..]).copied().collect();
            self.backward_texts(parameters, ids, &d_texts, gradients);
            for row in 1..ids.len() {
                d_vectors.copy_within(row * dim..row * dim + own, row * own);
            }
        }
        let width = if own == 0 { dim } else { own };
        let rows = &mut d_vectors[..ids.len() * width];
        for (d, _) in rows.chunks_exact_mut(width).zip(ids).filter(|(_, id)| alone(**id)) {
            d.fill(0.0);
        }
        rows
    }

    /// Adds the gradients of the adapter that follow from those of the projected texts of `ids`: fixed chunks of rows side by side,
    /// added up in their order.
    pub(super) fn backward_texts(
        &mut self,
        parameters: &[f32],
        ids: &[u32],
        d_texts: &[f32],
        gradients: &mut [f32],
    ) {
        let Self { adapter: Some(adapter), features, partial, .. } = self else { return };
        let (parameters, gradients) = (adapter.of(parameters), adapter.of_mut(gradients));
        let width = adapter.width();
        partial.resize_with(TASKS, || vec![0.0; gradients.len()]);
        for (ids, d) in ids.chunks(TASKS * ROWS).zip(d_texts.chunks(TASKS * ROWS * width)) {
            let partial = &mut partial[..ids.len().div_ceil(ROWS)];
            let chunks = ids.par_chunks(ROWS).zip(d.par_chunks(ROWS * width));
            partial.par_iter_mut().zip(chunks).for_each(|(partial, (ids, d))| {
                partial.fill(0.0);
                adapter.backward(parameters, (&features.rows_of(ids), d), partial);
            });
            let partial = &*partial;
            gradients.par_chunks_mut(SPAN).enumerate().for_each(|(at, sum)| {
                for partial in partial {
                    let part = &partial[at * SPAN..][..sum.len()];
                    sum.iter_mut().zip(part).for_each(|(sum, g)| *sum += g);
                }
            });
        }
        adapter.backward_in_order(d_texts, gradients);
    }
}

/// Draws the items' own parts; with `text`, they begin as the leading components of their texts.
pub(in crate::sequence) fn first_own(
    n_items: usize,
    width: usize,
    text: Option<&Vectors>,
    seed: u64,
) -> Vec<f32> {
    let mut own = vec![0.0; n_items * width];
    normal(&mut own, EMBEDDING, seed, "items");
    for (row, own) in own.chunks_exact_mut(width.max(1)).enumerate() {
        let Some(text) = text.map(|text| text.row(row)) else { continue };
        let size = EMBEDDING * (text.len() as f32).sqrt();
        own.iter_mut().zip(text).for_each(|(own, x)| *own = size * x);
    }
    own
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::assert_close;

    use super::*;

    const ITEMS: usize = 7;
    const FEATURES: usize = 3;
    const KINDS: [Parts; 4] = [
        Parts { dim: 4, own: 4, text: 4 },
        Parts { dim: 4, own: 0, text: 4 },
        Parts { dim: 4, own: 3, text: 1 },
        Parts { dim: 4, own: 4, text: 0 },
    ];

    /// Features of seven items, of which the third has no text and the first, fifth and last were not taken.
    fn tower(parts: Parts, experts: usize) -> (Tower, Vec<f32>, Vec<f32>) {
        let mut features = Vectors::zeros(ITEMS, FEATURES);
        for item in (0..ITEMS).filter(|item| *item != 2) {
            let row = features.row_mut(item).iter_mut().enumerate();
            row.for_each(|(at, x)| *x = ((item * 5 + at * 3) as f32).sin());
        }
        let mut layout = Layout::default();
        layout.add("before".into(), 2, crate::params::Init::Constant(9.0));
        let tower = Tower::new(&mut layout, parts, experts, (&features, &[1, 2, 3, 5]));
        let mut parameters = layout.start(1);
        parameters.iter_mut().enumerate().for_each(|(i, x)| *x += (i as f32 * 1.7).sin());
        let own = (0..ITEMS * parts.own).map(|i| (i as f32 * 0.9).cos()).collect();
        (tower, parameters, own)
    }

    const fn is_alone(item: u32) -> bool {
        item == 3
    }

    #[test]
    fn parts_are_added_or_stand_side_by_side_and_an_item_may_go_without_its_own() {
        for parts in KINDS {
            let (tower, parameters, own) = tower(parts, 1);
            let (mut vectors, mut texts) = (Vec::new(), Vec::new());
            let ids = [5, 3, 2];
            tower.vectors((&parameters, &own), &ids, is_alone, &mut vectors);
            tower.texts(&parameters, &ids, &mut texts);
            for (row, &id) in ids.iter().enumerate() {
                for at in 0..parts.dim {
                    let own_part = at < parts.own && !is_alone(id);
                    let own = if own_part { own[id as usize * parts.own + at] } else { 0.0 };
                    let text_at = (at + parts.text).checked_sub(parts.dim);
                    let text = text_at.map_or(0.0, |at| texts[row * parts.text + at]);
                    assert_close(vectors[row * parts.dim + at], own + text, 1e-6);
                }
            }
        }
    }

    #[test]
    fn features_are_the_same_wherever_they_are_stored() {
        let (tower, ..) = tower(KINDS[0], 1);
        for ids in [&[1, 2, 3, 5][..], &[0, 4], &[3, 5, 0], &[5, 3], &[0, 1, 2, 3, 4, 5, 6], &[]] {
            let rows = tower.features.rows_of(ids);
            let want: Vec<f32> = ids
                .iter()
                .flat_map(|&id| (0..FEATURES).map(move |at| (id, at)))
                .map(|(id, at)| if id == 2 { 0.0 } else { ((id * 5 + at as u32 * 3) as f32).sin() })
                .collect();
            assert_eq!(&*rows, &want[..]);
        }
        assert!(matches!(tower.features.rows_of(&[1, 2, 3, 5]), Cow::Borrowed(_)));
        assert!(!tower.has_text(2) && tower.has_text(6));
    }

    #[test]
    fn gradients_equal_numeric_ones_for_every_kind_of_vector_and_mixture() {
        let ids: Vec<u32> = vec![0, 2, 3, 5, 6];
        for (parts, experts) in KINDS.into_iter().flat_map(|parts| [(parts, 1), (parts, 3)]) {
            let (mut tower, mut parameters, mut own) = tower(parts, experts);
            let w: Vec<f32> = (0..ids.len() * parts.dim).map(|i| (i as f32 * 1.3).cos()).collect();
            let loss = |tower: &Tower, parameters: &[f32], own: &[f32]| -> f64 {
                let mut out = Vec::new();
                tower.vectors((parameters, own), &ids, is_alone, &mut out);
                out.iter().zip(&w).map(|(v, w)| f64::from(*v) * f64::from(*w)).sum()
            };
            let (mut d, mut gradients) = (w.clone(), vec![0.0; parameters.len()]);
            let rows =
                tower.backward(&parameters, (&ids, is_alone), &mut d, &mut gradients).to_vec();
            let agree = |got: f32, above: f64, below: f64| {
                let want = ((above - below) / 1e-2) as f32;
                assert!((got - want).abs() < 2e-3 * (1.0 + want.abs()), "{parts:?}: {got} {want}");
            };
            for at in 0..parameters.len() {
                let old = parameters[at];
                let [above, below] = [5e-3, -5e-3].map(|by| {
                    parameters[at] = old + by;
                    loss(&tower, &parameters, &own)
                });
                parameters[at] = old;
                agree(gradients[at], above, below);
            }
            for at in 0..own.len() {
                let old = own[at];
                let [above, below] = [5e-3, -5e-3].map(|by| {
                    own[at] = old + by;
                    loss(&tower, &parameters, &own)
                });
                own[at] = old;
                let row = ids.iter().position(|&id| id as usize == at / parts.own);
                agree(row.map_or(0.0, |row| rows[row * parts.own + at % parts.own]), above, below);
            }
        }
    }

    #[test]
    fn many_rows_give_the_gradients_of_the_plain_sum_with_any_number_of_threads() {
        let n = TASKS * ROWS + 300;
        let mut features = Vectors::zeros(n, FEATURES);
        (0..n).for_each(|item| features.row_mut(item)[item % FEATURES] = (item as f32).sin());
        let ids: Vec<u32> = (0..n as u32).collect();
        let d: Vec<f32> = (0..n * 4).map(|i| (i as f32 * 0.3).sin()).collect();
        for experts in [1, 2] {
            let mut layout = Layout::default();
            let mut tower = Tower::new(&mut layout, KINDS[0], experts, (&features, &ids));
            let parameters = layout.start(1);
            let mut with = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut gradients = vec![0.0; parameters.len()];
                pool.install(|| tower.backward_texts(&parameters, &ids, &d, &mut gradients));
                gradients
            };
            let gradients = with(1);
            assert!(gradients == with(2) && gradients == with(3));
            if experts == 1 {
                let plain = |out: usize, at: usize| -> f64 {
                    let rows = (0..n).filter(|item| item % FEATURES == at);
                    rows.map(|i| f64::from(d[i * 4 + out]) * (i as f64).sin()).sum()
                };
                for (i, got) in gradients[..4 * FEATURES].iter().enumerate() {
                    assert_close(f64::from(*got), plain(i / FEATURES, i % FEATURES), 1e-2);
                }
            }
        }
    }
}
