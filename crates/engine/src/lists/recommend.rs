//! Lists for those who ask, one by one or several at once.

use tastemaker_core::{Histories, ItemId, Request, Scored, UserId, top_k};
use tastemaker_pipeline::Asked;

use super::ListTrace;
use crate::engine::Answerer;
use crate::{Ask, Engine, Error, Listed, MAX_N};

/// Who asks, and what must not be listed.
struct Asker {
    user: Option<UserId>,
    /// Their history, where it is not the one of the data.
    own: Option<Histories>,
    exclude: Vec<ItemId>,
}

impl Engine {
    /// Lists items for a user, best first.
    ///
    /// Fewer than `n` come back when the catalogue has no more that the user has not seen.
    pub fn recommend(&self, ask: &Ask<'_>) -> Result<Vec<Listed>, Error> {
        self.listing(ask, false).map(|(list, _)| list)
    }

    /// Lists items for a user, best first, and says how each came to its place.
    pub fn recommend_traced(&self, ask: &Ask<'_>) -> Result<(Vec<Listed>, ListTrace), Error> {
        self.listing(ask, true)
    }

    /// Lists items for several who ask at once. Each gets what [`recommend`](Self::recommend) gives them alone, up to rounding; where lists
    /// are the model's own, its tables are read once for all.
    pub fn recommend_all(&self, asks: &[Ask<'_>]) -> Vec<Result<Vec<Listed>, Error>> {
        let gain = asks.len() > 1 && asks.iter().all(|ask| self.gains_from_company(ask));
        let Some(shown) = gain.then(|| self.shown().ok()).flatten() else {
            return asks.iter().map(|ask| self.recommend(ask)).collect();
        };
        let askers: Vec<Result<Asker, Error>> = asks.iter().map(|ask| self.who(ask)).collect();
        let known =
            || asks.iter().zip(&askers).filter_map(|(ask, who)| Some((ask, who.as_ref().ok()?)));
        let requests: Vec<Request<'_>> = known().map(|(_, asker)| self.request(asker)).collect();
        let mut scores = vec![0.0; requests.len() * shown.n_items()];
        shown.score_batch(&requests, &mut scores);
        let rows = requests.iter().zip(scores.chunks_exact_mut(shown.n_items().max(1)));
        let list = |((ask, _), (request, row)): ((&Ask<'_>, _), (&Request<'_>, &mut [f32]))| {
            request.mask(row);
            self.worded(ask, request, &top_k(row, ask.n.min(MAX_N)))
        };
        let mut lists = known().zip(rows).map(list).collect::<Vec<_>>().into_iter();
        askers.into_iter().map(|asker| asker.map(|_| lists.next().unwrap_or_default())).collect()
    }

    /// Tells whether whoever asks so gains from others who ask at once: the model alone makes their lists, and it multiplies tables for that.
    pub fn gains_from_company(&self, ask: &Ask<'_>) -> bool {
        let has_tables = match &self.answerer {
            Answerer::Single(model) => self.near.is_none() && model.as_embed().is_some(),
            Answerer::Fused { .. } => true,
        };
        has_tables && ask.only.is_none() && ask.pipeline.is_none() && self.pipeline.is_plain()
    }

    fn listing(&self, ask: &Ask<'_>, traced: bool) -> Result<(Vec<Listed>, ListTrace), Error> {
        let asker = self.who(ask)?;
        let (request, n) = (self.request(&asker), ask.n.min(MAX_N));
        let asked = Asked { request, context: ask.context, n, traced, draw: ask.draw };
        let (list, trace) = self.lists(&asked, (ask.only, ask.pipeline))?;
        let mut listed = self.worded(ask, &request, &list);
        let chances = listed.iter_mut().zip(&trace.chances);
        chances.for_each(|(entry, chance)| entry.chance = Some(*chance));
        let trace = if traced { ListTrace::new(&trace, &list, self) } else { ListTrace::default() };
        Ok((listed, trace))
    }

    fn who(&self, ask: &Ask<'_>) -> Result<Asker, Error> {
        let (user, own) = self.asker(ask)?;
        let mut exclude = self.items(ask.exclude)?;
        exclude.extend_from_slice(ask.barred);
        Ok(Asker { user, own, exclude })
    }

    fn request<'a>(&'a self, asker: &'a Asker) -> Request<'a> {
        let history = self.history(asker.user, asker.own.as_ref());
        Request { exclude: &asker.exclude, ..Request::new(asker.user, history) }
    }

    /// Puts a list into outside words, with what a single model expects of each item, and reasons where they are wanted.
    fn worded(&self, ask: &Ask<'_>, request: &Request<'_>, list: &[Scored]) -> Vec<Listed> {
        let mut listed = self.listed(list);
        self.predict(request, &mut listed, list);
        if ask.explain {
            self.explain_all(request, &mut listed, list);
        }
        listed
    }

    /// Adds what a single model that predicts expects of each item.
    fn predict(&self, request: &Request<'_>, listed: &mut [Listed], list: &[Scored]) {
        let Answerer::Single(model) = &self.answerer else { return };
        let items: Vec<ItemId> = list.iter().map(|scored| scored.item).collect();
        if let Some(predict) = model.as_predict() {
            for (entry, expected) in listed.iter_mut().zip(predict.predict(request, &items)) {
                (entry.probability, entry.rating) = (expected.probability, expected.rating);
            }
        } else if let Some(rate) = model.as_rate() {
            for (entry, item) in listed.iter_mut().zip(items) {
                entry.rating = Some(rate.rate(request.user, item));
            }
        }
    }
}
