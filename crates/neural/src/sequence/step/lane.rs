//! One task of a step: some windows through the network, the loss of what is asked of them, and all the way back.

use tastemaker_core::{Histories, ItemId};
use tastemaker_kernels::{
    CrossEntropy, ItemTable, LossScratch, Sampled, SampledGradients, SampledLoss, SampledScratch,
    axpy,
};

use super::pass::{MASK, Pass};
use super::task::Task;
use super::views::{Contrast, Views, augmented, view};
use crate::draws::Draws;
use crate::layers::Dropout;
use crate::sequence::network::Network;
use crate::sequence::settings::Loss;
use crate::sequence::windows::Window;

/// The memory of one task.
#[derive(Default)]
pub(in crate::sequence) struct Lane {
    pub(in crate::sequence) gradients: Vec<f32>,
    pub(in crate::sequence) d_vectors: Vec<f32>,
    pass: Pass,
    /// First views of all windows of the task, and second ones.
    views: [Pass; 2],
    loss: LossScratch,
    sampled: SampledScratch,
    wanted: Vec<u32>,
    /// Positions of what is wanted, where it is not every one.
    rows: Vec<usize>,
}

/// What the tasks of a step share.
pub(in crate::sequence) struct Shared<'a> {
    pub(in crate::sequence) histories: &'a Histories,
    pub(in crate::sequence) network: &'a Network,
    pub(in crate::sequence) parameters: &'a [f32],
    pub(in crate::sequence) vectors: &'a [f32],
    pub(in crate::sequence) table: &'a ItemTable,
    pub(in crate::sequence) place: &'a [u32],
    pub(in crate::sequence) draws: &'a Draws,
    pub(in crate::sequence) loss: Loss,
    pub(in crate::sequence) n_known: usize,
    pub(in crate::sequence) dim: usize,
    /// Seconds between events of which no date is known.
    pub(in crate::sequence) usual_gap: u32,
    /// What is asked, and the key of its draws.
    pub(in crate::sequence) task: (Task, u64),
    pub(in crate::sequence) weight: f32,
    pub(in crate::sequence) views: Views,
}

impl Lane {
    /// Lists what a chunk reads and what is asked of it.
    fn list(&mut self, shared: &Shared<'_>, chunk: &[Window]) {
        let place = |item: &ItemId| shared.place[item.index()];
        let Self { pass, wanted, rows, .. } = self;
        pass.clear();
        wanted.clear();
        rows.clear();
        for window in chunk {
            let from = pass.read.len();
            let key = window_key(*window, shared.task.1);
            let items = window.items(shared.histories).iter().map(place);
            match shared.task.0 {
                Task::Next if shared.views.augment > 0.0 => {
                    augmented(items, (key, shared.views.augment), (&mut pass.read, wanted));
                }
                Task::Next => {
                    let (read, next) = window.pairs(shared.histories);
                    pass.read.extend(read.iter().map(place));
                    wanted.extend(next.iter().map(place));
                }
                task @ Task::Masked { .. } => {
                    pass.read.extend(items);
                    for at in task.masked(*window, shared.task.1) {
                        rows.push(from + at);
                        wanted.push(std::mem::replace(&mut pass.read[from + at], MASK));
                    }
                }
            }
            if shared.network.reads_times() {
                pass.times.extend(window.times(shared.histories));
            }
            pass.end();
        }
    }

    /// Adds the gradients of a chunk to those of the task and returns its loss.
    pub(in crate::sequence) fn chunk(
        &mut self,
        shared: &Shared<'_>,
        (chunk, negatives): (&[Window], &[u32]),
        dropout: Dropout,
    ) -> f64 {
        self.list(shared, chunk);
        self.pass.forward(shared, dropout);
        let loss = self.loss_of_rows(shared, negatives);
        self.pass.backward(shared, dropout, (&mut self.gradients, &mut self.d_vectors));
        loss
    }

    /// Reads two views of every window.
    pub(in crate::sequence) fn read_views<'w>(
        &mut self,
        shared: &Shared<'_>,
        windows: impl Iterator<Item = &'w Window> + Clone,
        dropout: Dropout,
    ) {
        for (side, (pass, name)) in self.views.iter_mut().zip(["first", "second"]).enumerate() {
            pass.clear();
            for window in windows.clone() {
                let (read, _) = window.pairs(shared.histories);
                let places = read.iter().map(|item| shared.place[item.index()]);
                let key = window_key(*window, shared.task.1);
                let left = view(places, key, name, &mut pass.read);
                if shared.network.reads_times() {
                    pass.times.extend(&window.times(shared.histories)[left]);
                }
                pass.end();
            }
            pass.forward(shared, of_side(dropout, side));
        }
    }

    /// Lays the hidden vectors of both views beside those of other tasks.
    pub(in crate::sequence) fn put_views(&self, dim: usize, contrast: &mut Contrast) {
        for (pass, all) in self.views.iter().zip(&mut contrast.views) {
            for end in &pass.offsets[1..] {
                all.extend_from_slice(&pass.state.hidden[(end - 1) * dim..end * dim]);
            }
        }
    }

    /// Adds the gradients of the contrast, where this task's windows begin with number `first`.
    pub(in crate::sequence) fn contrast(
        &mut self,
        shared: &Shared<'_>,
        (contrast, first): (&Contrast, usize),
        dropout: Dropout,
    ) {
        let dim = shared.dim;
        for (side, (pass, d_all)) in self.views.iter_mut().zip(&contrast.d_views).enumerate() {
            pass.d_hidden.fill(0.0);
            let Pass { offsets, d_hidden, .. } = pass;
            for (end, d) in offsets[1..].iter().zip(d_all[first * dim..].chunks_exact(dim)) {
                d_hidden[(end - 1) * dim..end * dim].copy_from_slice(d);
            }
            let into = (&mut self.gradients[..], &mut self.d_vectors[..]);
            pass.backward(shared, of_side(dropout, side), into);
        }
    }

    /// Returns the loss of the positions that are asked, and writes the gradients of all hidden vectors.
    fn loss_of_rows(&mut self, shared: &Shared<'_>, negatives: &[u32]) -> f64 {
        let dim = shared.dim;
        let is_whole = shared.task.0 == Task::Next;
        let hidden = std::mem::take(&mut self.pass.state.hidden);
        let mut d_hidden = std::mem::take(&mut self.pass.d_hidden);
        let asked: Vec<f32> =
            self.rows.iter().flat_map(|&row| &hidden[row * dim..][..dim]).copied().collect();
        let mut d_asked = vec![0.0; asked.len()];
        let (h, d) = if is_whole { (&hidden, &mut d_hidden) } else { (&asked, &mut d_asked) };
        let loss = match shared.loss {
            Loss::CrossEntropy => self.cross_entropy(shared, h, d),
            Loss::SampledSoftmax | Loss::Gbce => self.sampled(shared, negatives, (h, d)),
        };
        if !is_whole {
            d_hidden.fill(0.0);
            for (&row, d) in self.rows.iter().zip(d_asked.chunks_exact(dim)) {
                d_hidden[row * dim..][..dim].copy_from_slice(d);
            }
        }
        (self.pass.state.hidden, self.pass.d_hidden) = (hidden, d_hidden);
        loss
    }

    fn cross_entropy(&mut self, shared: &Shared<'_>, hidden: &[f32], d_hidden: &mut [f32]) -> f64 {
        let loss = CrossEntropy {
            table: shared.table,
            vectors: shared.vectors,
            targets: &self.wanted,
            weight: shared.weight,
        };
        loss.step(hidden, d_hidden, &mut self.d_vectors, &mut self.loss)
    }

    fn sampled(
        &mut self,
        shared: &Shared<'_>,
        negatives: &[u32],
        (hidden, d_hidden): (&[f32], &mut [f32]),
    ) -> f64 {
        let dim = shared.dim;
        let places: Vec<u32> = negatives.iter().map(|&item| shared.place[item as usize]).collect();
        let rows = |places: &[u32]| -> Vec<f32> {
            let row = |&at: &u32| &shared.vectors[at as usize * dim..][..dim];
            places.iter().flat_map(row).copied().collect()
        };
        let n = negatives.len();
        let (loss, shift) = if shared.loss == Loss::Gbce {
            // β of gSASRec at full calibration: the sampling rate.
            let beta = (n as f32 / (shared.n_known.max(2) - 1) as f32).min(1.0);
            (SampledLoss::GBce { beta }, Vec::new())
        } else {
            let shift = negatives.iter().map(|&item| shared.draws.shift(item, n)).collect();
            (SampledLoss::Softmax, shift)
        };
        let (targets, vectors) = (rows(&self.wanted), rows(&places));
        let (mut d_targets, mut d_negatives) = (vec![0.0; targets.len()], vec![0.0; vectors.len()]);
        let sampled = Sampled {
            loss,
            targets: &targets,
            negatives: &vectors,
            target_ids: &self.wanted,
            negative_ids: &places,
            target_shift: &[],
            negative_shift: &shift,
            weight: shared.weight,
        };
        let gradients = SampledGradients {
            hidden: d_hidden,
            targets: &mut d_targets,
            negatives: &mut d_negatives,
        };
        let loss = sampled.step(hidden, gradients, &mut self.sampled);
        let all = self.wanted.iter().zip(d_targets.chunks_exact(dim));
        for (&at, d) in all.chain(places.iter().zip(d_negatives.chunks_exact(dim))) {
            axpy(1.0, d, &mut self.d_vectors[at as usize * dim..][..dim]);
        }
        loss
    }
}

/// Returns a number for the draws of one window in one step.
const fn window_key(window: Window, key: u64) -> u64 {
    key ^ window.key().wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Drops other values in each view.
const fn of_side(dropout: Dropout, side: usize) -> Dropout {
    Dropout { key: dropout.key.wrapping_add((1 + side as u64) << 14), ..dropout }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::HistoriesBuilder;
    use tastemaker_kernels::Activation;

    use super::*;
    use crate::layers::{BlockShape, FeedForward};
    use crate::params::Layout;
    use crate::sequence::times::KINDS;
    use crate::sequence::windows::windows;

    const DIM: usize = 6;
    const ITEMS: usize = 9;

    /// What a step is about, with every item active.
    struct World {
        histories: Histories,
        network: Network,
        place: Vec<u32>,
        draws: Draws,
    }

    impl World {
        fn shared<'a>(
            &'a self,
            (parameters, vectors): (&'a [f32], &'a [f32]),
            table: &'a ItemTable,
            (task, views): (Task, Views),
        ) -> Shared<'a> {
            Shared {
                histories: &self.histories,
                network: &self.network,
                parameters,
                vectors,
                table,
                place: &self.place,
                draws: &self.draws,
                loss: Loss::CrossEntropy,
                n_known: ITEMS,
                dim: DIM,
                usual_gap: 60,
                task: (task, 5),
                weight: 0.3,
                views,
            }
        }
    }

    /// Returns the loss and both gradients of one lane's step on all windows.
    fn step(
        world: &World,
        (parameters, vectors): (&[f32], &[f32]),
        (task, views): (Task, Views),
    ) -> (f64, Vec<f32>, Vec<f32>) {
        let mut table = ItemTable::default();
        table.refill(vectors, DIM);
        let shared = world.shared((parameters, vectors), &table, (task, views));
        let all = windows(&world.histories, 7, 1, 0);
        let dropout = Dropout { rate: 0.2, key: 3 };
        let mut lane = Lane {
            gradients: vec![0.0; parameters.len()],
            d_vectors: vec![0.0; vectors.len()],
            ..Lane::default()
        };
        let mut loss = lane.chunk(&shared, (&all, &[]), dropout);
        if views.contrast > 0.0 {
            let mut contrast = Contrast::default();
            lane.read_views(&shared, all.iter(), dropout);
            lane.put_views(DIM, &mut contrast);
            loss += contrast.step(DIM, views.contrast);
            lane.contrast(&shared, (&contrast, 0), dropout);
        }
        (loss, lane.gradients, lane.d_vectors)
    }

    #[test]
    fn gradients_of_a_step_equal_numeric_ones_whatever_is_asked() {
        let mut builder = HistoriesBuilder::default();
        for len in [2, 7, 4, 11] {
            (0..len).for_each(|at| {
                builder.push(ItemId((at * len + at) % 9), 1.0, (1 << 30) + i64::from(at * at * at));
            });
            builder.end_user();
        }
        for (kinds, task, augment, contrast) in [
            (KINDS, Task::Next, 0.0, 0.0),
            (KINDS, Task::Next, 0.9, 2.0),
            (0, Task::Next, 0.0, 0.0),
            (0, Task::Next, 0.9, 0.0),
            (0, Task::Next, 0.0, 2.0),
            (0, Task::Masked { share: 0.4, last: 0.2 }, 0.0, 0.0),
        ] {
            let mut layout = Layout::default();
            let shape = BlockShape {
                dim: DIM,
                heads: 2,
                inner: 5,
                feed_forward: FeedForward::Plain(Activation::Gelu),
                gated: false,
                causal: task == Task::Next,
                reach: 9,
                kinds,
            };
            let world = World {
                histories: builder.clone().build(),
                network: Network::of_blocks(&mut layout, 8, (true, true), (1, shape)),
                place: (0..ITEMS as u32).collect(),
                draws: Draws::default(),
            };
            let what = (task, Views { augment, contrast });
            let mut parameters = layout.start(3);
            parameters.iter_mut().enumerate().for_each(|(i, x)| *x += 0.2 * (i as f32).sin());
            let mut vectors: Vec<f32> =
                (0..ITEMS * DIM).map(|i| 0.3 * (i as f32 * 0.7).sin()).collect();
            let (_, of_parameters, of_vectors) = step(&world, (&parameters, &vectors), what);
            let agree = |got: f32, above: f64, below: f64, at: usize| {
                let want = (above - below) / 1e-2;
                let allowed = 2e-2 * (1.0 + want.abs());
                assert!((f64::from(got) - want).abs() < allowed, "{what:?} {at}: {got} {want}");
            };
            for at in (0..parameters.len()).step_by(5) {
                let mut with = |by: f32| {
                    let old = parameters[at];
                    parameters[at] += by;
                    let (loss, ..) = step(&world, (&parameters, &vectors), what);
                    parameters[at] = old;
                    loss
                };
                agree(of_parameters[at], with(5e-3), with(-5e-3), at);
            }
            for at in 0..vectors.len() {
                let mut with = |by: f32| {
                    let old = vectors[at];
                    vectors[at] += by;
                    let (loss, ..) = step(&world, (&parameters, &vectors), what);
                    vectors[at] = old;
                    loss
                };
                agree(of_vectors[at], with(5e-3), with(-5e-3), at);
            }
        }
    }
}
