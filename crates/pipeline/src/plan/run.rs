//! One request through the pipeline.

use std::sync::Arc;

use tastemaker_core::{Clock, History, ItemId, Request, Scored, top_k};

use super::adjust;
use super::compile::{From, Plan, Rule, Variant};
use super::llm;
use super::settings::{Combine, Plain};
use super::sources;
use super::trace::{Stage, Trace};
use crate::Blend;

/// Candidates that go on where every item of the catalogue is one.
const KEPT: usize = 1000;
/// The constant of reciprocal-rank fusion.
const RANK_OFFSET: f32 = 60.0;

/// What is asked of a pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks, with their history.
    pub request: Request<'a>,
    /// The page, the device, the arm of an experiment: what variants look at.
    pub context: &'a [(String, String)],
    /// How many items.
    pub n: usize,
    /// Keeps what there was after each stage.
    pub traced: bool,
    /// Varies what is drawn for one user and history; the same number, the same draws.
    pub draw: u64,
}

/// Notes stages as they end.
struct Notes<'a> {
    clock: &'a dyn Clock,
    since: f64,
    keeps: bool,
    trace: Trace,
}

impl Notes<'_> {
    fn stage(&mut self, name: &'static str, list: &[Scored]) {
        let now = self.clock.seconds();
        let list = if self.keeps { list.to_vec() } else { Vec::new() };
        self.trace.stages.push(Stage { name, seconds: now - self.since, list });
        self.since = self.clock.seconds();
    }
}

impl Plan {
    /// Lists up to `n` items, best first, and says how they came to be there.
    ///
    /// As long as an item is allowed, the list is not empty: what sources fail to bring is filled up from the rest.
    pub fn run(
        &self,
        model: &dyn Blend,
        asked: &Asked<'_>,
        clock: &dyn Clock,
    ) -> (Vec<Scored>, Trace) {
        let variant = self.variant(asked);
        let trace = Trace { variant: variant.name.clone(), ..Trace::default() };
        let mut notes = Notes { clock, since: clock.seconds(), keeps: asked.traced, trace };
        let n_items = model.n_items();
        let request = &asked.request;
        let rows = model.part_rows(request);
        notes.stage("parts", &[]);
        let open = open(variant, request, n_items);
        notes.stage("filter", &[]);
        let found = self.found(variant, (request, &rows), (&open, self.seed ^ asked.draw));
        let mut is_candidate = open.clone();
        if !found.is_empty() {
            is_candidate.fill(false);
            let items = found.iter().flatten().map(|scored| scored.item.index());
            items.for_each(|item| is_candidate[item] = true);
        }
        notes.stage("sources", &[]);
        let scores = combined(variant, model, (request, &rows), (&found, &is_candidate));
        let mut list = top_k(&scores, KEPT.max(asked.n));
        if asked.traced {
            let names = variant.sources.iter().map(|source| source.name.clone());
            notes.trace.sources = names.zip(found).collect();
        }
        notes.stage("score", &list);
        self.moved(variant, asked, &mut list, &mut notes);
        list.truncate(asked.n);
        if list.len() < asked.n && self.fill(&mut list, &open, asked.n) {
            notes.stage("fill", &list);
        }
        adjust::level(&mut list);
        notes.trace.chances.truncate(list.len());
        (list, notes.trace)
    }

    fn variant(&self, asked: &Asked<'_>) -> &Variant {
        let segment = self.settings.segment(asked.request.history.len());
        let fits = |variant: &&Variant| {
            variant.segment.is_none_or(|wanted| wanted == segment)
                && variant.context.iter().all(|pair| asked.context.contains(pair))
        };
        let last = self.variants.len() - 1; // the pipeline itself fits all
        self.variants.iter().find(fits).unwrap_or(&self.variants[last])
    }

    /// Asks every source.
    fn found(
        &self,
        variant: &Variant,
        (request, rows): (&Request<'_>, &[f32]),
        (open, seed): (&[bool], u64),
    ) -> Vec<Vec<Scored>> {
        let n_items = open.len();
        let ask = |source: &super::compile::Source| match source.from {
            From::Part(part) => {
                let row = &rows[part * n_items..][..n_items];
                let masked: Vec<f32> = row
                    .iter()
                    .zip(open)
                    .map(|(score, open)| if *open { *score } else { f32::NEG_INFINITY })
                    .collect();
                top_k(&masked, source.n)
            }
            From::Plain(plain) => {
                sources::candidates(plain, (&self.catalogue, request), open, (source.n, seed))
            }
        };
        variant.sources.iter().map(ask).collect()
    }

    /// Moves what the settings want to stand elsewhere.
    fn moved(
        &self,
        variant: &Variant,
        asked: &Asked<'_>,
        list: &mut Vec<Scored>,
        notes: &mut Notes<'_>,
    ) {
        let user = asked.request.user;
        let at = |values: &[f32], item: ItemId| values.get(item.index()).copied().unwrap_or(0.0);
        let mut more: Vec<(Arc<Vec<bool>>, f32)> = Vec::new();
        for rule in &variant.rules {
            if let Rule::Boost(which, by) = rule {
                more.push((which.answers(user), *by));
            }
        }
        if variant.freshness > 0.0 || variant.popularity_discount > 0.0 || !more.is_empty() {
            adjust::add(list, |item| {
                let boosts =
                    more.iter().filter(|(which, _)| which.get(item.index()) == Some(&true));
                variant.freshness * at(&self.novelty, item)
                    - variant.popularity_discount * at(&self.popularity, item)
                    + boosts.map(|(_, by)| by).sum::<f32>()
            });
            notes.stage("adjust", list);
        }
        let head = asked.n.max(self.mixer.settings().depth);
        if variant.same_text > 0.0 {
            adjust::one_of_each(list, &self.catalogue, variant.same_text, head);
            notes.stage("same text", list);
        }
        let history = asked.request.history;
        if variant.llm.is_asked(history.len()) && list.len() > 1 {
            let placed = llm::reorder(self.arbiter.as_deref(), &variant.llm, history, list);
            let note = |why| format!("the list goes without the language model: {why}");
            notes.trace.notes.extend(placed.err().map(note));
            notes.stage("language model", list);
        }
        if !self.mixer.settings().is_off() {
            let order = self.mixer.order(asked.request.history.items, list);
            let head: Vec<Scored> = order.iter().map(|&place| list[place]).collect();
            list[..head.len()].copy_from_slice(&head);
            notes.stage("variety", list);
        }
        let mut ruled = false;
        for rule in &variant.rules {
            match rule {
                Rule::Bury(which) => adjust::bury(list, &which.answers(user)),
                Rule::Quota { labels, most, within } => adjust::quota(list, labels, *most, *within),
                Rule::Share { labels, shares } => adjust::share(list, labels, shares),
                Rule::Boost(..) | Rule::Never(_) => continue,
            }
            ruled = true;
        }
        if ruled {
            notes.stage("rules", list);
        }
        let pins = self.pins(variant, &asked.request);
        // What is pinned is not drawn: chances would be untrue.
        list.retain(|scored| pins.iter().all(|(_, item)| *item != scored.item));
        if variant.explored.0 > 0.0 {
            let key = sources::key(self.seed ^ asked.draw, &asked.request);
            notes.trace.chances = adjust::explore(list, asked.n, variant.explored, key);
            notes.stage("explore", list);
        }
        if !variant.pins.is_empty() {
            adjust::pin(list, &mut notes.trace.chances, &pins);
            notes.stage("pins", list);
        }
    }

    /// Returns the places of the items that stand at fixed ones and may be shown.
    fn pins(&self, variant: &Variant, request: &Request<'_>) -> Vec<(usize, ItemId)> {
        if variant.pins.is_empty() {
            return Vec::new();
        }
        let open = open(variant, request, self.catalogue.counts.len());
        let is_open = |item: ItemId| open.get(item.index()) == Some(&true);
        variant.pins.iter().copied().filter(|(_, item)| is_open(*item)).collect()
    }

    /// Fills a short list with what is allowed, most popular first; tells whether there was anything.
    fn fill(&self, list: &mut Vec<Scored>, open: &[bool], n: usize) -> bool {
        let mut open = open.to_vec();
        list.iter().for_each(|scored| {
            if let Some(open) = open.get_mut(scored.item.index()) {
                *open = false;
            }
        });
        let wanted = n - list.len();
        let request = Request::new(None, History::default());
        let more = sources::candidates(
            Plain::Popular,
            (&self.catalogue, &request),
            &open,
            (wanted, self.seed),
        );
        let lowest = list.last().map_or(0.0, |scored| scored.score);
        list.extend(more.iter().map(|scored| Scored { score: lowest, ..*scored }));
        !more.is_empty()
    }
}

/// Says which items may be shown at all.
fn open(variant: &Variant, request: &Request<'_>, n_items: usize) -> Vec<bool> {
    let mut open = vec![true; n_items];
    let seen = if request.keep_seen { &[] } else { request.history.items };
    for item in seen.iter().chain(request.exclude) {
        if let Some(open) = open.get_mut(item.index()) {
            *open = false;
        }
    }
    if let Some(filter) = &variant.filter {
        let allowed = filter.answers(request.user);
        open.iter_mut().zip(0..).for_each(|(open, item): (&mut bool, usize)| {
            *open &= allowed.get(item).copied().unwrap_or(false);
        });
    }
    for rule in &variant.rules {
        if let Rule::Never(which) = rule {
            let never = which.answers(request.user);
            open.iter_mut().zip(never.iter()).for_each(|(open, never)| *open &= !never);
        }
    }
    open
}

/// Gives every candidate one score, and all others none.
fn combined(
    variant: &Variant,
    model: &dyn Blend,
    (request, rows): (&Request<'_>, &[f32]),
    (found, is_candidate): (&[Vec<Scored>], &[bool]),
) -> Vec<f32> {
    let n_items = is_candidate.len();
    let mut scores = vec![0.0; n_items];
    match variant.combine {
        Combine::Learned => {
            let others: Vec<ItemId> =
                (0..n_items).filter(|&item| !is_candidate[item]).map(ItemId::from_index).collect();
            let among = Request { exclude: &others, keep_seen: true, ..*request };
            model.blend(&among, rows, &mut scores);
        }
        way => {
            for (source, list) in variant.sources.iter().zip(found) {
                let n = list.len() as f32;
                let (mean, deviation) = spread(list);
                for (place, scored) in list.iter().enumerate() {
                    let place = place as f32 + 1.0;
                    scores[scored.item.index()] += source.weight
                        * match way {
                            Combine::Weighted => (scored.score - mean) / deviation,
                            Combine::Borda => (n - place + 1.0) / n,
                            Combine::Vote | Combine::Learned => 1.0 / (RANK_OFFSET + place),
                        };
                }
            }
        }
    }
    for (score, is_candidate) in scores.iter_mut().zip(is_candidate) {
        if !is_candidate {
            *score = f32::NEG_INFINITY;
        }
    }
    scores
}

/// Mean and deviation of the scores of a list; a constant one deviates by 1.
fn spread(list: &[Scored]) -> (f32, f32) {
    let n = list.len().max(1) as f32;
    let mean = list.iter().map(|scored| scored.score).sum::<f32>() / n;
    let squares = list.iter().map(|scored| (scored.score - mean).powi(2)).sum::<f32>();
    let deviation = (squares / n).sqrt();
    (mean, if deviation > 1e-12 { deviation } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tastemaker_core::{Fault, Labels, Recommender, SystemClock, UserId};

    use super::*;
    use crate::plan::{Catalogue, Lookup, PipelineSettings, Question};
    use crate::{Alone, Mixer};

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

    /// Ids are numbers; `even` is the only expression, `mine` one that only user 1 says yes to; labels are thirds.
    struct Small;

    impl Lookup for Small {
        fn item(&self, id: &str) -> Result<ItemId, String> {
            let number = id.parse::<u32>().ok().filter(|&n| n < 6);
            number.map(ItemId).ok_or_else(|| format!("names `{id}`, which is no item"))
        }

        fn question(&self, text: &str) -> Result<Question, String> {
            match text {
                "even" => Ok(Question::Fixed(Arc::new((0..6).map(|i| i % 2 == 0).collect()))),
                "none" => Ok(Question::Fixed(Arc::new(vec![false; 6]))),
                "mine" => {
                    let of = |user| vec![user == Some(UserId(1)); 6];
                    Ok(Question::PerUser(Arc::new(of)))
                }
                _ => Err(format!("`{text}`: no field of that name")),
            }
        }

        fn labels(&self, _: &str) -> Result<(Labels, Vec<String>), String> {
            let rows = (0..6u32).map(|item| vec![item / 2]).collect();
            Ok((
                Labels { rows: Arc::new(rows), n_labels: 3 },
                ["a", "b", "c"].map(String::from).into(),
            ))
        }

        fn numbers(&self, _: &str) -> Result<Vec<f64>, String> {
            Ok(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        }
    }

    fn plan(settings: Value) -> Result<Plan, Vec<Fault>> {
        let settings: PipelineSettings = serde_json::from_value(settings).unwrap();
        let catalogue = Catalogue {
            counts: vec![9, 1, 8, 2, 7, 3],
            dates: vec![1.0, 6.0, 2.0, 5.0, 3.0, 4.0],
            vectors: None,
        };
        Plan::new(settings, &["model"], catalogue, (Mixer::default(), 7), &Small)
    }

    fn model() -> Alone<Fixed> {
        Alone::new("model", Fixed(vec![6.0, 5.0, 4.0, 3.0, 2.0, 1.0]))
    }

    fn run(settings: Value, asked: &Asked<'_>) -> (Vec<u32>, Trace) {
        let (list, trace) = plan(settings).unwrap().run(&model(), asked, &SystemClock::default());
        assert!(list.windows(2).all(|pair| pair[0].score > pair[1].score), "scores fall");
        (list.iter().map(|scored| scored.item.0).collect(), trace)
    }

    fn ask(n: usize) -> Asked<'static> {
        Asked { request: Request::default(), context: &[], n, traced: true, draw: 0 }
    }

    #[test]
    fn sources_bring_candidates_and_the_model_orders_them() {
        let sources = json!([{ "from": "popular", "n": 2 }, { "from": "newest", "n": 2 }]);
        let (list, trace) = run(json!({ "sources": sources }), &ask(4));
        assert_eq!(list, [0, 1, 2, 3], "0 and 2 are popular, 1 and 3 new");
        let way = trace.passage(ItemId(1));
        assert_eq!((way.from[0].source.as_str(), way.from[0].place), ("newest", 1));
        assert_eq!(trace.passage(ItemId(2)).from[0].source, "popular");
        assert!(trace.passage(ItemId(5)).from.is_empty());
    }

    #[test]
    fn a_short_page_is_filled_with_what_is_allowed() {
        let settings = json!({ "sources": [{ "from": "model", "n": 1 }], "filter": "even" });
        assert_eq!(run(settings, &ask(6)).0, [0, 2, 4], "the odd are not allowed");
        assert_eq!(run(json!({ "filter": "none" }), &ask(3)).0, [0u32; 0]);
    }

    #[test]
    fn votes_and_counts_follow_the_places() {
        let sources =
            json!([{ "from": "model", "n": 6 }, { "from": "newest", "n": 6, "weight": 3.0 }]);
        for way in ["vote", "borda"] {
            // newest: 1, 3, 5, 4, 2, 0
            let (list, _) = run(json!({ "sources": sources, "combine": way }), &ask(1));
            assert_eq!(list, [1], "{way}");
        }
        let (list, _) = run(json!({ "sources": sources, "combine": "weighted" }), &ask(2));
        assert_eq!(list, [1, 3], "z-scores: 3 of dates and 1 of the model");
    }

    #[test]
    fn rules_hold() {
        let rules = json!([
            { "do": "never", "items": ["0"] },
            { "do": "pin", "items": ["5"], "place": 2 },
            { "do": "bury", "where": "even" },
        ]);
        assert_eq!(run(json!({ "rules": rules }), &ask(5)).0, [1, 5, 3, 2, 4]);
        let boost = json!([{ "do": "boost", "items": ["5"], "by": 1.0 }]);
        assert_eq!(run(json!({ "rules": boost }), &ask(2)).0, [0, 5]);
        let quota = json!([{ "do": "quota", "column": "x", "most": 1, "within": 3 }]);
        assert_eq!(run(json!({ "rules": quota }), &ask(6)).0, [0, 2, 4, 1, 3, 5]);
        let share = json!([{ "do": "share", "column": "x", "shares": { "c": 0.5 } }]);
        assert_eq!(run(json!({ "rules": share }), &ask(4)).0, [0, 4, 1, 5]);
    }

    #[test]
    fn a_pin_neither_shows_what_was_seen_nor_what_is_not_allowed() {
        let seen = [ItemId(5)];
        let history = History { items: &seen, values: &[1.0], times: &[0] };
        let asked = Asked { request: Request::new(None, history), ..ask(3) };
        let rules = json!([{ "do": "pin", "items": ["5", "3"] }]);
        assert_eq!(run(json!({ "rules": rules, "filter": "even" }), &asked).0, [0, 2, 4]);
    }

    #[test]
    fn chances_stay_with_their_items_when_one_is_pinned() {
        let settings =
            json!({ "explore": 0.5, "rules": [{ "do": "pin", "items": ["5"], "place": 2 }] });
        let mut first = [0usize; 6];
        for draw in 0..2000 {
            let (list, trace) = run(settings.clone(), &Asked { draw, ..ask(3) });
            // Of the five others each is drawn with ½ / 5, and 0 stands first else.
            let chance = if list[0] == 0 { 0.6 } else { 0.1 };
            assert!((trace.chances[0] - chance).abs() < 1e-6, "{list:?} {:?}", trace.chances);
            assert_eq!((list[1], trace.chances[1], trace.chances.len()), (5, 1.0, 3));
            first[list[0] as usize] += 1;
        }
        assert!(
            (1100..1300).contains(&first[0]) && first[1..5].iter().all(|n| (150..250).contains(n)),
            "{first:?}"
        );
        let again = |draw| run(settings.clone(), &Asked { draw, ..ask(3) }).0;
        assert_eq!(again(7), again(7));
    }

    #[test]
    fn what_is_new_comes_up_and_what_all_take_goes_down() {
        assert_eq!(run(json!({ "freshness": 1.0 }), &ask(1)).0, [1]);
        assert_eq!(run(json!({ "freshness": 1.0, "date": "year" }), &ask(1)).0, [0]);
        assert_eq!(run(json!({ "popularity_discount": 1.0 }), &ask(1)).0, [1]);
    }

    #[test]
    fn variants_fit_segments_and_contexts() {
        let when = json!([
            { "name": "b", "context": { "arm": "b" }, "then": { "filter": "even" } },
            { "segment": "new", "then": { "rules": [{ "do": "never", "items": ["0"] }] } },
        ]);
        let settings = json!({ "when": when, "segments": [0, 1] });
        let (list, trace) = run(settings.clone(), &ask(2));
        assert_eq!((list, trace.variant.as_deref()), (vec![1, 2], Some("2")));
        let context = [("arm".to_owned(), "b".to_owned())];
        let (list, trace) = run(settings.clone(), &Asked { context: &context, ..ask(2) });
        assert_eq!((list, trace.variant.as_deref()), (vec![0, 2], Some("b")));
        let seen = [ItemId(3)];
        let history = History { items: &seen, values: &[1.0], times: &[0] };
        let (list, trace) =
            run(settings, &Asked { request: Request::new(None, history), ..ask(2) });
        assert_eq!((list, trace.variant), (vec![0, 1], None));
    }

    #[test]
    fn a_question_may_depend_on_who_asks() {
        let asked = |user| Asked { request: Request { user, ..Request::default() }, ..ask(2) };
        assert_eq!(run(json!({ "filter": "mine" }), &asked(Some(UserId(1)))).0, [0, 1]);
        assert!(run(json!({ "filter": "mine" }), &asked(None)).0.is_empty());
    }

    #[test]
    fn what_cannot_be_is_said_all_at_once() {
        let settings = json!({
            "sources": [{ "from": "sasrec" }], "filter": "odd", "same_text": 0.9,
            "rules": [{ "do": "never", "items": ["77"] }],
            "when": [{ "segment": "new", "then": { "filter": "strange" } }],
        });
        let faults = plan(settings).unwrap_err();
        let text: String = faults.iter().map(|f| format!("{} {}\n", f.field, f.problem)).collect();
        for part in ["`sasrec`", "odd", "same_text", "`77`", "number 1: `filter` `strange`"] {
            assert!(text.contains(part), "{part} missing in {text}");
        }
    }

    proptest! {
        #[test]
        fn no_page_is_empty_while_an_item_is_allowed(
            n in 1usize..8, candidates in 1usize..7, explore in 0.0f32..1.0, seen in 0u32..6, quota in 1usize..3,
        ) {
            let settings = json!({
                "sources": [{ "from": "random", "n": candidates }], "explore": explore,
                "rules": [
                    { "do": "quota", "column": "x", "most": quota, "within": 4 },
                    { "do": "pin", "items": ["2"], "place": 3 },
                ],
            });
            let seen: Vec<ItemId> = (0..seen).map(ItemId).collect();
            let (values, times) = (vec![1.0; seen.len()], vec![0; seen.len()]);
            let history = History { items: &seen, values: &values, times: &times };
            let (list, trace) = run(settings, &Asked { request: Request::new(None, history), ..ask(n) });
            prop_assert_eq!(list.len(), n.min(6 - seen.len()));
            let mut distinct = list.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), list.len());
            prop_assert!(list.iter().all(|item| !seen.contains(&ItemId(*item))));
            prop_assert!(trace.chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        }
    }
}
