//! What a worker does: one list, or those of several who wait for the same model.

use std::sync::Arc;

use tastemaker_core::ItemId;
use tastemaker_engine::{Ask, Listed, Taken};

use super::types::{N, RecommendRequest, RecommendedItem, Source};
use crate::Error;
use crate::call::MAX_ROWS;
use crate::experiments::Policy;
use crate::limit::Job;
use crate::live::{App, Barred, Known, Loaded};

/// A list that is to be made.
pub(crate) struct ListJob {
    policy: Policy,
    request: RecommendRequest,
    draw: u64,
    known: Arc<Known>,
    barred: Arc<Barred>,
    /// It is made faster beside others.
    gains: bool,
}

/// Makes a list when there is a turn for it.
pub(super) async fn compute(
    app: &App,
    policy: &Policy,
    (request, draw): (&RecommendRequest, u64),
    (known, barred): (Arc<Known>, Arc<Barred>),
) -> Result<(Source, Arc<Vec<RecommendedItem>>), Error> {
    let (policy, request) = (policy.clone(), request.clone());
    let gains = gains(&policy, &request);
    let job = ListJob { policy, request, draw, known, barred, gains };
    let (source, items) = app.lists.run(&app.workers, job).await?;
    Ok((source, Arc::new(items.into_iter().map(RecommendedItem::from).collect())))
}

/// Tells whether a list is made faster beside others. Reasons take far longer than lists, and nobody else should wait for them.
fn gains(policy: &Policy, request: &RecommendRequest) -> bool {
    let (only, pipeline) = (request.filter.as_deref(), policy.pipeline.as_deref());
    let ask = Ask { only, pipeline, ..Ask::default() };
    let is_quick = request.words.is_none() && !request.explain;
    is_quick && policy.model.engine.gains_from_company(&ask)
}

impl Job for ListJob {
    type Done = (Source, Vec<Listed>);

    fn goes_with(&self, other: &Self) -> bool {
        self.gains && other.gains && Arc::ptr_eq(&self.policy.model, &other.policy.model)
    }

    fn done(jobs: &[Self]) -> Vec<Result<Self::Done, Error>> {
        let [first, ..] = jobs else { return Vec::new() };
        let engine = &first.policy.model.engine;
        if let (Some(words), [job]) = (&first.request.words, jobs) {
            let (filter, n) = (job.request.filter.as_deref(), job.n());
            let list = engine.like_text(words, (&job.left_out(), filter), n);
            return vec![list.map(|list| (Source::Words, list)).map_err(Error::from)];
        }
        let told: Vec<Told<'_>> = jobs.iter().map(Told::new).collect();
        let asks: Vec<Ask<'_>> = jobs.iter().zip(&told).map(|(job, told)| job.ask(told)).collect();
        let lists = engine.recommend_all(&asks).into_iter();
        lists.map(|list| Ok((Source::Model, list?))).collect()
    }
}

/// What an engine is told of who asks.
struct Told<'a> {
    user: Option<&'a str>,
    history: Vec<String>,
    newer: Vec<Taken>,
    left_out: Vec<ItemId>,
    context: Vec<(String, String)>,
}

impl<'a> Told<'a> {
    fn new(job: &'a ListJob) -> Self {
        let (loaded, request, known) = (&job.policy.model, &job.request, &job.known);
        let engine = &loaded.engine;
        let mut left_out = job.left_out();
        left_out.extend(known.older.iter().filter_map(|id| engine.known_item(id)));
        let user = request.user_id.as_deref();
        let user = user.filter(|_| request.history.is_empty() && known.erased.is_none());
        let user = user.filter(|id| engine.known_user(id).is_some());
        let is_known = |id: &&String| engine.known_item(id).is_some();
        let mut context: Vec<(String, String)> = request.context.clone().into_iter().collect();
        context.extend(request.scenario.clone().map(|name| ("scenario".to_owned(), name)));
        Self {
            user,
            history: request.history.iter().filter(is_known).cloned().collect(),
            newer: newer(loaded, user, known),
            left_out,
            context,
        }
    }
}

impl ListJob {
    fn n(&self) -> usize {
        self.request.n.unwrap_or(N).min(MAX_ROWS)
    }

    /// Returns the items that nobody is shown and those that are not wanted.
    fn left_out(&self) -> Vec<ItemId> {
        let engine = &self.policy.model.engine;
        let mut left_out = self.barred.of(&self.policy.model).to_vec();
        left_out.extend(self.request.exclude.iter().filter_map(|id| engine.known_item(id)));
        left_out
    }

    fn ask<'a>(&'a self, told: &'a Told<'a>) -> Ask<'a> {
        Ask {
            user: told.user,
            history: &told.history,
            newer: &told.newer,
            exclude: &[],
            barred: &told.left_out,
            n: self.n(),
            explain: self.request.explain,
            only: self.request.filter.as_deref(),
            context: &told.context,
            pipeline: self.policy.pipeline.as_deref(),
            draw: self.draw,
        }
    }
}

/// Leaves out events that the model's data has too: it may have been trained on what the store holds.
pub(crate) fn newer(loaded: &Loaded, user: Option<&str>, known: &Known) -> Vec<Taken> {
    let engine = &loaded.engine;
    let user = user.and_then(|id| engine.known_user(id)).filter(|_| !known.taken.is_empty());
    let old = engine.known_events(user);
    let is_new = |(item, _, time): &(&str, f32, i64)| !old.contains(&(*item, *time));
    let news = known.taken.iter().filter(is_new);
    news.map(|(item, value, time)| Taken { item: item.to_owned(), value, time }).collect()
}
