//! Several fitted models as one: `score(i) = Σ_p w_p(|history|) · normalise(score_p)(i)`.
//! A `Recommender` like any other.

use tastemaker_core::{History, ItemId, Recommender, Request};

use crate::reorder::{FEW, Head};
use crate::{Cold, Gate, ItemFacts, Normalise, Reorder};

/// A model with its place in the sum.
#[derive(Clone, Debug)]
pub struct Part<M> {
    /// Name of the model.
    pub name: String,
    /// The fitted model; may know fewer items than the catalogue has.
    pub model: M,
    /// Reads texts, and so has an opinion of items nobody has touched.
    pub reads_text: bool,
    /// Does not care in which order events came; trees look at its scores for the newest few events too.
    pub ignores_order: bool,
}

/// The fused model.
#[derive(Clone, Debug)]
pub struct Fused<M> {
    parts: Vec<Part<M>>,
    n_items: usize,
    normalise: Normalise,
    gate: Gate,
    cold: Cold,
    reorder: Option<Reorder>,
}

/// Numbers that the scores of all parts may take at a time when trees look at them.
const SCORES_AT_ONCE: usize = 1 << 25;

/// Writes the normalised scores, `[requests, n_items]`, of the part with this number.
type Write<'a> = &'a mut dyn FnMut(usize, &mut [f32]);

impl<M: Recommender> Fused<M> {
    /// Puts parts and weights together; `None` when their numbers differ or there is no part.
    pub fn new(
        parts: Vec<Part<M>>,
        n_items: usize,
        normalise: Normalise,
        gate: Gate,
        cold: Cold,
    ) -> Option<Self> {
        let fits =
            !parts.is_empty() && gate.buckets().iter().all(|b| b.weights.len() == parts.len());
        fits.then_some(Self { parts, n_items, normalise, gate, cold, reorder: None })
    }

    /// Lets trees order the head of every list anew.
    #[must_use]
    pub fn with_reorder(mut self, reorder: Option<Reorder>) -> Self {
        self.reorder = reorder;
        self
    }

    /// Uses another scale and other weights; `None` when those are not for as many parts.
    pub fn with_weights(self, normalise: Normalise, gate: Gate) -> Option<Self> {
        Self::new(self.parts, self.n_items, normalise, gate, self.cold)
    }

    /// Returns what orders the head of every list anew, if anything does.
    pub const fn reorder(&self) -> Option<&Reorder> {
        self.reorder.as_ref()
    }

    /// Lists the parts.
    pub fn parts(&self) -> &[Part<M>] {
        &self.parts
    }

    /// Names the parts, each with whether it ignores the order of events.
    pub fn names(&self) -> Vec<(&str, bool)> {
        self.parts.iter().map(|part| (part.name.as_str(), part.ignores_order)).collect()
    }

    /// Returns the parts for change, so that a text model can take new items in.
    pub fn parts_mut(&mut self) -> &mut [Part<M>] {
        &mut self.parts
    }

    /// Returns the scale on which scores are added.
    pub const fn normalise(&self) -> Normalise {
        self.normalise
    }

    /// Returns the learnt weights.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Says from whom cold items borrow.
    pub fn cold(&self) -> &Cold {
        &self.cold
    }

    /// Widens the catalogue to `n_items`; `cold` and `facts` must speak for the new ones.
    pub fn grow(&mut self, n_items: usize, cold: Cold, facts: ItemFacts) {
        self.n_items = n_items.max(self.n_items);
        self.cold = cold;
        if let Some(reorder) = &mut self.reorder {
            reorder.know(facts);
        }
    }

    /// Writes every part's own scores: `scores` is `[parts, requests, n_items]`.
    pub(crate) fn part_scores(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let block = requests.len() * self.n_items;
        for (part, out) in self.parts.iter().zip(scores.chunks_exact_mut(block.max(1))) {
            self.raw(part, requests, out);
        }
    }

    pub(crate) fn normalised(&self, part: &Part<M>, requests: &[Request<'_>], out: &mut [f32]) {
        self.raw(part, requests, out);
        for (request, row) in requests.iter().zip(out.chunks_exact_mut(self.n_items.max(1))) {
            self.normalise.apply(row, request.history.items);
        }
    }

    fn raw(&self, part: &Part<M>, requests: &[Request<'_>], out: &mut [f32]) {
        let known = part.model.n_items();
        if known == self.n_items {
            part.model.score_batch(requests, out);
        } else {
            let mut narrow = vec![0.0; requests.len() * known];
            part.model.score_batch(requests, &mut narrow);
            let shared = known.min(self.n_items);
            for (row, from) in
                out.chunks_exact_mut(self.n_items).zip(narrow.chunks_exact(known.max(1)))
            {
                let lowest = from.iter().copied().fold(f32::INFINITY, f32::min);
                row.fill(if lowest.is_finite() { lowest } else { 0.0 });
                row[..shared].copy_from_slice(&from[..shared]);
            }
        }
    }

    /// Writes the weighted sums, `scores: [requests, n_items]`; `write` is asked for the normalised scores of all parts, and without it those
    /// that have a weight are.
    fn sums(&self, requests: &[Request<'_>], scores: &mut [f32], mut write: Option<Write<'_>>) {
        let width = self.n_items.max(1);
        scores.fill(0.0);
        let mut part_scores = vec![0.0; requests.len() * self.n_items];
        let mut text_scores = vec![0.0; if self.cold.is_empty() { 0 } else { part_scores.len() }];
        for (p, part) in self.parts.iter().enumerate() {
            let is_mute = self.gate.buckets().iter().all(|b| b.weights[p].abs() < f32::EPSILON);
            match &mut write {
                Some(write) => write(p, &mut part_scores),
                None if is_mute => continue,
                None => self.normalised(part, requests, &mut part_scores),
            }
            if is_mute {
                continue;
            }
            let is_apart = part.reads_text && !self.cold.is_empty();
            let sums = if is_apart { &mut text_scores[..] } else { &mut *scores };
            let rows = sums.chunks_exact_mut(width).zip(part_scores.chunks_exact(width));
            for (request, (row, add)) in requests.iter().zip(rows) {
                let weight = self.gate.weights(request.history.len())[p];
                for (score, add) in row.iter_mut().zip(add) {
                    *score += weight * add;
                }
            }
        }
        if !self.cold.is_empty() {
            for (row, text) in scores.chunks_exact_mut(width).zip(text_scores.chunks_exact(width)) {
                self.cold.settle(row, text);
            }
        }
    }

    /// Writes the weighted sums and returns the head of each list as trees see it.
    pub(crate) fn heads(
        &self,
        requests: &[Request<'_>],
        scores: &mut [f32],
        seen_by_trees: (&ItemFacts, usize),
    ) -> Vec<Head> {
        let (n, block) = (self.n_items, requests.len() * self.n_items);
        // Parts that ignore the order of events are asked by all and by the newest of them at once: their tables are read once.
        let by_newest: Vec<Request<'_>> = requests.iter().map(newest).collect();
        let twice = [requests, &by_newest].concat();
        let room = || Vec::with_capacity(self.parts.len() * block);
        let (mut whole, mut short) = (room(), room()); // [parts, requests, items]
        let mut write = |p: usize, out: &mut [f32]| {
            let part = &self.parts[p];
            let asked = if part.ignores_order { &twice[..] } else { requests };
            let mut rows = vec![0.0; asked.len() * n];
            self.normalised(part, asked, &mut rows);
            let (own, newest) = rows.split_at(block);
            out.copy_from_slice(own);
            whole.extend_from_slice(own);
            short.extend_from_slice(newest);
        };
        self.sums(requests, scores, Some(&mut write));
        let blocks = || whole.chunks_exact(block.max(1)).chain(short.chunks_exact(block.max(1)));
        let head = |(at, request): (usize, &Request<'_>)| {
            let parts = blocks().map(|scores| &scores[at * n..][..n]);
            Head::new(request, &scores[at * n..][..n], parts, seen_by_trees)
        };
        requests.iter().enumerate().map(head).collect()
    }

    /// Returns each part's weighted share in the score of `item`, in the order of the parts.
    pub fn shares(&self, request: &Request<'_>, item: ItemId) -> Vec<f32> {
        let weights = self.gate.weights(request.history.len());
        let mut row = vec![0.0; self.n_items];
        let lenders = self.cold.lenders(item);
        let share = |(part, weight): (&Part<M>, &f32)| {
            self.normalised(part, std::slice::from_ref(request), &mut row);
            if lenders.is_empty() || part.reads_text {
                return weight * row.get(item.index()).copied().unwrap_or(0.0);
            }
            weight
                * lenders.iter().map(|lender| lender.score * row[lender.item.index()]).sum::<f32>()
        };
        let mut shares: Vec<f32> = self.parts.iter().zip(weights).map(share).collect();
        let total: f32 = shares.iter().sum();
        if !lenders.is_empty() && total.abs() > f32::EPSILON {
            // A borrowed score is stretched; so are its shares, that they add up to it.
            self.sums(std::slice::from_ref(request), &mut row, None);
            shares.iter_mut().for_each(|share| *share *= row[item.index()] / total);
        }
        shares
    }
}

impl<M: Recommender> Recommender for Fused<M> {
    fn n_items(&self) -> usize {
        self.n_items
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let Some(reorder) = self.reorder.as_ref().filter(|reorder| reorder.is_at_work()) else {
            return self.sums(requests, scores, None);
        };
        let width = self.n_items.max(1);
        let at_once = (SCORES_AT_ONCE / (width * self.parts.len())).max(1);
        for (requests, scores) in requests.chunks(at_once).zip(scores.chunks_mut(at_once * width)) {
            let heads = self.heads(requests, scores, (reorder.facts(), reorder.depth()));
            for (head, row) in heads.iter().zip(scores.chunks_exact_mut(width)) {
                head.settle(reorder.forest(), row);
            }
        }
    }
}

/// Asks for a stranger with the newest events alone.
pub(crate) fn newest<'a>(request: &Request<'a>) -> Request<'a> {
    let History { items, values, times } = request.history;
    let from = items.len().saturating_sub(FEW);
    let history = History { items: &items[from..], values: &values[from..], times: &times[from..] };
    Request { user: None, history, ..*request }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::assert_all_close;

    use super::*;

    /// Scores items by a fixed row.
    struct Fixed(Vec<f32>);

    impl Recommender for Fixed {
        fn n_items(&self) -> usize {
            self.0.len()
        }

        fn score(&self, _: &Request<'_>, scores: &mut [f32]) {
            scores.copy_from_slice(&self.0);
        }
    }

    fn part(row: &[f32], reads_text: bool) -> Part<Fixed> {
        let (name, model) = ("fixed".into(), Fixed(row.to_vec()));
        Part { name, model, reads_text, ignores_order: true }
    }

    fn fused(parts: Vec<Part<Fixed>>, n_items: usize, weights: Vec<f32>) -> Fused<Fixed> {
        let gate = Gate::same(weights);
        Fused::new(parts, n_items, Normalise::ZScore, gate, Cold::default()).unwrap()
    }

    #[test]
    fn scores_are_the_weighted_sum_of_z_scores() {
        // z of [1, 3] is [-1, 1]; z of [4, 0] is [1, -1]; .75 and .25 of them give [-.5, .5]
        let model =
            fused(vec![part(&[1.0, 3.0], false), part(&[4.0, 0.0], true)], 2, vec![0.75, 0.25]);
        let mut scores = [0.0; 2];
        model.score(&Request::default(), &mut scores);
        assert_all_close(&scores, &[-0.5, 0.5], 1e-5);
        assert_all_close(&model.shares(&Request::default(), ItemId(1)), &[0.75, -0.25], 1e-5);
    }

    #[test]
    fn one_part_alone_keeps_its_order() {
        let model = fused(vec![part(&[3.0, 1.0, 2.0], false)], 3, vec![1.0]);
        let items: Vec<u32> =
            model.recommend(&Request::default(), 9).iter().map(|s| s.item.0).collect();
        assert_eq!(items, [0, 2, 1]);
    }

    #[test]
    fn a_part_that_knows_fewer_items_ranks_the_others_last() {
        let model = fused(vec![part(&[3.0, 1.0], false)], 3, vec![1.0]);
        let items: Vec<u32> =
            model.recommend(&Request::default(), 9).iter().map(|s| s.item.0).collect();
        assert_eq!(items, [0, 1, 2]);
        let seen = [ItemId(7)];
        let history = History { items: &seen, values: &[1.0], times: &[0] };
        assert_eq!(model.recommend(&Request::new(None, history), 9).len(), 3);
    }

    #[test]
    fn weights_for_another_number_of_parts_are_refused() {
        let gate = Gate::same(vec![1.0, 1.0]);
        assert!(
            Fused::new(vec![part(&[1.0], false)], 1, Normalise::ZScore, gate, Cold::default())
                .is_none()
        );
    }
}
