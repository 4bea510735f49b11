//! The network between items read and items predicted: places, layers, a last norm. Knows item vectors as they come.

use crate::layers::{
    Block, BlockShape, BlockState, CaserLayer, CaserShape, CaserState, Cell, Dropout, Linear, Mlp,
    MlpShape, MlpState, NormLayer, RecurrentLayer, RecurrentState, Work,
};
use crate::params::{Init, Layout, Span};

/// Deviation with which embeddings start.
pub(super) const EMBEDDING: f32 = 0.02;
/// What a chunk goes through when nothing is dropped.
pub(super) const NOTHING_DROPPED: Dropout = Dropout { rate: 0.0, key: 0 };

/// The network's places in the run of parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    dim: usize,
    max_length: usize,
    /// `[max_length, dim]`, the newest event first; empty without.
    places: Span,
    layers: Layers,
    norm: NormLayer,
    /// `[dim]`, read in the place of a masked event; empty without.
    mask: Span,
}

#[derive(Clone, Debug, PartialEq)]
enum Layers {
    Blocks(Vec<Block>),
    /// Recurrent layers, and the dense layer from what they remember to the width of item vectors.
    Cells(Vec<RecurrentLayer>, Linear),
    Caser(CaserLayer),
    Mlp(Mlp),
}

/// What a forward pass leaves for the backward pass. Reused from chunk to chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct NetworkState {
    blocks: Vec<BlockState>,
    cells: Vec<RecurrentState>,
    /// What each recurrent layer gave, after dropout.
    remembered: Vec<Vec<f32>>,
    caser: CaserState,
    mlp: MlpState,
    last: Vec<f32>,
    stats: Vec<f32>,
    deltas: [Vec<f32>; 2],
    /// The hidden vectors, `[positions, dim]`.
    pub(super) hidden: Vec<f32>,
}

impl Network {
    /// Lays out transformer blocks, with a learnt vector for every place and for a mask if wanted. Blocks that see both ways read up to `max_length`
    /// events and a mask.
    pub(super) fn of_blocks(
        layout: &mut Layout,
        max_length: usize,
        (has_places, has_mask): (bool, bool),
        (n, shape): (usize, BlockShape),
    ) -> Self {
        let dim = shape.dim;
        let read = if shape.causal { max_length } else { max_length + 1 };
        let len = if has_places { read * dim } else { 0 };
        let places = layout.add("places".into(), len, Init::Normal(EMBEDDING));
        let blocks = (0..n).map(|index| Block::new(layout, index, shape)).collect();
        let norm = NormLayer::new(layout, "norm", dim);
        let len = if has_mask { dim } else { 0 };
        let mask = layout.add("mask".into(), len, Init::Normal(EMBEDDING));
        Self { dim, max_length, places, layers: Layers::Blocks(blocks), norm, mask }
    }

    /// Lays out recurrent layers and a dense one.
    pub(super) fn of_cells(
        layout: &mut Layout,
        max_length: usize,
        (cell, n): (Cell, usize),
        (dim, hidden): (usize, usize),
    ) -> Self {
        let places = layout.add("places".into(), 0, Init::Constant(0.0));
        let layer = |index: usize| {
            let input = if index == 0 { dim } else { hidden };
            RecurrentLayer::new(layout, &format!("recurrent{index}"), cell, (input, hidden))
        };
        let cells = (0..n).map(layer).collect();
        let dense = Linear::new(layout, "dense", hidden, dim);
        let norm = NormLayer::new(layout, "norm", dim);
        let layers = Layers::Cells(cells, dense);
        Self { dim, max_length, places, layers, norm, mask: Span::default() }
    }

    /// Lays out Caser's convolutions.
    pub(super) fn of_caser(layout: &mut Layout, shape: CaserShape) -> Self {
        let layers = Layers::Caser(CaserLayer::new(layout, shape));
        Self::of_recent(layout, layers, (shape.dim, shape.reach))
    }

    /// Lays out hidden layers over the last few events.
    pub(super) fn of_mlp(layout: &mut Layout, shape: MlpShape) -> Self {
        let layers = Layers::Mlp(Mlp::new(layout, shape));
        Self::of_recent(layout, layers, (shape.dim, shape.reach))
    }

    fn of_recent(layout: &mut Layout, layers: Layers, (dim, reach): (usize, usize)) -> Self {
        let norm = NormLayer::new(layout, "norm", dim);
        let none = Span::default();
        Self { dim, max_length: reach, places: none, layers, norm, mask: none }
    }

    /// Returns what is read in the place of a masked event; empty for networks that read none.
    pub(super) fn mask<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        self.mask.of(parameters)
    }

    /// Returns the gradient of [`mask`](Self::mask).
    pub(super) fn mask_mut<'a>(&self, gradients: &'a mut [f32]) -> &'a mut [f32] {
        self.mask.of_mut(gradients)
    }

    /// Tells whether the times of events are read.
    pub(super) fn reads_times(&self) -> bool {
        match &self.layers {
            Layers::Blocks(blocks) => blocks.iter().any(Block::has_kinds),
            Layers::Cells(..) | Layers::Caser(_) | Layers::Mlp(_) => false,
        }
    }

    /// Returns how many events are read at most.
    pub(super) const fn max_length(&self) -> usize {
        self.max_length
    }

    /// Returns about how many numbers a forward and a backward pass keep for so many positions.
    pub(super) fn floats(&self, positions: usize) -> usize {
        match &self.layers {
            Layers::Blocks(blocks) => {
                blocks.iter().map(|block| block.floats(positions, self.max_length)).sum()
            }
            Layers::Cells(cells, _) => {
                cells.iter().map(|cell| 16 * positions * cell.hidden()).sum()
            }
            Layers::Caser(caser) => caser.floats(positions),
            Layers::Mlp(mlp) => mlp.floats(positions),
        }
    }

    /// Item vectors are multiplied with this on their way in, so that they are not small beside what layers add.
    pub(super) fn scale(&self) -> f32 {
        (self.dim as f32).sqrt()
    }

    /// Turns `x: [positions, dim]`, the scaled vectors of the items read, into hidden vectors, kept in `state`.
    pub(super) fn forward(&self, work: &Work<'_>, x: &mut [f32], state: &mut NetworkState) {
        self.each_position(work, |at, place| {
            let place = &self.places.of(work.parameters)[place..place + self.dim];
            x[at..at + self.dim].iter_mut().zip(place).for_each(|(x, p)| *x += p);
        });
        work.dropout.apply(0, x);
        match &self.layers {
            Layers::Blocks(blocks) => {
                state.blocks.resize_with(blocks.len(), BlockState::default);
                for (block, state) in blocks.iter().zip(&mut state.blocks) {
                    block.forward(work, x, state);
                }
            }
            Layers::Cells(cells, dense) => {
                let rows = x.len() / self.dim;
                if state.cells.len() != cells.len() {
                    state.cells = cells.iter().map(RecurrentLayer::state).collect();
                    state.remembered = vec![Vec::new(); cells.len()];
                }
                for (index, (cell, kernel)) in cells.iter().zip(&mut state.cells).enumerate() {
                    let (before, now) = state.remembered.split_at_mut(index);
                    now[0].resize(rows * cell.hidden(), 0.0);
                    let input = before.last().map_or(&*x, Vec::as_slice);
                    cell.forward(work, input, &mut now[0], kernel);
                    work.dropout.apply(1 + index as u64, &mut now[0]);
                }
                let remembered = state.remembered.last().map_or(&[][..], Vec::as_slice);
                dense.forward(work.parameters, remembered, x);
            }
            Layers::Caser(caser) => caser.forward(work, x, &mut state.caser),
            Layers::Mlp(mlp) => mlp.forward(work, x, &mut state.mlp),
        }
        let NetworkState { last, stats, hidden, .. } = state;
        last.clear();
        last.extend_from_slice(x);
        hidden.resize(x.len(), 0.0);
        stats.resize(2 * x.len() / self.dim, 0.0);
        self.norm.forward(work.parameters, last, (hidden, stats));
    }

    /// Turns the gradient of the hidden vectors into that of `x`, written to `dx`, and adds those of the parameters.
    pub(super) fn backward(
        &self,
        work: &Work<'_>,
        d_hidden: &[f32],
        (dx, gradients): (&mut Vec<f32>, &mut [f32]),
        state: &mut NetworkState,
    ) {
        dx.clear();
        dx.resize(d_hidden.len(), 0.0);
        let last = (&state.last[..], &state.stats[..]);
        self.norm.backward((work.parameters, gradients), last, d_hidden, dx);
        match &self.layers {
            Layers::Blocks(blocks) => {
                for (block, state) in blocks.iter().zip(&mut state.blocks).rev() {
                    block.backward(work, dx, gradients, state);
                }
            }
            Layers::Cells(cells, dense) => {
                let NetworkState { cells: kernels, remembered, deltas: [above, below], .. } = state;
                let last = remembered.last().map_or(&[][..], Vec::as_slice);
                above.resize(last.len(), 0.0);
                dense.backward((work.parameters, gradients), last, dx, (0.0, above));
                for (index, (cell, kernel)) in cells.iter().zip(kernels).enumerate().rev() {
                    work.dropout.apply(1 + index as u64, above);
                    let into = (work.parameters, &mut *gradients);
                    if index == 0 {
                        cell.backward(into, above, dx, kernel);
                    } else {
                        below.resize(above.len(), 0.0);
                        cell.backward(into, above, below, kernel);
                        std::mem::swap(above, below);
                    }
                }
            }
            Layers::Caser(caser) => caser.backward(work, dx, gradients, &mut state.caser),
            Layers::Mlp(mlp) => mlp.backward(work, dx, gradients, &mut state.mlp),
        }
        work.dropout.apply(0, dx);
        self.each_position(work, |at, place| {
            let place = &mut self.places.of_mut(gradients)[place..place + self.dim];
            place.iter_mut().zip(&dx[at..]).for_each(|(p, dx)| *p += dx);
        });
    }

    /// Visits where each position's vector and its place's vector begin.
    fn each_position(&self, work: &Work<'_>, mut visit: impl FnMut(usize, usize)) {
        if self.places.range().is_empty() {
            return;
        }
        for range in work.offsets.windows(2).map(|w| w[0]..w[1]) {
            for at in range.clone() {
                visit(at * self.dim, (range.end - 1 - at) * self.dim);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_kernels::Activation;

    use super::*;
    use crate::layers::FeedForward;
    use crate::sequence::times::{KINDS, kinds};

    /// Compares the gradients of `Σ w · hidden` with numeric ones, those of the input and of every parameter, the mask's included.
    fn check(network: &Network, layout: &Layout, offsets: &[usize], dropout: Dropout) {
        let mut parameters = layout.start(3);
        // What starts at 0 would hide mistakes.
        parameters.iter_mut().enumerate().for_each(|(i, x)| *x += 0.2 * (i as f32 * 1.7).sin());
        let n = offsets[offsets.len() - 1] * network.dim;
        let mut x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
        let w: Vec<f32> = (0..n).map(|i| (i as f32 * 1.3).cos()).collect();
        let times: Vec<i64> = (0..100).map(|at| (1 << 30) + at * at * at * 7).collect();
        let mut of_pairs = Vec::new();
        if network.reads_times() {
            kinds(&times, offsets, 9, &mut of_pairs);
        }
        let kinds = &of_pairs[..];
        let mut state = NetworkState::default();
        let loss = |parameters: &[f32], x: &[f32], state: &mut NetworkState| -> f64 {
            let mut x = x.to_vec();
            // The last position of every sequence is a mask where there is one.
            let mask = network.mask(parameters);
            offsets.windows(2).filter(|_| !mask.is_empty()).for_each(|ends| {
                x[(ends[1] - 1) * network.dim..ends[1] * network.dim].copy_from_slice(mask);
            });
            network.forward(&Work { parameters, offsets, kinds, dropout }, &mut x, state);
            state.hidden.iter().zip(&w).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
        };
        loss(&parameters, &x, &mut state);
        let (mut dx, mut gradients) = (Vec::new(), vec![0.0; parameters.len()]);
        let work = Work { parameters: &parameters, offsets, kinds, dropout };
        network.backward(&work, &w, (&mut dx, &mut gradients), &mut state);
        if !network.mask(&parameters).is_empty() {
            for ends in offsets.windows(2) {
                let d = &mut dx[(ends[1] - 1) * network.dim..ends[1] * network.dim];
                network.mask_mut(&mut gradients).iter_mut().zip(&*d).for_each(|(m, d)| *m += d);
                d.fill(0.0);
            }
        }
        let step = 2e-3;
        let agree = |got: f32, above: f64, below: f64, what: &str| {
            let want = (above - below) / f64::from(2.0 * step);
            let allowed = 2e-2 * (1.0 + want.abs());
            assert!((f64::from(got) - want).abs() < allowed, "{what}: {got} {want} {network:?}");
        };
        for i in 0..x.len() {
            let mut at = |by: f32| {
                let old = x[i];
                x[i] += by;
                let loss = loss(&parameters, &x, &mut state);
                x[i] = old;
                loss
            };
            agree(dx[i], at(step), at(-step), &format!("x {i}"));
        }
        for i in 0..parameters.len() {
            let mut at = |by: f32| {
                let old = parameters[i];
                parameters[i] += by;
                let loss = loss(&parameters, &x, &mut state);
                parameters[i] = old;
                loss
            };
            agree(gradients[i], at(step), at(-step), &format!("parameter {i}"));
        }
    }

    #[test]
    fn gradients_equal_numeric_ones_for_every_kind_of_network() {
        let shape = BlockShape {
            dim: 6,
            heads: 2,
            inner: 5,
            feed_forward: FeedForward::Plain(Activation::Gelu),
            gated: false,
            causal: true,
            reach: 9,
            kinds: 0,
        };
        let both_ways = BlockShape { causal: false, ..shape };
        let mlp = MlpShape { dim: 4, reach: 3, layers: 2, hidden: 5 };
        let caser = CaserShape { dim: 4, reach: 3, horizontal: 3, vertical: 2 };
        let timed = BlockShape { kinds: KINDS, ..shape };
        let networks: [&dyn Fn(&mut Layout) -> Network; 8] = [
            &|layout| Network::of_blocks(layout, 9, (true, false), (2, timed)),
            &|layout| Network::of_blocks(layout, 9, (true, false), (2, shape)),
            &|layout| Network::of_blocks(layout, 8, (true, true), (2, both_ways)),
            &|layout| Network::of_cells(layout, 9, (Cell::Gru, 2), (3, 4)),
            &|layout| Network::of_cells(layout, 9, (Cell::Lstm, 1), (3, 4)),
            &|layout| Network::of_caser(layout, caser),
            &|layout| Network::of_mlp(layout, mlp),
            &|layout| Network::of_mlp(layout, MlpShape { layers: 1, reach: 1, ..mlp }),
        ];
        for network in networks {
            let mut layout = Layout::default();
            let network = network(&mut layout);
            check(&network, &layout, &[0, 1, 4, 9], Dropout::default());
            check(&network, &layout, &[0, 1], Dropout::default());
            check(&network, &layout, &[0, 3, 4], Dropout { rate: 0.3, key: 5 });
        }
    }
}
