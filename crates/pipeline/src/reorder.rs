//! The head of a fused list, ordered anew by trees that see more than the sum: each part's score and place, how popular an
//! item is, how long the history, how near its texts.
//!
//! Items keep the scores of the places they come to, so that scores stay on the scale of the sum. Items without events keep their places:
//! there was none that trees could have learnt of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use tastemaker_core::{Progress, Recommender, Request, Vectors, top_k};
use tastemaker_kernels::{Layout, gemm};

use crate::boost::{Lists, train};
use crate::learn::{BATCH, rows};
use crate::{Cases, Forest, Fused, FusionSettings};

/// Newest events whose texts and popularity speak.
const NEWEST: usize = 10;
/// Newest events that parts which ignore the order of events are also asked about.
pub(crate) const FEW: usize = 3;

/// What is known of items beside the scores of the parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemFacts {
    /// `[n_items]`: events of each item.
    counts: Vec<u32>,
    /// `[n_items, dim]`: text vectors of length 1; 0 where there is no text.
    vectors: Option<Arc<Vectors>>,
}

impl ItemFacts {
    /// Puts together what is known.
    pub fn new(counts: Vec<u32>, vectors: Option<Arc<Vectors>>) -> Self {
        Self { counts, vectors }
    }

    fn is_known(&self, item: usize) -> bool {
        self.counts.get(item).is_some_and(|&count| count > 0)
    }

    fn popularity(&self, item: usize) -> f32 {
        self.counts.get(item).map_or(0.0, |&count| (count as f32).ln_1p())
    }

    fn text(&self, item: usize) -> Option<&[f32]> {
        self.vectors.as_ref().filter(|vectors| item < vectors.rows()).map(|v| v.row(item))
    }
}

/// What orders the head of a fused list anew.
#[derive(Clone, Debug)]
pub struct Reorder {
    forest: Forest,
    facts: ItemFacts,
    depth: usize,
}

impl Reorder {
    /// Puts it together; `None` when the trees were grown on something else than the scores of these `parts` and such facts.
    pub fn new(
        forest: Forest,
        parts: &[(&str, bool)],
        facts: ItemFacts,
        depth: usize,
    ) -> Option<Self> {
        let fits = forest.fits(&features(parts, &facts)) && depth > 0;
        fits.then_some(Self { forest, facts, depth })
    }

    /// Returns the trees.
    pub const fn forest(&self) -> &Forest {
        &self.forest
    }

    /// Returns how many items at the head are ordered anew.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn know(&mut self, facts: ItemFacts) {
        self.facts = facts;
    }

    pub(crate) const fn facts(&self) -> &ItemFacts {
        &self.facts
    }

    /// Tells whether there are trees.
    pub(crate) const fn is_at_work(&self) -> bool {
        !self.forest.is_empty()
    }
}

/// Grows trees on the lists that `fused` makes of `cases`, of which its parts must not have learnt; without trees where those
/// would not do better.
///
/// The result depends on `seed` alone, not on the number of threads.
pub fn reorder<M: Recommender>(
    fused: &Fused<M>,
    cases: &Cases<'_>,
    (settings, facts): (&FusionSettings, &ItemFacts),
    seed: u64,
    progress: &dyn Progress,
) -> Forest {
    let boost = &settings.boost;
    let rows = rows(cases, fused.n_items(), (boost.users, seed));
    let n_batches = rows.len().div_ceil(BATCH);
    let done = AtomicUsize::new(0);
    let batches: Vec<Vec<(Head, usize)>> = rows
        .par_chunks(BATCH)
        .map(|rows| {
            let request =
                |&row: &usize| Request::new(Some(cases.users[row]), cases.histories.row(row));
            let requests: Vec<Request<'_>> = rows.iter().map(request).collect();
            let mut scores = vec![0.0; rows.len() * fused.n_items()];
            let heads = fused.heads(&requests, &mut scores, (facts, boost.depth));
            let wanted = |(&row, head): (&usize, Head)| -> Vec<(Head, usize)> {
                let targets = cases.targets.row(row).items.iter();
                let place = |target: usize| head.items.iter().position(|&item| item == target);
                let found = targets.filter_map(|target| place(target.index()));
                found.map(|place| (head.clone(), place)).collect()
            };
            let found = rows.iter().zip(heads).flat_map(wanted).collect();
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            progress.report("looking at lists", done, n_batches);
            found
        })
        .collect();
    let names = fused.names();
    let mut lists =
        Lists { features: features(&names, facts), offsets: vec![0], ..Lists::default() };
    for (head, target) in batches.into_iter().flatten() {
        lists.rows.extend(head.rows);
        lists.before.extend(head.sums);
        lists.offsets.push(lists.before.len());
        lists.targets.push(target);
    }
    train(&lists, boost, progress)
}

/// Names what the trees see of these parts, each with whether it ignores the order of events.
pub fn features(parts: &[(&str, bool)], facts: &ItemFacts) -> Vec<String> {
    let both = |part: String| [format!("{part}: score"), format!("{part}: place")];
    let whole = parts.iter().map(|(part, _)| (*part).to_owned());
    let newest = parts.iter().filter(|(_, ignores_order)| *ignores_order);
    let newest = newest.map(|(part, _)| format!("{part} by the newest {FEW}"));
    let mut names: Vec<String> = whole.chain(newest).flat_map(both).collect();
    let others = ["sum", "sum: behind the first", "sum: place", "popularity", "events of the user"];
    names.extend(others.map(String::from));
    names.push("popularity of what the user took".into());
    if facts.vectors.is_some() {
        let texts = ["text: nearest event", "text: newest event", "text: events on average"];
        names.extend(texts.map(String::from));
    }
    names
}

/// A list's head as the trees see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// Its items, best sum first.
    pub(crate) items: Vec<usize>,
    /// `[items]`.
    pub(crate) sums: Vec<f32>,
    /// `[items, features]`.
    pub(crate) rows: Vec<f32>,
}

impl Head {
    /// Looks at the `depth` best items of `sums: [n_items]` that have events; `scores` gives each part's normalised scores, `[n_items]`, then
    /// those of parts that ignore the order of events by the newest of them.
    pub(crate) fn new<'a>(
        request: &Request<'_>,
        sums: &[f32],
        scores: impl Iterator<Item = &'a [f32]>,
        (facts, depth): (&ItemFacts, usize),
    ) -> Self {
        let mut masked = sums.to_vec();
        request.mask(&mut masked);
        let mut best = top_k(&masked, depth);
        best.retain(|scored| facts.is_known(scored.item.index()));
        let items: Vec<usize> = best.iter().map(|scored| scored.item.index()).collect();
        let sums: Vec<f32> = best.iter().map(|scored| scored.score).collect();
        let mut columns: Vec<Vec<f32>> = Vec::new();
        for part in scores {
            let own: Vec<f32> = items.iter().map(|&item| part[item]).collect();
            let places = places(&own);
            columns.extend([own, places]);
        }
        let first = sums.first().copied().unwrap_or_default();
        let history = request.history.items;
        let newest = &history[history.len().saturating_sub(NEWEST)..];
        let known = newest.iter().map(|item| facts.popularity(item.index())).sum::<f32>()
            / newest.len().max(1) as f32;
        let same = |value: f32| vec![value; items.len()];
        columns.extend([
            sums.clone(),
            sums.iter().map(|sum| first - sum).collect(),
            (0..items.len()).map(|place| (place as f32).ln_1p()).collect(),
            items.iter().map(|&item| facts.popularity(item)).collect(),
            same((history.len() as f32).ln_1p()),
            same(known),
        ]);
        if facts.vectors.is_some() {
            columns.extend(by_text(facts, newest.iter().rev().map(|item| item.index()), &items));
        }
        let row = |place: usize| columns.iter().map(move |column| column[place]);
        let rows = (0..items.len()).flat_map(row).collect();
        Self { items, sums, rows }
    }

    /// Gives the items of the head, in the order of the trees, the scores of the head's places.
    pub(crate) fn settle(&self, forest: &Forest, scores: &mut [f32]) {
        let width = self.rows.len() / self.items.len().max(1);
        let mut order: Vec<(f32, usize)> = self
            .sums
            .iter()
            .zip(self.rows.chunks_exact(width.max(1)))
            .zip(&self.items)
            .map(|((&sum, row), &item)| (forest.margin(sum, row), item))
            .collect();
        // Stable: of equals, the one with the better sum stays before the other.
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut above = f32::INFINITY;
        for (&sum, (_, item)) in self.sums.iter().zip(order) {
            above = sum.min(above.next_down());
            scores[item] = above;
        }
    }
}

/// `ln(1 + place)` of each value, the greatest first; of equals the mean place.
fn places(values: &[f32]) -> Vec<f32> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let mut places = vec![0.0; values.len()];
    let mut better = 0;
    for level in order.chunk_by(|&a, &b| values[a].total_cmp(&values[b]).is_eq()) {
        let place = (better as f32 + (level.len() - 1) as f32 / 2.0).ln_1p();
        level.iter().for_each(|&i| places[i] = place);
        better += level.len();
    }
    places
}

/// Cosines of each item's text with the nearest, the newest and all of the newest events, which come newest first.
fn by_text(
    facts: &ItemFacts,
    newest: impl Iterator<Item = usize>,
    items: &[usize],
) -> [Vec<f32>; 3] {
    let said: Vec<&[f32]> = newest.filter_map(|item| facts.text(item)).collect();
    let (n_said, said) = (said.len(), said.concat());
    let (mut nearest, mut last, mut mean) = (Vec::new(), Vec::new(), Vec::new());
    for &item in items {
        let mut cosines = vec![0.0; n_said];
        if let Some(text) = facts.text(item) {
            let (text, said) = ((text, Layout::Plain), (&said[..], Layout::Transposed));
            gemm((1, n_said, text.0.len()), 1.0, text, said, 0.0, &mut cosines);
        }
        nearest.push(cosines.iter().copied().fold(0.0, f32::max));
        last.push(cosines.first().copied().unwrap_or_default());
        mean.push(cosines.iter().sum::<f32>() / cosines.len().max(1) as f32);
    }
    [nearest, last, mean]
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{History, ItemId};
    use tastemaker_testkit::assert_all_close;

    use super::*;

    #[test]
    fn a_head_shows_scores_places_popularity_and_texts() {
        let vectors = Vectors::from_flat(2, vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0, 0.0, 0.0]).unwrap();
        let facts = ItemFacts::new(vec![3, 1, 7, 0], Some(Arc::new(vectors)));
        let seen = [ItemId(0)];
        let history = History { items: &seen, values: &[1.0], times: &[0] };
        let request = Request::new(None, history);
        let part = [9.0, 1.0, 2.0, 2.0];
        let sums = [9.0, 0.5, 0.4, 0.45];
        let head = Head::new(&request, &sums, std::iter::once(&part[..]), (&facts, 3));
        assert_eq!(head.items, [1, 2], "neither what was seen nor what nobody took");
        let (ln2, ln4) = (2f32.ln(), 4f32.ln());
        // score, place, sum, gap, place, popularity, events, popularity of those, nearest, newest, mean
        let first = [1.0, ln2, 0.5, 0.0, 0.0, ln2, ln2, ln4, 0.6, 0.6, 0.6];
        let second = [2.0, 0.0, 0.4, 0.1, ln2, 8f32.ln(), ln2, ln4, 0.0, 0.0, 0.0];
        assert_all_close(&head.rows, &[first, second].concat(), 1e-5);
        assert_eq!(features(&[("a", false)], &facts).len() * 2, head.rows.len());
    }

    #[test]
    fn places_of_equals_are_shared() {
        assert_all_close(&places(&[5.0, 5.0, 9.0]), &[2.5f32.ln(), 2.5f32.ln(), 0.0], 1e-6);
        assert_all_close(&places(&[5.0, 5.0]), &[1.5f32.ln(), 1.5f32.ln()], 1e-6);
        assert!(places(&[]).is_empty());
    }

    #[test]
    fn items_take_over_the_scores_of_the_places_they_come_to() {
        let head = Head { items: vec![4, 2, 0], sums: vec![3.0, 2.0, 2.0], rows: vec![0.0; 3] };
        // Without trees the sums decide, turned round by a negative start.
        let forest: Forest = serde_json::from_str(
            r#"{ "features": ["x"], "start": -1.0, "trees": [], "importance": [0.0] }"#,
        )
        .unwrap();
        let mut scores = [0.0, 1.0, 0.0, 1.0, 0.0];
        head.settle(&forest, &mut scores);
        assert_all_close(&scores, &[2.0, 1.0, 3.0, 1.0, 2.0], 1e-5);
        assert!(scores[0] > scores[4], "what was equal is told apart");
    }
}
