//! From what is trained to the encoder's weights, and from their gradients back.
//!
//! LoRA (Hu et al. 2022): `W = W₀ + (α / r) B A` with `A: [r, inputs]` drawn at random and `B: [outputs, r]` at 0. The product is
//! added to the matrix before every step, so a text costs no more than without it, and the gradients are
//! `dB = (α / r) dW Aᵀ` and `dA = (α / r) Bᵀ dW`.

use std::ops::Range;

use rayon::prelude::*;
use tastemaker_kernels::{View, product};
use tastemaker_text::{Lora, LoraPair, NamedTensor, Wanted};

use super::settings::{TuneSettings, What};
use crate::params::{Init, Layout, Span};

/// The two matrices beside one.
pub(super) struct Pair {
    /// Where the matrix lies among the weights.
    weight: Range<usize>,
    /// Where its gradient lies.
    gradient: Range<usize>,
    name: String,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) a: Span,
    pub(super) b: Span,
}

/// What is trained, and what it is to the weights.
pub(super) struct Adaptation {
    wanted: Wanted,
    layout: Layout,
    /// For LoRA; otherwise the wanted tensors themselves are trained.
    pairs: Vec<Pair>,
    /// The wanted tensors among the weights, in their order.
    direct: Vec<Range<usize>>,
    rank: usize,
    scale: f32,
}

impl Adaptation {
    pub(super) fn new(settings: &TuneSettings, tensors: &[NamedTensor], n_layers: usize) -> Self {
        let lowest = n_layers.saturating_sub(settings.layers);
        let is_wanted = |tensor: &NamedTensor| match settings.what {
            What::Lora => settings.targets.iter().any(|target| target.part() == tensor.part()),
            What::Bias => tensor.name.ends_with(".bias"),
            What::Top => tensor.layer.is_some_and(|layer| layer >= lowest),
            What::Full => true,
            What::Adapter => tensor.part().contains(".adapter."),
            What::Prefix => tensor.part().starts_with("attention.prefix."),
            What::Head => false,
        };
        let wanted = Wanted::new(tensors, is_wanted);
        let chosen =
            || tensors.iter().enumerate().filter_map(|(at, t)| Some((t, wanted.place(at)?)));
        let (rank, mut layout) = (settings.rank, Layout::default());
        let (mut pairs, mut direct) = (Vec::new(), Vec::new());
        if settings.what == What::Lora {
            for (tensor, gradient) in chosen() {
                let [outputs, inputs] = tensor.shape[..] else { continue };
                // As deviating as the uniform draw that PEFT makes.
                let spread = Init::Normal((1.0 / (3.0 * inputs as f32)).sqrt());
                let a = layout.add(format!("{}.lora_a", tensor.name), rank * inputs, spread);
                let none = Init::Constant(0.0);
                let b = layout.add(format!("{}.lora_b", tensor.name), outputs * rank, none);
                let weight = tensor.range.clone();
                let name = tensor.name.trim_end_matches(".weight").to_owned();
                pairs.push(Pair { weight, gradient, name, outputs, inputs, a, b });
            }
        } else {
            direct.extend(chosen().map(|(tensor, _)| tensor.range.clone()));
        }
        Self { wanted, layout, pairs, direct, rank, scale: settings.alpha / rank as f32 }
    }

    pub(super) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Returns what is trained, as it starts.
    pub(super) fn start(&self, weights: &[f32], seed: u64) -> Vec<f32> {
        if self.direct.is_empty() {
            return self.layout.start(seed);
        }
        self.direct.iter().flat_map(|range| &weights[range.clone()]).copied().collect()
    }

    /// Writes the weights that follow from what is trained; `base` is what they were before.
    pub(super) fn apply(&self, base: &[f32], trained: &[f32], weights: &mut [f32]) {
        let mut rest = trained;
        for range in &self.direct {
            let (own, after) = rest.split_at(range.len());
            weights[range.clone()].copy_from_slice(own);
            rest = after;
        }
        for Pair { weight, outputs, inputs, a, b, .. } in &self.pairs {
            let to = &mut weights[weight.clone()];
            to.copy_from_slice(&base[weight.clone()]);
            let (a, b) = (View::rows(a.of(trained), *inputs), View::rows(b.of(trained), self.rank));
            product((*outputs, *inputs, self.rank), (self.scale, b, a), 1.0, (to, *inputs));
        }
    }

    /// Returns the matrices that LoRA stands beside.
    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Lists the products of a matrix that are not 0.
    fn products(&self, pair: &Pair, trained: &[f32]) -> Vec<usize> {
        let b = pair.b.of(trained);
        let is_there =
            |&column: &usize| b.iter().skip(column).step_by(self.rank).any(|x| *x != 0.0);
        (0..self.rank).filter(is_there).collect()
    }

    /// Returns the mean rank of what LoRA learnt.
    pub(super) fn mean_rank(&self, trained: &[f32]) -> f64 {
        let all: usize = self.pairs.iter().map(|pair| self.products(pair, trained).len()).sum();
        all as f64 / self.pairs.len().max(1) as f64
    }

    /// Returns what LoRA learnt; with `narrow` as narrow as the matrix with most products that are not 0.
    pub(super) fn lora(&self, trained: &[f32], narrow: bool) -> Option<Lora> {
        let kept = |pair| {
            if narrow { self.products(pair, trained) } else { (0..self.rank).collect() }
        };
        let products: Vec<Vec<usize>> = self.pairs.iter().map(kept).collect();
        let rank = products.iter().map(Vec::len).max()?.max(1);
        let pair = |(Pair { name, outputs, inputs, a, b, .. }, products): (&Pair, &Vec<usize>)| {
            let (from_a, from_b) = (a.of(trained), b.of(trained));
            let (mut a, mut b) = (vec![0.0; rank * inputs], vec![0.0; outputs * rank]);
            for (to, &from) in products.iter().enumerate() {
                a[to * inputs..][..*inputs].copy_from_slice(&from_a[from * inputs..][..*inputs]);
                let column = from_b.iter().skip(from).step_by(self.rank);
                b.iter_mut().skip(to).step_by(rank).zip(column).for_each(|(to, from)| *to = *from);
            }
            LoraPair { name: name.clone(), a, b }
        };
        let pairs = self.pairs.iter().zip(&products).map(pair).collect();
        Some(Lora { rank, scale: self.scale, pairs })
    }

    /// Returns the gradient of what is trained, given that of the wanted tensors.
    pub(super) fn pull<'a>(
        &self,
        trained: &[f32],
        d_weights: &'a [f32],
        d_trained: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        if self.pairs.is_empty() {
            return d_weights;
        }
        d_trained.resize(trained.len(), 0.0);
        let parts: Vec<(Vec<f32>, Vec<f32>)> = self
            .pairs
            .par_iter()
            .map(|Pair { gradient, outputs, inputs, a, b, .. }| {
                let (rank, d) = (self.rank, View::rows(&d_weights[gradient.clone()], *inputs));
                let (a, b) = (View::rows(a.of(trained), *inputs), View::rows(b.of(trained), rank));
                let (mut da, mut db) = (vec![0.0; rank * inputs], vec![0.0; outputs * rank]);
                let of_a = (self.scale, b.transposed(), d);
                product((rank, *inputs, *outputs), of_a, 0.0, (&mut da, *inputs));
                let of_b = (self.scale, d, a.transposed());
                product((*outputs, rank, *inputs), of_b, 0.0, (&mut db, rank));
                (da, db)
            })
            .collect();
        for (Pair { a, b, .. }, (da, db)) in self.pairs.iter().zip(parts) {
            a.of_mut(d_trained).copy_from_slice(&da);
            b.of_mut(d_trained).copy_from_slice(&db);
        }
        d_trained
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::settings::LoraTarget;

    fn tensors() -> Vec<NamedTensor> {
        let mut all = Vec::new();
        let mut start = 0;
        for layer in [Some(0), Some(1)] {
            for (part, shape) in [("attention.self.key.weight", vec![3, 4]), ("x.bias", vec![3])] {
                let len = shape.iter().product::<usize>();
                let name = format!("encoder.layer.{}.{part}", layer.unwrap_or(0));
                all.push(NamedTensor { name, layer, shape, range: start..start + len });
                start += len;
            }
        }
        all
    }

    fn adaptation(what: What) -> Adaptation {
        let settings = TuneSettings {
            what,
            rank: 2,
            layers: 1,
            targets: vec![LoraTarget::Key],
            ..TuneSettings::default()
        };
        Adaptation::new(&settings, &tensors(), 2)
    }

    #[test]
    fn each_way_trains_what_it_says_and_changes_nothing_at_first() {
        let base: Vec<f32> = (0..30).map(|x| x as f32).collect();
        for (what, n) in [(What::Lora, 28), (What::Bias, 6), (What::Top, 15), (What::Full, 30)] {
            let adaptation = adaptation(what);
            let trained = adaptation.start(&base, 1);
            assert_eq!(trained.len(), n, "{what:?}");
            let mut weights = base.clone();
            adaptation.apply(&base, &trained, &mut weights);
            assert!(weights == base, "{what:?}");
        }
    }

    #[test]
    fn what_is_trained_itself_lands_in_its_place() {
        let base = vec![0.0; 30];
        let adaptation = adaptation(What::Bias);
        let mut weights = base.clone();
        adaptation.apply(&base, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut weights);
        assert!(weights[12..15] == [1.0, 2.0, 3.0] && weights[27..] == [4.0, 5.0, 6.0]);
        assert!((weights.iter().sum::<f32>() - 21.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_of_both_factors_equal_numeric_ones() {
        let adaptation = adaptation(What::Lora);
        let base: Vec<f32> = (0..30).map(|i| (i as f32 * 0.3).sin()).collect();
        let mut trained = adaptation.start(&base, 3);
        trained.iter_mut().enumerate().for_each(|(i, x)| *x += 0.3 * (i as f32).cos());
        // The loss is the sum of squares of the two matrices; its gradient is twice them.
        let wanted = [0..12, 15..27];
        let weights = |trained: &[f32]| {
            let mut weights = base.clone();
            adaptation.apply(&base, trained, &mut weights);
            wanted.iter().flat_map(|range| weights[range.clone()].to_vec()).collect::<Vec<f32>>()
        };
        let loss =
            |trained: &[f32]| weights(trained).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let d: Vec<f32> = weights(&trained).iter().map(|x| 2.0 * x).collect();
        let mut memory = Vec::new();
        let got = adaptation.pull(&trained, &d, &mut memory).to_vec();
        for (at, got) in got.iter().enumerate() {
            let old = trained[at];
            trained[at] = old + 1e-2;
            let above = loss(&trained);
            trained[at] = old - 1e-2;
            let want = (above - loss(&trained)) / 2e-2;
            trained[at] = old;
            assert!(
                (f64::from(*got) - want).abs() < 1e-3 * (1.0 + want.abs()),
                "{at} {got} {want}"
            );
        }
    }
}
