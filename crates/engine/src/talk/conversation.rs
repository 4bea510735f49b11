//! A talk: one turn after the other is understood, answered with items of the engine, and remembered.

use std::sync::Arc;

use serde::Serialize;
use tastemaker_core::{Histories, ItemId, Request, Silent, UserId, top_k};
use tastemaker_data::Column;
use tastemaker_dialog::talk::{
    Answer, Bound, Intent, Lexicon, Line, Memory, Role, Side, Understood, Wish, ask_model, heard,
    marked, say, shown_labels, understand,
};
use tastemaker_dialog::{Language, Wording};

use super::suggest::{Suggested, Who, talked_history};
use crate::chat::{Ceiling, Writer};
use crate::reasons::Reason;
use crate::{Engine, Error, Listed, Taken};

/// Fields of an item that are told when two are compared.
const FACTS: usize = 5;
/// Letters of a field that is told.
const LONGEST_FACT: usize = 80;
/// Items that go with one that was taken.
const NEXT: usize = 3;
/// Labels nearest in meaning to a turn, of which a language model may choose.
const NEAR_LABELS: usize = 3;

/// How a talk is led.
#[derive(Clone, Debug)]
pub struct ConversationSettings {
    /// A user of the data set.
    pub user: Option<String>,
    /// Items of a list, at first.
    pub n: usize,
    /// The language of answers, at first; that of each turn afterwards.
    pub language: Option<Language>,
    /// A model that helps to understand and words reasons, with the seconds it may take for a turn.
    pub writer: Option<(Writer, f64)>,
}

/// A talk with somebody.
pub struct Conversation<'e> {
    engine: &'e Engine,
    lexicon: Arc<Lexicon>,
    memory: Memory,
    user: Option<UserId>,
    /// What the user did, where it is not what the data says.
    history: Option<Histories>,
    barred: Vec<ItemId>,
    writer: Option<(Writer, f64)>,
    turns: usize,
}

/// What a turn was understood as, and what is answered.
#[derive(Clone, Debug, Serialize)]
pub struct TurnReply {
    /// Number of the turn, from 1.
    pub turn: usize,
    /// What it was after.
    pub intent: Intent,
    /// The language of the answer.
    pub language: Language,
    /// Whether a language model helped to understand it.
    pub by_model: bool,
    /// The answer in words.
    pub reply: String,
    /// The answer in parts.
    pub answer: Answer,
    /// The items of a list, each with its reason, or the items spoken of.
    pub items: Vec<Listed>,
    /// What could not be done, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the talk has settled.
    pub state: TalkState,
}

/// What a talk has settled, in outside names.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TalkState {
    /// Expressions that items must fulfil.
    pub filters: Vec<String>,
    /// Words they should be about.
    pub want: Vec<String>,
    /// Words they should not be about.
    pub avoid: Vec<String>,
    /// Ids of items they should be like.
    pub likes: Vec<String>,
    /// Ids of items they should not be like.
    pub dislikes: Vec<String>,
    /// Ids of items that were taken.
    pub accepted: Vec<String>,
    /// Ids of items that are not wanted again.
    pub rejected: Vec<String>,
    /// How many items were shown.
    pub shown: usize,
}

impl<'e> Conversation<'e> {
    /// Begins a talk.
    ///
    /// # Errors
    /// When the user is not known.
    pub fn new(engine: &'e Engine, settings: ConversationSettings) -> Result<Self, Error> {
        let user = settings.user.as_deref().map(|id| engine.user(id)).transpose()?;
        let language = settings.language.unwrap_or(engine.wording().language);
        let memory = Memory::new(language, settings.n.clamp(1, 20));
        let (lexicon, writer) = (engine.lexicon(), settings.writer);
        let (history, barred) = (None, Vec::new());
        Ok(Self { engine, lexicon, memory, user, history, barred, writer, turns: 0 })
    }

    /// Goes on with a talk that was kept as its memory; items that the catalogue does not have are forgotten.
    #[must_use]
    pub fn with_memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        let n_items = self.engine.data().n_items();
        self.memory.renumber(|item| Some(item).filter(|item| item.index() < n_items));
        self
    }

    /// Tells the talk what its user did after all that the data knows, and which items must not be shown.
    #[must_use]
    pub fn with_news(mut self, newer: &[Taken], barred: Vec<ItemId>) -> Self {
        self.history = self.engine.with_newer(self.user, newer);
        self.barred = barred;
        self
    }

    /// Returns what the talk has settled.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Takes in a turn and answers it. Whatever is said, items named in the answer are items of the catalogue.
    ///
    /// # Errors
    /// When lists cannot be made, or texts cannot be encoded.
    pub fn turn(&mut self, text: &str) -> Result<TurnReply, Error> {
        self.turns += 1;
        let ceiling = self.writer.as_ref().map(|(_, seconds)| Ceiling::new(*seconds));
        let mut notes = Vec::new();
        let mut said = understand(text, &self.lexicon, &self.memory);
        self.ask_model(text, &mut said, (ceiling.as_ref(), &mut notes))?;
        self.relate(&mut said);
        self.memory.settle(&said);
        let (answer, items) = self.answer(text, &said, (ceiling.as_ref(), &mut notes))?;
        Ok(TurnReply {
            turn: self.turns,
            intent: said.intent,
            language: said.language,
            by_model: said.by_model,
            reply: say(&answer, said.language),
            answer,
            items,
            notes,
            state: self.state(),
        })
    }

    /// Lets a model read what the rules did not; what nobody understood is read by its meaning.
    fn ask_model(
        &self,
        text: &str,
        said: &mut Understood,
        (ceiling, notes): (Option<&Ceiling>, &mut Vec<String>),
    ) -> Result<(), Error> {
        let no_wish = said.wishes.is_empty() && said.want.is_empty() && said.avoid.is_empty();
        let says_nothing = no_wish && said.like.is_empty() && said.unknown.is_none();
        if said.intent != Intent::Unclear && !(said.intent == Intent::Seek && says_nothing) {
            return Ok(());
        }
        if let Some(((writer, _), ceiling)) = self.writer.as_ref().zip(ceiling) {
            match writer.ask(&ask_model(text, &self.lexicon, &self.memory), ceiling) {
                Ok(reply) => {
                    let near = self.near_labels(text)?;
                    let is_near = |label: &str| {
                        near.as_ref().is_none_or(|near| near.iter().any(|known| known == label))
                    };
                    heard(&reply, (&self.lexicon, &self.memory), &is_near, said);
                }
                Err(why) => {
                    notes.push(format!("the turn was read without the language model: {why}"));
                }
            }
        }
        let is_chinese = Language::of(text) == Some(Language::Chinese);
        let has_words = text.split_whitespace().count() > 2 || is_chinese;
        if said.intent == Intent::Seek && said.wishes.is_empty() && has_words {
            said.topic = Some(text.chars().take(500).collect());
        }
        Ok(())
    }

    /// Returns the labels whose names are nearest in meaning to a text; `None` without an encoder.
    fn near_labels(&self, text: &str) -> Result<Option<Vec<String>>, Error> {
        let labels = shown_labels(&self.lexicon);
        let Some(reader) = self.engine.reader().filter(|_| !labels.is_empty()) else {
            return Ok(None);
        };
        let texts: Vec<&str> = std::iter::once(text).chain(labels.iter().copied()).collect();
        let vectors = reader.encoder.encode(&texts, &Silent)?.vectors;
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
        let cosine = |row: usize| {
            let product: f32 =
                vectors.row(0).iter().zip(vectors.row(row)).map(|(x, y)| x * y).sum();
            product / (length(vectors.row(0)) * length(vectors.row(row)))
        };
        let scores: Vec<f32> = (1..texts.len()).map(cosine).collect();
        let nearest = top_k(&scores, NEAR_LABELS);
        Ok(Some(nearest.iter().map(|scored| labels[scored.item.index()].to_owned()).collect()))
    }

    /// Turns "newer" and the like into ranges, by what the list shown has.
    fn relate(&self, said: &mut Understood) {
        for (role, more) in said.relative.clone() {
            let Some((column, is_text)) = self.column(role) else { continue };
            let mut values: Vec<f64> =
                self.memory.list.iter().filter_map(|item| self.number(*item, &column)).collect();
            values.sort_by(f64::total_cmp);
            let Some(middle) = values.get(values.len() / 2).copied() else { continue };
            let bound = Some(Bound { value: middle, is_open: true });
            let (low, high) = if more { (bound, None) } else { (None, bound) };
            said.wishes.push(Wish::Range {
                column,
                is_text,
                is_year: role == Role::Year,
                low,
                high,
            });
        }
    }

    /// Returns the first column of numbers that is about something, and whether it holds texts.
    fn column(&self, role: Role) -> Option<(String, bool)> {
        self.lexicon
            .numbers()
            .iter()
            .find(|field| field.role == role)
            .map(|field| (field.column.clone(), field.is_text))
    }

    fn number(&self, item: ItemId, column: &str) -> Option<f64> {
        self.engine.data().items.field(item.index(), column)?.trim().parse().ok()
    }

    fn who(&self) -> Who<'_> {
        let history = self.engine.history(self.user, self.history.as_ref());
        Who { user: self.user, history, barred: &self.barred }
    }

    fn is_barred(&self, id: &str) -> bool {
        self.engine.known_item(id).is_some_and(|item| self.barred.contains(&item))
    }

    fn answer(
        &mut self,
        text: &str,
        said: &Understood,
        (ceiling, notes): (Option<&Ceiling>, &mut Vec<String>),
    ) -> Result<(Answer, Vec<Listed>), Error> {
        let title = |item: ItemId| self.engine.title(item);
        match (said.intent, &said.items[..]) {
            (Intent::Why | Intent::Accept | Intent::Reject | Intent::Compare, []) => {
                Ok((Answer::WhichItem, Vec::new()))
            }
            (Intent::Compare, [_]) => Ok((Answer::WhichItem, Vec::new())),
            (Intent::Why, [item, ..]) => {
                let (reasons, _) = self.reasons(&[*item], said.language, (ceiling, notes));
                let answer = Answer::Why {
                    title: title(*item),
                    reason: reasons.first().map(|r| r.text.clone()).unwrap_or_default(),
                };
                let items = self.spoken_of(&[*item], reasons);
                Ok((answer, items))
            }
            (Intent::Compare, [a, b, ..]) => {
                let (reasons, _) = self.reasons(&[*a, *b], said.language, (ceiling, notes));
                let places = self.places(&[*a, *b])?;
                let side = |at: usize, item: ItemId| Side {
                    title: title(item),
                    facts: self.facts(item),
                    rank: places[at],
                    reason: reasons.get(at).map(|reason| reason.text.clone()).unwrap_or_default(),
                };
                let answer = Answer::Compare { a: side(0, *a), b: side(1, *b) };
                let items = self.spoken_of(&[*a, *b], reasons);
                Ok((answer, items))
            }
            (Intent::Accept, [item, ..]) => {
                // A model that knows no likeness has nothing that goes with it.
                let (name, n) = (self.engine.item_name(*item), NEXT + self.barred.len());
                let next = self.engine.similar(name, n).unwrap_or_default().into_iter();
                let next = next.filter(|listed| !self.is_barred(&listed.item_id)).take(NEXT);
                let answer = Answer::Accepted {
                    title: title(*item),
                    next: next.map(|listed| listed.title).collect(),
                };
                Ok((answer, self.spoken_of(&[*item], Vec::new())))
            }
            (Intent::Ask, _) => match self.engine.answer(text, &self.barred)? {
                Some((item, answer)) => Ok((answer, self.spoken_of(&[item], Vec::new()))),
                None => Ok((Answer::Unclear, Vec::new())),
            },
            (Intent::Reset, _) => Ok((Answer::Reset, Vec::new())),
            (Intent::Help, _) => Ok((Answer::Help, Vec::new())),
            (Intent::Unclear, _) => Ok((Answer::Unclear, Vec::new())),
            (Intent::Seek | Intent::Critique | Intent::Reject, items) => {
                let rejected = items
                    .first()
                    .filter(|_| said.intent == Intent::Reject)
                    .map(|item| title(*item));
                self.list(said, rejected, (ceiling, notes))
            }
        }
    }

    /// Shows a list.
    fn list(
        &mut self,
        said: &Understood,
        rejected: Option<String>,
        (ceiling, notes): (Option<&Ceiling>, &mut Vec<String>),
    ) -> Result<(Answer, Vec<Listed>), Error> {
        // Who wants others does not want the same again.
        let leave_out =
            if said.intent == Intent::Seek { Vec::new() } else { self.memory.shown.clone() };
        let mut found = self.engine.suggest(&self.who(), &self.memory, &leave_out)?;
        if found.list.is_empty() && !leave_out.is_empty() {
            found = self.engine.suggest(&self.who(), &self.memory, &[])?;
        }
        let Suggested { list, relaxed, notes: more } = found;
        notes.extend(more);
        if list.is_empty() {
            return Ok((Answer::Nothing, Vec::new()));
        }
        let items: Vec<ItemId> = list.iter().map(|scored| scored.item).collect();
        let (reasons, _) = self.reasons(&items, said.language, (ceiling, notes));
        self.memory.show(&items);
        self.memory.wishes.retain(|wish| !relaxed.contains(wish));
        let mut listed = self.engine.listed(&list);
        let lines = listed.iter().zip(&reasons).map(|(listed, reason)| Line {
            title: listed.title.clone(),
            reason: reason.text.clone(),
        });
        let lines = lines.collect();
        for (entry, reason) in listed.iter_mut().zip(reasons) {
            entry.reason = Some(reason);
        }
        let answer = Answer::List {
            rejected,
            unknown: said.unknown.map(|near| near.map(|item| self.engine.title(item))),
            wishes: self.wishes(said.language),
            relaxed: relaxed.iter().map(|wish| wish.say(said.language)).collect(),
            items: lines,
        };
        Ok((answer, listed))
    }

    /// Says what was asked for, without the words that somebody typed.
    fn wishes(&self, language: Language) -> Vec<String> {
        let like = |item: &ItemId| {
            let title = marked(&self.engine.title(*item), language);
            match language {
                Language::English => format!("like {title}"),
                Language::Chinese => format!("像{title}"),
            }
        };
        let said = self.memory.wishes.iter().map(|wish| wish.say(language));
        self.memory.likes.iter().map(like).chain(said).collect()
    }

    /// Says why items are there; what was only named in the talk is not said to have been taken.
    fn reasons(
        &self,
        items: &[ItemId],
        language: Language,
        (ceiling, notes): (Option<&Ceiling>, &mut Vec<String>),
    ) -> (Vec<Reason>, Wording) {
        let wording = self.engine.wording().clone().in_language(language);
        let who = self.who();
        let merged = talked_history(&who, &self.memory);
        let history = merged.row(0);
        let request =
            Request::new(self.user.filter(|_| history.len() == who.history.len()), history);
        let named = &history.items[who.history.len()..];
        let writing = self.writer.as_ref().map(|(writer, _)| writer).zip(ceiling);
        let reasons = self.engine.reasons(&request, items, (&wording, named), writing);
        if let Some(why) = reasons.iter().find_map(|reason| reason.note.as_ref()) {
            notes.push(format!("reasons are in the words of templates: {why}"));
        }
        (reasons, wording)
    }

    fn spoken_of(&self, items: &[ItemId], reasons: Vec<Reason>) -> Vec<Listed> {
        let scored: Vec<_> =
            items.iter().map(|item| tastemaker_core::Scored { item: *item, score: 0.0 }).collect();
        let mut listed = self.engine.listed(&scored);
        for (entry, reason) in listed.iter_mut().zip(reasons) {
            entry.reason = Some(reason);
        }
        listed
    }

    /// Returns the places of items among all that were not taken.
    fn places(&self, items: &[ItemId]) -> Result<Vec<Option<usize>>, Error> {
        let who = self.who();
        let merged = talked_history(&who, &self.memory);
        let history = merged.row(0);
        let request =
            Request::new(self.user.filter(|_| history.len() == who.history.len()), history);
        let mut scores = vec![f32::NEG_INFINITY; self.engine.recommender().n_items()];
        self.engine.with_lists(|lists| lists.score(&request, &mut scores))?;
        request.mask(&mut scores);
        let place = |item: &ItemId| {
            let own = scores.get(item.index()).copied().filter(|score| score.is_finite())?;
            Some(1 + scores.iter().filter(|score| **score > own).count())
        };
        Ok(items.iter().map(place).collect())
    }

    /// Returns what the catalogue says of an item in numbers and labels; free text may say anything.
    fn facts(&self, item: ItemId) -> Vec<(String, String)> {
        let items = &self.engine.data().items;
        let told = items.columns().iter().filter(|column| self.lexicon.has_column(&column.name));
        let fact = |column: &Column| {
            let value = items.field(item.index(), &column.name)?;
            (value.chars().count() <= LONGEST_FACT).then(|| (column.name.clone(), value))
        };
        told.filter_map(fact).take(FACTS).collect()
    }

    fn state(&self) -> TalkState {
        let names = |items: &[ItemId]| {
            items.iter().map(|item| self.engine.item_name(*item).to_owned()).collect()
        };
        let memory = &self.memory;
        TalkState {
            filters: memory.wishes.iter().map(Wish::expression).collect(),
            want: memory.want.clone(),
            avoid: memory.avoid.clone(),
            likes: names(&memory.likes),
            dislikes: names(&memory.dislikes),
            accepted: names(&memory.accepted),
            rejected: names(&memory.rejected),
            shown: memory.shown.len(),
        }
    }
}
