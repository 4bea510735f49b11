//! Items for what a talk has settled: the engine's own list under the filters, ordered anew by what was said.

use tastemaker_core::{
    Histories, HistoriesBuilder, History, ItemId, Request, Scored, Silent, UserId,
};
use tastemaker_data::Expression;
use tastemaker_dialog::talk::{Memory, Wish};
use tastemaker_pipeline::{Asked, by_likeness};

use crate::{Engine, Error};

/// Candidates that are ordered by what was said.
const CANDIDATES: usize = 1000;
/// What was found.
#[derive(Debug, Default)]
pub(super) struct Suggested {
    /// Items, best first.
    pub(super) list: Vec<Scored>,
    /// Wishes that were given up, since nothing was left.
    pub(super) relaxed: Vec<Wish>,
    /// What could not be heeded.
    pub(super) notes: Vec<String>,
}

/// Who is talked with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    pub(super) user: Option<UserId>,
    /// What they did before the talk.
    pub(super) history: History<'a>,
    /// Items that must not be shown to anybody.
    pub(super) barred: &'a [ItemId],
}

/// Returns what is known of somebody, with what they liked in the talk as their newest events.
pub(super) fn talked_history(who: &Who<'_>, memory: &Memory) -> Histories {
    let mut builder = HistoriesBuilder::default();
    let history = who.history;
    let mut latest = 0;
    for ((item, value), time) in history.items.iter().zip(history.values).zip(history.times) {
        builder.push(*item, *value, *time);
        latest = latest.max(*time);
    }
    let new = memory.accepted.iter().chain(&memory.likes);
    let mut known: Vec<ItemId> = history.items.to_vec();
    for item in new {
        if !known.contains(item) {
            known.push(*item);
            latest += 1;
            builder.push(*item, 1.0, latest);
        }
    }
    builder.end_user();
    builder.build()
}

impl Engine {
    /// Finds items.
    pub(super) fn suggest(
        &self,
        who: &Who<'_>,
        memory: &Memory,
        leave_out: &[ItemId],
    ) -> Result<Suggested, Error> {
        let merged = talked_history(who, memory);
        let history = merged.row(0);
        // A history that the models have not seen speaks for itself.
        let user = who.user.filter(|_| history.len() == who.history.len());
        let mut exclude: Vec<ItemId> = memory.rejected.clone();
        exclude.extend(memory.dislikes.iter().chain(leave_out).chain(who.barred));
        let request = Request { exclude: &exclude, ..Request::new(user, history) };
        let mut found = Suggested::default();
        let mut wishes = self.answered(&memory.wishes, user, &mut found);
        let mut open = vec![true; self.data().n_items()];
        for item in history.items.iter().chain(&exclude) {
            open[item.index()] = false;
        }
        relax(&mut wishes, &open, &mut found);
        loop {
            let only: Vec<String> =
                wishes.iter().map(|(wish, _)| format!("({})", wish.expression())).collect();
            let only = (!only.is_empty()).then(|| only.join(" && "));
            let asked = Asked { request, context: &[], n: CANDIDATES, traced: false };
            let (mut list, _) = self.lists(&asked, only.as_deref())?;
            list.retain(|scored| scored.score.is_finite() && open[scored.item.index()]);
            // What the pipeline forbids besides may leave nothing.
            match wishes.pop().filter(|_| list.is_empty()) {
                Some((wish, _)) => found.relaxed.push(wish),
                None => {
                    found.list = list;
                    break;
                }
            }
        }
        if history.is_empty() && self.pipeline().is_plain() {
            let count = |item: ItemId| self.counts().get(item.index()).copied().unwrap_or(0);
            found.list.sort_by(|a, b| count(b.item).cmp(&count(a.item)).then(a.item.cmp(&b.item)));
        }
        self.order_by_words(memory, &mut found)?;
        found.list.truncate(memory.n);
        Ok(found)
    }

    /// Answers every wish for every item; one that cannot be answered is given up, and that is noted.
    fn answered(
        &self,
        wishes: &[Wish],
        user: Option<UserId>,
        found: &mut Suggested,
    ) -> Vec<(Wish, Vec<bool>)> {
        let (items, users) = (&self.data().items, &self.data().users);
        let row = user.map(UserId::index);
        let mut answered = Vec::new();
        for wish in wishes {
            let expression = Expression::new(&wish.expression(), items, users);
            match expression.and_then(|expression| expression.all(items, users, row)) {
                Ok(answers) => answered.push((wish.clone(), answers)),
                Err(error) => {
                    found.notes.push(error.to_string());
                    found.relaxed.push(wish.clone());
                }
            }
        }
        answered
    }

    /// Orders candidates by their place and by what they are like.
    fn order_by_words(&self, memory: &Memory, found: &mut Suggested) -> Result<(), Error> {
        let mut words = memory.want.clone();
        words.extend(memory.topic.clone());
        let wanted = self.direction(&memory.likes, &words, found)?;
        let unwanted = self.direction(&memory.dislikes, &memory.avoid, found)?;
        if let Some(vectors) = self.vectors().filter(|_| wanted.is_some() || unwanted.is_some()) {
            by_likeness(&mut found.list, vectors, (wanted.as_deref(), unwanted.as_deref()));
        }
        Ok(())
    }

    /// Returns the direction in which items lie that are like some items and about some words; `None` where there is nothing to go by.
    fn direction(
        &self,
        items: &[ItemId],
        words: &[String],
        found: &mut Suggested,
    ) -> Result<Option<Vec<f32>>, Error> {
        let Some(vectors) = self.vectors() else {
            if !words.is_empty() {
                found
                    .notes
                    .push("words are passed over: the model was trained without texts".into());
            }
            return Ok(None);
        };
        let mut sum = vec![0.0f32; vectors.dim()];
        let mut add = |row: &[f32]| {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x / length);
        };
        items
            .iter()
            .filter(|item| item.index() < vectors.rows())
            .for_each(|item| add(vectors.row(item.index())));
        if !words.is_empty() {
            match self.reader() {
                Some(reader) => {
                    let text = words.join(" ");
                    let encoded = reader.encoder.encode(&[text.as_str()], &Silent)?;
                    add(encoded.vectors.row(0));
                }
                None => found
                    .notes
                    .push("words are passed over: the text encoder is not at hand".into()),
            }
        }
        Ok(sum.iter().any(|x| *x != 0.0).then_some(sum))
    }
}

/// Gives wishes up until an item is left: the one without which most are; where no single one helps, the one that fewest items fulfil.
fn relax(wishes: &mut Vec<(Wish, Vec<bool>)>, open: &[bool], found: &mut Suggested) {
    let left = |wishes: &[(Wish, Vec<bool>)], without: Option<usize>| {
        let fulfils = |item: &usize| {
            let mut all = wishes.iter().enumerate().filter(|(at, _)| Some(*at) != without);
            open[*item] && all.all(|(_, (_, answers))| answers[*item])
        };
        (0..open.len()).filter(fulfils).count()
    };
    while !wishes.is_empty() && left(wishes, None) == 0 {
        let alone =
            |at: usize| wishes[at].1.iter().zip(open).filter(|(yes, open)| **yes && **open).count();
        let worst = (0..wishes.len())
            .max_by_key(|&at| (left(wishes, Some(at)), std::cmp::Reverse(alone(at))));
        let Some(worst) = worst else { return };
        found.relaxed.push(wishes.remove(worst).0);
    }
}
