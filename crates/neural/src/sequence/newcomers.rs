//! Items that nobody has taken yet and whose texts are known.
//!
//! A newcomer c borrows the vectors of the taken items whose texts are nearest, and the likeness of its text to the newest
//! events speaks beside it:
//! `s(c) = h·v_c + α (p·f_c − m) + shift σ` with `v_c = v̄ + κ (Σ_w a_w v_w − v̄)`, `a = softmax(β f_c·f_w)` over the nearest taken
//! items w, `v̄` the mean of the taken ones, `f: [items, features]` whitened text features of length 1, and `p` the mean of those of the
//! newest events, fading with age, of length 1.
//! The level (`κ`, `α`, `m`, `σ`) is read off taken items that are made to borrow too: both terms count alike, and their sum varies
//! between items as the first alone would. The shift is chosen on validation events.

use rand::seq::index::sample;
use rayon::prelude::*;
use tastemaker_core::{ItemId, Vectors, seed};
use tastemaker_kernels::{View, product};

/// Items a newcomer borrows from, at most.
const LENDERS: usize = 5;
/// How much more a nearer text counts.
const SHARPNESS: f32 = 5.0;
/// Newest events whose texts speak, and how much one speaks compared with the one after it.
const SPEAKERS: (usize, f32) = (10, 0.7);
/// Taken items that are made to borrow, and histories they are scored for.
const GAUGE: (usize, usize) = (512, 256);
/// Items whose neighbours are looked up with one product.
const BLOCK: usize = 64;

/// Shifts that are tried on validation; the first of equals is taken.
pub(super) const SHIFTS: [f32; 9] = [0.0, -0.5, 0.5, -1.0, 1.0, -1.5, -2.0, -2.5, -3.0];
/// Share of the taken items that are made newcomers to choose the shift: that of the true ones, within these bounds.
const SHARE: (f64, f64) = (0.02, 0.3);

/// How the scores of newcomers compare with those of others; see the head of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Level {
    /// α.
    weight: f32,
    /// m.
    middle: f32,
    /// σ.
    spread: f32,
    /// In multiples of σ.
    pub(super) shift: f32,
}

impl Level {
    /// Returns its numbers as bits, which text does not round.
    pub(super) fn bits(self) -> [u32; 4] {
        [self.weight, self.middle, self.spread, self.shift].map(f32::to_bits)
    }

    /// Returns what is added to the score of every newcomer.
    fn offset(self) -> f32 {
        self.shift * self.spread - self.weight * self.middle
    }

    /// Puts it together from bits; none where a number is not finite.
    pub(super) fn of_bits(bits: [u32; 4]) -> Option<Self> {
        let [weight, middle, spread, shift] = bits.map(f32::from_bits);
        let all = [weight, middle, spread, shift];
        all.iter().all(|x| x.is_finite()).then_some(Self { weight, middle, spread, shift })
    }
}

/// What is known of newcomers; see the head of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Newcomers {
    /// Rising.
    pub(super) items: Vec<u32>,
    /// `[n_items, features]`: of the newcomers and of whatever stands in a history.
    pub(super) features: Vectors,
    /// `[newcomers, features]`.
    own: Vec<f32>,
    pub(super) level: Level,
}

/// Lists the items nobody has taken that have a text, rising.
pub(super) fn newcomers(features: &Vectors, is_taken: impl Fn(usize) -> bool) -> Vec<u32> {
    let is_new = |item: &usize| !is_taken(*item) && has_text(features, *item);
    (0..features.rows()).filter(is_new).map(|item| item as u32).collect()
}

impl Newcomers {
    /// Finds the newcomers, if there are any.
    pub(super) fn new(features: &Vectors, is_taken: impl Fn(usize) -> bool) -> Self {
        let items = newcomers(features, is_taken);
        if items.is_empty() {
            return Self::default();
        }
        Self::assemble(items, features.clone(), Level::default())
    }

    /// Puts newcomers together from what was saved.
    pub(super) fn assemble(items: Vec<u32>, features: Vectors, level: Level) -> Self {
        let own = gather(&features, &items);
        Self { items, features, own, level }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Makes newcomers of some of the `taken` items, and returns them and the rest.
    pub(super) fn made_of(&self, taken: &[u32], key: u64) -> (Self, Vec<u32>) {
        let with_text = self.with_text(taken);
        let share = self.items.len() as f64 / self.features.rows().max(1) as f64;
        let n = (share.clamp(SHARE.0, SHARE.1) * with_text.len() as f64).ceil() as usize;
        let items = pick(&with_text, n, key, "newcomers/trial");
        let rest = taken.iter().copied().filter(|item| items.binary_search(item).is_err());
        let rest = rest.collect();
        (Self::assemble(items, self.features.clone(), Level::default()), rest)
    }

    fn with_text(&self, items: &[u32]) -> Vec<u32> {
        let has_text = |item: &u32| has_text(&self.features, *item as usize);
        items.iter().copied().filter(has_text).collect()
    }

    /// Replaces the newcomers' rows of `vectors: [n_items, dim]` by what they borrow from `taken` items, rising, and reads
    /// the level off what is expected after some `histories`; `hidden: [histories, dim]`.
    pub(super) fn take_in(
        &mut self,
        taken: &[u32],
        (dim, vectors): (usize, &mut [f32]),
        (histories, hidden): (&[Vec<ItemId>], &[f32]),
        key: u64,
    ) {
        let picked = pick(&self.with_text(taken), GAUGE.0, key, "newcomers/gauge");
        let lent = lend(&self.features, (&picked, taken), dim, vectors);
        let rows: Vec<f32> = gather(&self.features, &picked);
        let profiles: Vec<f32> = histories.iter().flat_map(|items| self.profile(items)).collect();
        let (mut by_vectors, mut by_texts) = (Vec::new(), Vec::new());
        multiply(hidden, &lent, dim, &mut by_vectors);
        multiply(&profiles, &rows, self.features.dim(), &mut by_texts);
        let n = picked.len().max(1);
        let spread = |scores: &[f32]| -> f64 {
            scores.chunks_exact(n).map(|row| moments(row).1).sum::<f64>()
                / histories.len().max(1) as f64
        };
        let (vector_spread, text_spread) = (spread(&by_vectors), spread(&by_texts));
        let alpha = if text_spread > 0.0 { (vector_spread / text_spread) as f32 } else { 0.0 };
        let both: Vec<f32> = by_vectors.iter().zip(&by_texts).map(|(v, t)| v + alpha * t).collect();
        let both = spread(&both);
        let kappa = if both > 0.0 { (vector_spread / both) as f32 } else { 1.0 };
        self.level = Level {
            weight: kappa * alpha,
            middle: moments(&by_texts).0 as f32,
            spread: vector_spread as f32,
            shift: 0.0,
        };
        let mut mean = vec![0.0f32; dim];
        for &item in taken {
            let row = &vectors[item as usize * dim..][..dim];
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / taken.len() as f32);
        }
        let lent = lend(&self.features, (&self.items, taken), dim, vectors);
        for (&item, lent) in self.items.iter().zip(lent.chunks_exact(dim)) {
            let row = vectors[item as usize * dim..][..dim].iter_mut();
            row.zip(lent).zip(&mean).for_each(|((x, lent), m)| *x = m + kappa * (lent - m));
        }
    }

    /// Counts the numbers that stand for texts beside the vectors; 0 without newcomers.
    pub(super) fn width(&self) -> usize {
        if self.is_empty() { 0 } else { self.features.dim() + 1 }
    }

    /// Writes the numbers of an item whose product with those of [`write_user`](Self::write_user) is what texts say of it.
    pub(super) fn write_item(&self, item: u32, out: &mut [f32]) {
        out.fill(0.0);
        if let (Ok(at), Some((last, out))) = (self.items.binary_search(&item), out.split_last_mut())
        {
            let own = &self.own[at * out.len()..][..out.len()];
            out.iter_mut().zip(own).for_each(|(x, own)| *x = self.level.weight * own);
            *last = self.level.offset();
        }
    }

    /// Writes the numbers of somebody with this history, oldest event first.
    pub(super) fn write_user(&self, history: &[ItemId], out: &mut [f32]) {
        if let Some((last, out)) = out.split_last_mut() {
            out.copy_from_slice(&self.profile(history));
            *last = 1.0;
        }
    }

    /// Adds what texts say to the scores of newcomers; `scores: [histories, n_items]`.
    pub(super) fn speak(&self, histories: &[&[ItemId]], scores: &mut [f32]) {
        if self.is_empty() || histories.is_empty() {
            return;
        }
        let profiles: Vec<f32> = histories.iter().flat_map(|items| self.profile(items)).collect();
        let (weight, offset) = (self.level.weight, self.level.offset());
        let mut likeness = Vec::new();
        multiply(&profiles, &self.own, self.features.dim(), &mut likeness);
        let n_items = scores.len() / histories.len();
        for (row, likeness) in
            scores.chunks_exact_mut(n_items).zip(likeness.chunks_exact(self.items.len()))
        {
            for (&item, likeness) in self.items.iter().zip(likeness) {
                row[item as usize] += weight * likeness + offset;
            }
        }
    }

    /// Returns `p` of a history, oldest event first.
    fn profile(&self, history: &[ItemId]) -> Vec<f32> {
        let mut profile = Vectors::zeros(1, self.features.dim());
        let (last, decay) = SPEAKERS;
        let mut weight = 1.0;
        for item in history.iter().rev().take(last) {
            let row = self.features.row(item.index());
            profile.row_mut(0).iter_mut().zip(row).for_each(|(p, x)| *p += weight * x);
            weight *= decay;
        }
        profile.normalise();
        profile.flat().to_vec()
    }
}

/// Chooses the histories a gauge is read off: those of `n` users, spread evenly.
pub(super) fn gauge_users(n: usize) -> impl Iterator<Item = usize> {
    (0..n).step_by(n.div_ceil(GAUGE.1).max(1))
}

/// Draws `n` of `items` without repetition, rising.
fn pick(items: &[u32], n: usize, key: u64, stream: &str) -> Vec<u32> {
    let mut rng = seed::stream(key, stream);
    let mut places = sample(&mut rng, items.len(), n.min(items.len())).into_vec();
    places.sort_unstable();
    places.into_iter().map(|at| items[at]).collect()
}

/// Returns the rows of `items`, one after another.
fn gather(features: &Vectors, items: &[u32]) -> Vec<f32> {
    items.iter().flat_map(|&item| features.row(item as usize)).copied().collect()
}

fn has_text(features: &Vectors, item: usize) -> bool {
    features.row(item).iter().any(|x| x.abs() > 0.0)
}

/// Writes `out = a·bᵀ` for `a: [rows, dim]` and `b: [columns, dim]`.
fn multiply(a: &[f32], b: &[f32], dim: usize, out: &mut Vec<f32>) {
    let (rows, columns) = (a.len() / dim.max(1), b.len() / dim.max(1));
    out.clear();
    out.resize(rows * columns, 0.0);
    let (a, b) = (View::rows(a, dim), View::rows(b, dim).transposed());
    product((rows, columns, dim), (1.0, a, b), 0.0, (out, columns));
}

/// Returns mean and standard deviation.
fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// Returns what `items` borrow from `taken` ones, themselves left out: `[items, dim]`.
fn lend(
    features: &Vectors,
    (items, taken): (&[u32], &[u32]),
    dim: usize,
    vectors: &[f32],
) -> Vec<f32> {
    let lenders: Vec<u32> =
        taken.iter().copied().filter(|&item| has_text(features, item as usize)).collect();
    let width = features.dim();
    let table = gather(features, &lenders);
    let mut out = vec![0.0; items.len() * dim];
    out.par_chunks_mut(BLOCK * dim).zip(items.par_chunks(BLOCK)).for_each(|(out, items)| {
        let mut cosines = Vec::new();
        multiply(&gather(features, items), &table, width, &mut cosines);
        let rows = cosines.chunks_exact(lenders.len().max(1));
        for ((out, &item), cosines) in out.chunks_exact_mut(dim).zip(items).zip(rows) {
            let others = cosines.iter().zip(&lenders).filter(|(_, lender)| **lender != item);
            let mut nearest: Vec<(f32, u32)> = others.map(|(&x, &lender)| (x, lender)).collect();
            let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            if nearest.len() > LENDERS {
                nearest.select_nth_unstable_by(LENDERS - 1, order);
                nearest.truncate(LENDERS);
            }
            nearest.sort_unstable_by(order);
            let best = nearest.first().map_or(0.0, |first| first.0);
            let share = |cosine: f32| (SHARPNESS * (cosine - best)).exp();
            let sum: f32 = nearest.iter().map(|near| share(near.0)).sum();
            for (cosine, lender) in nearest {
                let part = share(cosine) / sum;
                let row = &vectors[lender as usize * dim..][..dim];
                out.iter_mut().zip(row).for_each(|(x, v)| *x += part * v);
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::assert_close;

    use super::*;

    /// Two directions of text; the first three items are taken, the next two are not, the last has no text.
    fn features() -> Vectors {
        let rows = vec![1.0, 0.0, 0.8, 0.6, 0.0, 1.0, 1.0, 0.0, 0.6, 0.8, 0.0, 0.0];
        Vectors::from_flat(2, rows).unwrap()
    }

    const TAKEN: [u32; 3] = [0, 1, 2];

    fn items(items: &[u32]) -> Vec<ItemId> {
        items.iter().copied().map(ItemId).collect()
    }

    #[test]
    fn untaken_items_with_a_text_are_newcomers() {
        let newcomers = Newcomers::new(&features(), |item| item < 3);
        assert_eq!(newcomers.items, [3, 4]);
        assert!(Newcomers::new(&features(), |item| item < 5).is_empty());
    }

    #[test]
    fn a_newcomer_borrows_by_the_likeness_of_texts() {
        // Cosines of item 3 with the taken ones: 1, .8, 0. Shares: 1, e^(5(.8 − 1)), e^(5(0 − 1)), scaled to sum to 1.
        let lent = lend(&features(), (&[3], &TAKEN), 1, &[1.0, 2.0, 4.0, 0.0, 0.0, 0.0]);
        let shares = [1.0f32, (-1.0f32).exp(), (-5.0f32).exp()];
        let sum: f32 = shares.iter().sum();
        assert_close(lent[0], (shares[0] + 2.0 * shares[1] + 4.0 * shares[2]) / sum, 1e-5);
        // A taken item does not borrow from itself: item 0 has .8 and 0 left.
        let lent = lend(&features(), (&[0], &TAKEN), 1, &[9.0, 2.0, 4.0, 0.0, 0.0, 0.0]);
        let share = (-4.0f32).exp();
        assert_close(lent[0], (2.0 + 4.0 * share) / (1.0 + share), 1e-5);
    }

    #[test]
    fn nobody_to_borrow_from_means_the_mean_of_all() {
        let mut newcomers = Newcomers::new(&features(), |item| item == 5);
        let mut vectors = vec![7.0; 6];
        newcomers.take_in(&[5], (1, &mut vectors), (&[], &[]), 1);
        assert!(vectors.iter().all(|x| x.is_finite()));
        let mut scores = [0.0; 6];
        newcomers.speak(&[&items(&[5])], &mut scores);
        assert!(scores.iter().all(|x| x.is_finite()), "{scores:?}");
    }

    #[test]
    fn borrowed_scores_and_likeness_together_vary_as_borrowed_ones_do() {
        let mut newcomers = Newcomers::new(&features(), |item| item < 3);
        let mut vectors = vec![1.0, 0.5, -1.0, 0.0, 0.0, 0.0];
        let histories = [items(&[0]), items(&[2, 1])];
        newcomers.take_in(&TAKEN, (1, &mut vectors), (&histories, &[1.0, -2.0]), 1);
        let lent = lend(&features(), (&TAKEN, &TAKEN), 1, &vectors);
        let Level { weight, spread, .. } = newcomers.level;
        let (_, of_lent) = moments(&lent);
        // Hidden values of 1 and −2: spreads of |1| and |−2| times that of the lent vectors, 1.5 on average.
        assert_close(spread, 1.5 * of_lent, 1e-5);
        assert!(weight > 0.0);
        // What item 3 borrowed lies between the mean, 1/6, and what it would borrow alone.
        let alone = lend(&features(), (&[3], &TAKEN), 1, &vectors)[0];
        assert!(vectors[3] > 1.0 / 6.0 && vectors[3] < alone, "{vectors:?} {alone}");
    }

    #[test]
    fn the_shift_lifts_newcomers_alone() {
        let mut newcomers = Newcomers::new(&features(), |item| item < 3);
        let mut vectors = vec![1.0, 0.5, -1.0, 0.0, 0.0, 0.0];
        let histories = [items(&[0, 1])];
        newcomers.take_in(&TAKEN, (1, &mut vectors), (&histories, &[1.0]), 1);
        let said = |newcomers: &Newcomers| {
            let mut scores = [0.0; 6];
            newcomers.speak(&[&histories[0]], &mut scores);
            scores
        };
        let before = said(&newcomers);
        newcomers.level.shift = 2.0;
        let after = said(&newcomers);
        let rise = 2.0 * newcomers.level.spread;
        for item in 0..6 {
            let want = if newcomers.items.contains(&item) { rise } else { 0.0 };
            assert_close(after[item as usize] - before[item as usize], want, 1e-5);
        }
        // The history lies nearer to the text of item 3.
        assert!(before[3] > before[4], "{before:?}");
    }

    #[test]
    fn some_taken_items_are_made_newcomers_to_choose_the_shift() {
        let newcomers = Newcomers::new(&features(), |item| item < 3);
        let (trial, rest) = newcomers.made_of(&TAKEN, 7);
        // A third of the items are newcomers, at most .3 are drawn: one of three.
        assert_eq!((trial.items.len(), rest.len()), (1, 2));
        assert!(TAKEN.contains(&trial.items[0]) && !rest.contains(&trial.items[0]));
    }

    #[test]
    fn a_level_survives_as_bits() {
        let level = Level { weight: 0.1, middle: -3.0e-9, spread: 1.0 / 3.0, shift: -1.5 };
        assert_eq!(Level::of_bits(level.bits()), Some(level));
        assert_eq!(Level::of_bits([0, f32::NAN.to_bits(), 0, 0]), None);
    }
}
