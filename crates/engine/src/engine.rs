//! Answers requests: outside ids in, ranked items with their names and reasons out.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::{Map, Value};
use tastemaker_core::{
    Histories, HistoriesBuilder, History, ItemId, Labels, Recommender, Request, Scored, UserId,
    Vectors, top_k,
};
use tastemaker_data::{Dataset, Table};
use tastemaker_dialog::Wording;
use tastemaker_dialog::talk::Lexicon;
use tastemaker_pipeline::{Fused, FusionSettings, RerankSettings};

use crate::Error;
use crate::chat::Writer;
use crate::lists::{Live, Near, ReadyPipeline};
use crate::reasons::Reason;
use crate::registry::{FUSED, Model};
use crate::texts::Reader;

/// The fused model over models of the registry.
pub type FusedModel = Fused<Arc<Model>>;

/// Most items that can be asked for at once.
pub const MAX_N: usize = 10_000;

/// What answers: one model, or several fused.
#[derive(Clone)]
pub(crate) enum Answerer {
    Single(Arc<Model>),
    Fused { model: Box<FusedModel>, settings: FusionSettings },
}

/// A fitted model with the data it speaks about.
pub struct Engine {
    pub(crate) answerer: Answerer,
    pub(crate) data: Dataset,
    pub(crate) vectors: Option<Arc<Vectors>>,
    pub(crate) reader: Option<Arc<Reader>>,
    pub(crate) counts: Vec<u32>,
    pub(crate) wording: Wording,
    /// Words reasons and orders lists, with the seconds it may take for a request.
    pub(crate) writer: Option<(Writer, f64)>,
    pub(crate) rerank: RerankSettings,
    pub(crate) pipeline: Live,
    /// Finds the best items of a large catalogue.
    pub(crate) near: Option<Arc<Near>>,
    /// What can be asked for in a talk, read when one begins.
    pub(crate) lexicon: OnceLock<Arc<Lexicon>>,
    /// Read when they are first asked for.
    pub(crate) labels: OnceLock<Option<Labels>>,
    pub(crate) has_added_items: bool,
    /// Root of what lists draw.
    pub(crate) seed: u64,
}

/// One recommended or similar item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// Place in the list, from 1.
    pub rank: usize,
    /// Its id in the catalogue.
    pub item_id: String,
    /// Its title, or its id where it has none.
    pub title: String,
    /// Its score, on the model's own scale.
    pub score: f32,
    /// Probability of what the model learnt to tell, where it is one that tells a yes from a no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f32>,
    /// Expected rating, where the model learnt ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<f32>,
    /// The chance with which it was shown at its place, where lists explore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance: Option<f32>,
    /// Why it is there, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// For whom items are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask<'a> {
    /// A user of the data set.
    pub user: Option<&'a str>,
    /// Items taken, oldest first: instead of a known user's history.
    pub history: &'a [String],
    /// What the user did after all that the data knows, oldest first; items nobody knows yet are passed over.
    pub newer: &'a [Taken],
    /// Items that must not be listed.
    pub exclude: &'a [String],
    /// More of them, by number.
    pub barred: &'a [ItemId],
    /// How many.
    pub n: usize,
    /// Adds a reason to every item.
    pub explain: bool,
    /// An expression that every item must fulfil, beside what the pipeline says.
    pub only: Option<&'a str>,
    /// What variants of the pipeline look at: device, page, arm of an experiment.
    pub context: &'a [(String, String)],
    /// A pipeline in the place of the engine's own, made ready by it.
    pub pipeline: Option<&'a ReadyPipeline>,
    /// Varies what is drawn for one user and history; the same number, the same draws.
    pub draw: u64,
}

/// One event newer than the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The item.
    pub item: String,
    /// Rating or strength, as the data has them; 1 where it has none.
    pub value: f32,
    /// Unix seconds.
    pub time: i64,
}

impl Engine {
    /// Answers with one model.
    pub fn of_single(
        model: Arc<Model>,
        data: Dataset,
        vectors: Option<Arc<Vectors>>,
        reader: Option<Reader>,
    ) -> Self {
        Self::new(Answerer::Single(model), data, vectors, reader)
    }

    /// Answers with a fused model.
    pub fn of_fused(
        model: FusedModel,
        settings: FusionSettings,
        data: Dataset,
        vectors: Option<Arc<Vectors>>,
        reader: Option<Reader>,
    ) -> Self {
        Self::new(Answerer::Fused { model: Box::new(model), settings }, data, vectors, reader)
    }

    pub(crate) fn new(
        answerer: Answerer,
        data: Dataset,
        vectors: Option<Arc<Vectors>>,
        reader: Option<Reader>,
    ) -> Self {
        let counts = data.histories.item_counts(data.n_items());
        Self {
            answerer,
            data,
            vectors,
            reader: reader.map(Arc::new),
            counts,
            wording: Wording::default(),
            writer: None,
            rerank: RerankSettings::default(),
            pipeline: Live::default(),
            near: None,
            lexicon: OnceLock::new(),
            labels: OnceLock::new(),
            has_added_items: false,
            seed: 0,
        }
    }

    /// Chooses the words of reasons.
    #[must_use]
    pub fn with_wording(mut self, wording: Wording) -> Self {
        self.wording = wording;
        self
    }

    /// Sets the root of what lists draw, where they explore.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Returns the words of reasons.
    pub fn wording(&self) -> &Wording {
        &self.wording
    }

    /// Tells whether items were taken in that the data on disk does not have.
    pub const fn has_added_items(&self) -> bool {
        self.has_added_items
    }

    /// Returns how often each item was taken.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Returns the text of an item, as the encoder reads it; empty without an encoder.
    pub fn text(&self, item: ItemId) -> String {
        let render = |reader: &Reader| {
            reader.template.render(|field| self.data.items.field(item.index(), field))
        };
        self.reader.as_deref().map(render).unwrap_or_default()
    }

    /// Returns the cosine of two items' texts.
    pub fn cosine(&self, a: ItemId, b: ItemId) -> Option<f32> {
        let vectors = self.vectors.as_ref()?;
        let inside = a.index().max(b.index()) < vectors.rows();
        inside.then(|| {
            vectors.row(a.index()).iter().zip(vectors.row(b.index())).map(|(x, y)| x * y).sum()
        })
    }

    /// Returns the name of the model.
    pub fn name(&self) -> &'static str {
        match &self.answerer {
            Answerer::Single(model) => model.kind().name(),
            Answerer::Fused { .. } => FUSED,
        }
    }

    /// Returns the data the model speaks about.
    pub fn data(&self) -> &Dataset {
        &self.data
    }

    /// Returns the text vectors of the catalogue.
    pub fn vectors(&self) -> Option<&Vectors> {
        self.vectors.as_deref()
    }

    /// Returns what reads new texts.
    pub fn reader(&self) -> Option<&Reader> {
        self.reader.as_deref()
    }

    /// Returns the fused model, when there is one.
    pub fn fused(&self) -> Option<&FusedModel> {
        match &self.answerer {
            Answerer::Single(_) => None,
            Answerer::Fused { model, .. } => Some(model),
        }
    }

    /// Lists the fitted models.
    pub fn models(&self) -> Vec<&Model> {
        match &self.answerer {
            Answerer::Single(model) => vec![model],
            Answerer::Fused { model, .. } => {
                model.parts().iter().map(|part| part.model.as_ref()).collect()
            }
        }
    }

    /// Says why `item` would be recommended, and where it stands.
    pub fn explain(&self, ask: &Ask<'_>, item: &str) -> Result<Explained, Error> {
        let item = self.item(item)?;
        let (user, own) = self.asker(ask)?;
        let request = Request::new(user, self.history(user, own.as_ref()));
        let mut scores = vec![0.0; self.recommender().n_items()];
        self.with_lists(|lists| lists.score(&request, &mut scores))?;
        let seen = request.history.items.contains(&item);
        let own_score = scores.get(item.index()).copied().unwrap_or(f32::NEG_INFINITY);
        request.mask(&mut scores);
        // Ties go to the smaller number, as in `top_k`.
        let stands_before = |(other, &score): (usize, &f32)| {
            score > own_score || (score >= own_score && other < item.index())
        };
        let rank = 1 + scores.iter().enumerate().filter(|&entry| stands_before(entry)).count();
        Ok(Explained {
            item_id: self.item_name(item).to_owned(),
            title: self.title(item),
            rank: (!seen).then_some(rank),
            seen,
            score: own_score,
            reason: self.told(&request, item),
            parts: self.part_shares(&request, item),
        })
    }

    fn part_shares(&self, request: &Request<'_>, item: ItemId) -> Vec<PartShare> {
        let Some(fused) = self.fused() else { return Vec::new() };
        let names = fused.parts().iter().map(|part| part.name.clone());
        let weights = fused.gate().weights(request.history.len());
        let shares = fused.shares(request, item);
        names
            .zip(weights)
            .zip(shares)
            .map(|((name, &weight), share)| PartShare { name, weight, share })
            .collect()
    }

    /// Lists items like an item: by behaviour where a model knows it, by text otherwise.
    pub fn similar(&self, item: &str, n: usize) -> Result<Vec<Listed>, Error> {
        let item = self.item(item)?;
        let n = n.min(MAX_N);
        let models = self.models();
        let able = models
            .iter()
            .filter(|model| item.index() < model.n_items())
            .filter_map(|model| model.as_similar());
        let mut votes = vec![0.0f32; self.data.n_items()];
        let mut any = false;
        for similar in able {
            any = true;
            for (rank, scored) in
                similar.similar(item, n.max(50)).iter().enumerate().filter(|(_, s)| s.score > 0.0)
            {
                votes[scored.item.index()] += 1.0 / (60.0 + rank as f32);
            }
        }
        if !any {
            return Err(Error::Unable {
                model: self.name().into(),
                what: "find similar items",
                instead: "train one of markov, item-knn, ease, ials, bpr, text-knn or fused",
            });
        }
        votes.iter_mut().filter(|vote| **vote <= 0.0).for_each(|vote| *vote = f32::NEG_INFINITY);
        Ok(self.listed(&top_k(&votes, n)))
    }

    /// Lists the users in whose first `n` places `item` stands, those it suits best first.
    pub fn audience(
        &self,
        item: &str,
        n: usize,
        users: usize,
    ) -> Result<Vec<(String, usize, f32)>, Error> {
        let all: Vec<usize> = (0..self.data.n_users()).collect();
        let mut reached = self.audience_among(item, n, &all)?;
        reached.truncate(users);
        Ok(reached)
    }

    /// Does the same for some users of the data, by their numbers.
    pub fn audience_among(
        &self,
        item: &str,
        n: usize,
        users: &[usize],
    ) -> Result<Vec<(String, usize, f32)>, Error> {
        use rayon::prelude::*;
        let item = self.item(item)?;
        let mut reached: Vec<(usize, f32, usize)> = self.with_lists(|lists| {
            let place = |user: &usize| {
                let history = self.data.histories.row(*user);
                let request = Request::new(Some(UserId::from_index(*user)), history);
                let list = lists.recommend(&request, n);
                let place = list.iter().position(|scored| scored.item == item)?;
                Some((place + 1, list[place].score, *user))
            };
            users.par_iter().filter_map(place).collect()
        })?;
        reached.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
        let named = reached.into_iter();
        Ok(named
            .map(|(rank, score, user)| {
                (self.user_name(UserId::from_index(user)).to_owned(), rank, score)
            })
            .collect())
    }

    /// Finds an item by its id; quick also where there is none.
    pub fn known_item(&self, id: &str) -> Option<ItemId> {
        self.data.items.ids().get(id).map(ItemId)
    }

    /// Finds a user by their id; quick also where there is none.
    pub fn known_user(&self, id: &str) -> Option<UserId> {
        self.data.users.ids().get(id).map(UserId)
    }

    /// Finds an item by its id, or tells the nearest one there is.
    pub fn item(&self, id: &str) -> Result<ItemId, Error> {
        let ids = self.data.items.ids();
        let unknown =
            || Error::UnknownItem { id: id.into(), near: ids.nearest(id).map(Into::into) };
        ids.get(id).map(ItemId).ok_or_else(unknown)
    }

    /// Finds a user by their id, or tells the nearest one there is.
    pub fn user(&self, id: &str) -> Result<UserId, Error> {
        let ids = self.data.users.ids();
        let unknown =
            || Error::UnknownUser { id: id.into(), near: ids.nearest(id).map(Into::into) };
        ids.get(id).map(UserId).ok_or_else(unknown)
    }

    /// Returns the id of an item.
    pub fn item_name(&self, item: ItemId) -> &str {
        self.data.items.ids().name(item.0)
    }

    /// Returns the id of a user.
    pub fn user_name(&self, user: UserId) -> &str {
        self.data.users.ids().name(user.0)
    }

    /// Returns the title of an item, or its id where it has none.
    pub fn title(&self, item: ItemId) -> String {
        title_of(&self.data.items, item.index())
    }

    /// Returns all fields of an item that it has.
    pub fn fields(&self, item: ItemId) -> Map<String, Value> {
        let columns = self.data.items.columns().iter();
        let field = |name: &str| {
            self.data
                .items
                .field(item.index(), name)
                .map(|text| (name.to_owned(), Value::String(text)))
        };
        columns.filter_map(|column| field(&column.name)).collect()
    }

    /// Returns what a known user did, oldest first.
    pub fn known_history(&self, user: UserId) -> History<'_> {
        self.data.histories.of(user)
    }

    /// Returns items and times of what a known user did: who hears of such an event again has heard nothing new.
    pub fn known_events(&self, user: Option<UserId>) -> HashSet<(&str, i64)> {
        let known = user.map(|user| self.known_history(user)).unwrap_or_default();
        let events = known.items.iter().zip(known.times);
        events.map(|(item, time)| (self.item_name(*item), *time)).collect()
    }

    pub(crate) fn history<'a>(
        &'a self,
        user: Option<UserId>,
        own: Option<&'a Histories>,
    ) -> History<'a> {
        match (own, user) {
            (Some(own), _) => own.row(0),
            (None, Some(user)) => self.data.histories.of(user),
            (None, None) => History::default(),
        }
    }

    /// Returns who asks, where models may know them, and their history where it is not the one of the data.
    pub(crate) fn asker(
        &self,
        ask: &Ask<'_>,
    ) -> Result<(Option<UserId>, Option<Histories>), Error> {
        if !ask.history.is_empty() {
            let mut builder = HistoriesBuilder::default();
            for (place, item) in self.items(ask.history)?.into_iter().enumerate() {
                builder.push(item, 1.0, i64::try_from(place).unwrap_or(i64::MAX));
            }
            builder.end_user();
            return Ok((None, Some(builder.build())));
        }
        let user = ask.user.map(|id| self.user(id)).transpose()?;
        Ok((user, self.with_newer(user, ask.newer)))
    }

    /// Returns a user's history with newer events; `None` without any. Items nobody knows yet are passed over.
    pub(crate) fn with_newer(&self, user: Option<UserId>, newer: &[Taken]) -> Option<Histories> {
        if newer.is_empty() {
            return None;
        }
        let mut builder = HistoriesBuilder::default();
        builder.extend(self.history(user, None));
        for taken in newer {
            if let Some(item) = self.data.items.ids().get(&taken.item) {
                builder.push(ItemId(item), taken.value, taken.time);
            }
        }
        builder.end_user();
        Some(builder.build())
    }

    pub(crate) fn items(&self, ids: &[String]) -> Result<Vec<ItemId>, Error> {
        ids.iter().map(|id| self.item(id)).collect()
    }

    pub(crate) fn listed(&self, list: &[Scored]) -> Vec<Listed> {
        let entry = |(place, scored): (usize, &Scored)| Listed {
            rank: place + 1,
            item_id: self.item_name(scored.item).to_owned(),
            title: self.title(scored.item),
            score: scored.score,
            probability: None,
            rating: None,
            chance: None,
            reason: None,
        };
        list.iter().enumerate().map(entry).collect()
    }

    /// Lists items whose titles hold all words of `query`, for people who do not know ids.
    pub fn find(&self, query: &str, n: usize) -> Vec<Listed> {
        let words: BTreeSet<String> =
            query.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let holds = |item: &ItemId| {
            let title = self.title(*item).to_lowercase();
            words.iter().all(|word| title.contains(word))
        };
        let found = (0..self.data.n_items()).map(ItemId::from_index).filter(holds).take(n);
        self.listed(&found.map(|item| Scored { item, score: 0.0 }).collect::<Vec<_>>())
    }
}

/// Returns the title of a row, or its id where it has none.
pub(crate) fn title_of(items: &Table, row: usize) -> String {
    let title = items.columns().iter().find(|column| Engine::is_title(column));
    let text = title.and_then(|column| items.field(row, &column.name));
    text.unwrap_or_else(|| items.ids().name(row as u32).to_owned())
}

/// Why an item stands where it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// Its id in the catalogue.
    pub item_id: String,
    /// Its title.
    pub title: String,
    /// Its place among the items the user has not seen; `None` for a seen one.
    pub rank: Option<usize>,
    /// The user has taken it already.
    pub seen: bool,
    /// Its score.
    pub score: f32,
    /// The reason, every clause backed by evidence.
    pub reason: Reason,
    /// What each part of the fused model adds.
    pub parts: Vec<PartShare>,
}

/// What one part adds to a fused score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartShare {
    /// Name of the part.
    pub name: String,
    /// Its weight for a history of this length.
    pub weight: f32,
    /// Its weighted, normalised score.
    pub share: f32,
}
