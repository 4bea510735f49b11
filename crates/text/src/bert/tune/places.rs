//! Where the tensors of a BERT lie in one run of numbers, and which of them gradients are wanted for.

use std::ops::Range;

use crate::bert::config::BertConfig;

/// Tensors of the embeddings come first, in this order.
pub(super) const WORDS: usize = 0;
pub(super) const POSITIONS: usize = 1;
pub(super) const TYPES: usize = 2;
pub(super) const EMBEDDING_NORM: usize = 3;
/// Counts them.
const OF_EMBEDDINGS: usize = 5;

/// Tensors of a layer, in their order: queries, keys and values side by side, weights before biases.
pub(super) const QKV_WEIGHT: usize = 0;
pub(super) const QKV_BIAS: usize = 3;
pub(super) const MIX: usize = 6;
pub(super) const MIX_NORM: usize = 8;
pub(super) const WIDEN: usize = 10;
pub(super) const NARROW: usize = 12;
pub(super) const OUT_NORM: usize = 14;
/// Counts them.
const OF_A_LAYER: usize = 16;

/// Tensors of an adapter: weight and bias of the narrow half and of the wide one.
const OF_AN_ADAPTER: usize = 4;

/// A tensor and its place in the run of all weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTensor {
    /// BERT's name of it, without a leading `bert.`, whatever the weights file calls it; for what BERT does not have, one in its manner.
    pub name: String,
    /// Its layer, counted from 0; none for the embeddings.
    pub layer: Option<usize>,
    /// Sizes of its dimensions.
    pub shape: Vec<usize>,
    /// Where it lies.
    pub range: Range<usize>,
}

impl NamedTensor {
    /// Returns its name within its layer, as in `attention.self.query.weight`.
    pub fn part(&self) -> &str {
        let Some(layer) = self.layer else { return &self.name };
        self.name.strip_prefix(&format!("encoder.layer.{layer}.")).unwrap_or(&self.name)
    }
}

/// Lists all tensors that the computation depends on, in the order of the run; the types of tokens are empty where there are none.
pub(super) fn tensors(config: &BertConfig) -> Vec<NamedTensor> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let mut all: Vec<NamedTensor> = Vec::new();
    let mut add = |layer: Option<usize>, part: &str, shape: &[usize]| {
        let start = all.last().map_or(0, |tensor: &NamedTensor| tensor.range.end);
        let range = start..start + shape.iter().product::<usize>();
        let name = match layer {
            Some(layer) => format!("encoder.layer.{layer}.{part}"),
            None => part.to_owned(),
        };
        all.push(NamedTensor { name, layer, shape: shape.to_vec(), range });
    };
    let tables = [
        ("word", config.vocab_size),
        ("position", config.max_position_embeddings),
        ("token_type", config.type_vocab_size),
    ];
    for (table, rows) in tables {
        add(None, &format!("embeddings.{table}_embeddings.weight"), &[rows, hidden]);
    }
    add(None, "embeddings.LayerNorm.weight", &[hidden]);
    add(None, "embeddings.LayerNorm.bias", &[hidden]);
    for layer in (0..config.num_hidden_layers).map(Some) {
        for part in ["query", "key", "value"] {
            add(layer, &format!("attention.self.{part}.weight"), &[hidden, hidden]);
        }
        for part in ["query", "key", "value"] {
            add(layer, &format!("attention.self.{part}.bias"), &[hidden]);
        }
        for (part, shape) in [
            ("attention.output.dense", &[hidden, hidden][..]),
            ("attention.output.LayerNorm", &[hidden]),
            ("intermediate.dense", &[inner, hidden]),
            ("output.dense", &[hidden, inner]),
            ("output.LayerNorm", &[hidden]),
        ] {
            add(layer, &format!("{part}.weight"), shape);
            add(layer, &format!("{part}.bias"), &shape[..1]);
        }
    }
    all
}

/// What stands in every layer beside BERT's own tensors, behind them in the run, layer by layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extras {
    /// Number of the first of their tensors.
    first: usize,
    /// Width of the two adapters of a layer; 0 where there are none.
    pub(super) adapters: usize,
    /// Keys and values that stand before those of every text; 0 where there are none.
    pub(super) prefix: usize,
}

impl Extras {
    /// Adds the tensors of the extras, of which there are none yet.
    pub(super) fn add(
        tensors: &mut Vec<NamedTensor>,
        (hidden, n_layers): (usize, usize),
        (adapters, prefix): (usize, usize),
    ) -> Self {
        let own = Self { first: tensors.len(), adapters, prefix };
        let mut end = tensors.last().map_or(0, |tensor| tensor.range.end);
        for layer in 0..n_layers {
            let mut add = |part: String, shape: Vec<usize>| {
                let range = end..end + shape.iter().product::<usize>();
                end = range.end;
                let name = format!("encoder.layer.{layer}.{part}");
                tensors.push(NamedTensor { name, layer: Some(layer), shape, range });
            };
            for place in ["attention.output", "output"].into_iter().filter(|_| adapters > 0) {
                for (half, to, from) in [("down", adapters, hidden), ("up", hidden, adapters)] {
                    add(format!("{place}.adapter.{half}.weight"), vec![to, from]);
                    add(format!("{place}.adapter.{half}.bias"), vec![to]);
                }
            }
            for which in ["keys", "values"].into_iter().filter(|_| prefix > 0) {
                add(format!("attention.prefix.{which}"), vec![prefix, hidden]);
            }
        }
        own
    }

    const fn of_layer(self, layer: usize) -> usize {
        let adapters = if self.adapters > 0 { 2 * OF_AN_ADAPTER } else { 0 };
        self.first + layer * (adapters + if self.prefix > 0 { 2 } else { 0 })
    }

    /// Returns the number of the first tensor of an adapter: the one behind attention, or behind the feed-forward layer.
    pub(super) fn adapter(self, layer: usize, is_second: bool) -> Option<usize> {
        let at = self.of_layer(layer) + if is_second { OF_AN_ADAPTER } else { 0 };
        (self.adapters > 0).then_some(at)
    }

    /// Returns the number of the tensor of a layer's keys; that of values follows.
    pub(super) fn keys(self, layer: usize) -> Option<usize> {
        let adapters = if self.adapters > 0 { 2 * OF_AN_ADAPTER } else { 0 };
        (self.prefix > 0).then_some(self.of_layer(layer) + adapters)
    }
}

/// Returns the number of a tensor of a layer.
pub(super) const fn of_layer(layer: usize, which: usize) -> usize {
    OF_EMBEDDINGS + layer * OF_A_LAYER + which
}

/// Which tensors have gradients, one after another in a run of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    places: Vec<Option<Range<usize>>>,
    len: usize,
    /// The lowest layer of a tensor that is wanted, counted from 1; 0 for the embeddings, and past all where none is.
    lowest: usize,
}

impl Wanted {
    /// Wants the gradients of the tensors that `is_wanted` says.
    pub fn new(tensors: &[NamedTensor], is_wanted: impl Fn(&NamedTensor) -> bool) -> Self {
        let mut len = 0;
        let place = |tensor: &NamedTensor| {
            is_wanted(tensor).then(|| {
                let start = len;
                len += tensor.range.len();
                start..len
            })
        };
        let places: Vec<_> = tensors.iter().map(place).collect();
        let wanted = tensors.iter().zip(&places).filter(|(_, place)| place.is_some());
        let level = |tensor: &NamedTensor| tensor.layer.map_or(0, |layer| layer + 1);
        let lowest = wanted.map(|(tensor, _)| level(tensor)).min().unwrap_or(usize::MAX);
        Self { places, len, lowest }
    }

    /// Returns the same, but a backward pass goes down to the output of the embeddings.
    #[must_use]
    pub fn down_to_embeddings(&self) -> Self {
        Self { lowest: 0, ..self.clone() }
    }

    /// Counts the numbers of all gradients.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tells whether none is wanted.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns where the gradient of a tensor lies, if it is wanted.
    pub fn place(&self, tensor: usize) -> Option<Range<usize>> {
        self.places.get(tensor).cloned().flatten()
    }

    /// Tells whether a tensor is wanted that comes before a layer's.
    pub(super) const fn reaches_below(&self, layer: usize) -> bool {
        self.lowest <= layer
    }

    /// Tells whether a tensor is wanted in a layer or before it.
    pub(super) const fn reaches(&self, layer: usize) -> bool {
        self.reaches_below(layer + 1)
    }

    /// Returns the gradient of a tensor, if it is wanted.
    pub(super) fn of<'a>(&self, tensor: usize, gradients: &'a mut [f32]) -> Option<&'a mut [f32]> {
        self.place(tensor).map(|place| &mut gradients[place])
    }

    /// Returns the gradients of a norm's gain and bias; those not wanted go to `spare`, which has room for both.
    pub(super) fn of_norm<'a>(
        &self,
        gain: usize,
        gradients: &'a mut [f32],
        spare: &'a mut [f32],
    ) -> [&'a mut [f32]; 2] {
        let half = spare.len() / 2;
        let (a, b) = spare.split_at_mut(half);
        match (self.place(gain), self.place(gain + 1)) {
            (Some(gain), Some(bias)) => {
                gradients.get_disjoint_mut([gain, bias]).expect("tensors do not overlap")
            }
            (Some(gain), None) => [&mut gradients[gain], b],
            (None, Some(bias)) => [a, &mut gradients[bias]],
            (None, None) => [a, b],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_one_another_and_the_lowest_wanted_layer_is_known() {
        let tensor = |layer: Option<usize>, part: &str, start: usize| NamedTensor {
            name: layer.map_or(part.into(), |n| format!("encoder.layer.{n}.{part}")),
            layer,
            shape: vec![2],
            range: start..start + 2,
        };
        let mut all: Vec<NamedTensor> = (0..5).map(|i| tensor(None, "e", 2 * i)).collect();
        for layer in 0..2 {
            all.extend((0..16).map(|i| tensor(Some(layer), "a", 10 + 32 * layer + 2 * i)));
        }
        assert_eq!(all[30].part(), "a");
        let top = Wanted::new(&all, |tensor| tensor.layer == Some(1));
        assert_eq!((top.len(), top.place(0), top.place(of_layer(1, 1))), (32, None, Some(2..4)));
        assert!(!top.reaches(0) && top.reaches(1) && !top.reaches_below(1));
        let none = Wanted::new(&all, |_| false);
        assert!(none.is_empty() && !none.reaches(1));
        let extras = Extras::add(&mut all, (3, 2), (2, 4));
        assert_eq!(all[extras.adapter(1, true).unwrap()].part(), "output.adapter.down.weight");
        let keys = extras.keys(1).unwrap();
        assert_eq!(
            (all[keys].part(), &all[keys].shape[..]),
            ("attention.prefix.keys", &[4, 3][..])
        );
        assert_eq!(all[keys + 1].range.start, all[keys].range.end);
        let upper = Wanted::new(&all, |tensor| tensor.name == all[keys].name);
        assert!(upper.reaches(1) && !upper.reaches_below(1), "behind all others, yet of layer 1");
        let every = Wanted::new(&all, |_| true);
        assert!(every.reaches_below(0) && every.reaches(0));
    }
}
