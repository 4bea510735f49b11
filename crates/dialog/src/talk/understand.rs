//! A turn to what it asks for, by rules: titles, labels and numbers of the catalogue, what is wanted and what is not, and the intent.

use serde::{Deserialize, Serialize};
use tastemaker_core::ItemId;
use tastemaker_text::words as cleaned;

use super::cues::{self, line, says};
use super::lexicon::{Lexicon, Role};
use super::memory::Memory;
use super::numbers::ranges;
use super::tokens::{Token, spoken, tokens};
use super::wish::Wish;
use crate::Language;

/// Items of a list, at most.
const MOST_ITEMS: f64 = 20.0;
/// Words of a label that is looked for.
const LABEL_WORDS: usize = 4;
/// Words that are kept of a turn.
const MOST_WORDS: usize = 8;

/// What a turn is after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// A list.
    Seek,
    /// Another list than the one shown.
    Critique,
    /// Why an item is there.
    Why,
    /// Two items side by side.
    Compare,
    /// An item is taken.
    Accept,
    /// An item is not wanted.
    Reject,
    /// A question that the catalogue answers.
    Ask,
    /// A new beginning.
    Reset,
    /// What can be said.
    Help,
    /// Nothing that was understood.
    #[default]
    Unclear,
}

/// What a turn says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Understood {
    /// What it is after.
    pub intent: Intent,
    /// The language it is in.
    pub language: Language,
    /// What items must be.
    pub wishes: Vec<Wish>,
    /// Words they should be about; all of them words of the catalogue.
    pub want: Vec<String>,
    /// Words they should not be about.
    pub avoid: Vec<String>,
    /// Items they should be like.
    pub like: Vec<ItemId>,
    /// Items they should not be like.
    pub dislike: Vec<ItemId>,
    /// Items taken before.
    pub seen: Vec<ItemId>,
    /// Items spoken of, in their order.
    pub items: Vec<ItemId>,
    /// More or less of something than in the list shown.
    pub relative: Vec<(Role, bool)>,
    /// How many items are wanted.
    pub n: Option<usize>,
    /// A name was said that no item has; with the item whose name is nearest.
    pub unknown: Option<Option<ItemId>>,
    /// The turn itself, where nothing in it was understood but that something is wanted: read by its meaning, never repeated.
    pub topic: Option<String>,
    /// A language model helped.
    pub by_model: bool,
}

/// Reads a turn.
pub fn understand(text: &str, lexicon: &Lexicon, memory: &Memory) -> Understood {
    let tokens = tokens(text);
    let line = line(&tokens);
    let language = Language::of(text).unwrap_or(memory.language);
    let mut reading = Reading {
        tokens: &tokens,
        lexicon,
        used: vec![false; tokens.len()],
        said: Understood { language, ..Understood::default() },
    };
    reading.said.n = reading.count();
    let titles = reading.titles();
    let wishes = ranges(&tokens, lexicon, &mut reading.used);
    reading.said.wishes = wishes;
    reading.said.relative = cues::RELATIVE
        .iter()
        .filter(|(words, ..)| says(&line, &[words]))
        .map(|(_, role, more)| (*role, *more))
        .collect();
    reading.rest();
    let mut said = reading.said;
    said.intent = intent(&line, text, &said, &titles, (lexicon, memory));
    place_titles(&mut said, titles, &line, memory);
    said
}

/// A title in a turn.
#[derive(Clone, Copy, Debug)]
struct Mention {
    item: ItemId,
    is_wanted: bool,
    is_seen: bool,
}

struct Reading<'a> {
    tokens: &'a [Token],
    lexicon: &'a Lexicon,
    used: Vec<bool>,
    said: Understood,
}

impl Reading<'_> {
    /// "five films", "3 more", "给我三部".
    fn count(&mut self) -> Option<usize> {
        const NAMED: [&str; 10] =
            ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
        const HAN: [&str; 10] = ["一", "两", "三", "四", "五", "六", "七", "八", "九", "十"];
        for at in 0..self.tokens.len() {
            let token = &self.tokens[at];
            let named = NAMED.iter().position(|word| *word == token.word).map(|at| at + 1);
            let han = HAN.iter().position(|word| *word == token.word).map(|at| at + 1);
            let digits = token
                .number
                .filter(|n| (1.0..=MOST_ITEMS).contains(n) && n.fract().abs() < f64::EPSILON);
            let near = |step: isize| {
                at.checked_add_signed(step)
                    .and_then(|at| self.tokens.get(at))
                    .map_or("", |token| token.word.as_str())
            };
            let asks =
                ["me", "show", "give", "recommend", "suggest", "just", "only"].contains(&near(-1));
            let things = [
                "films",
                "movies",
                "books",
                "songs",
                "items",
                "more",
                "others",
                "suggestions",
                "recommendations",
            ]
            .contains(&near(1));
            let counted = ["部", "个", "本", "条", "首"].contains(&near(1)) && near(-1) != "第";
            let n = digits
                .map(|n| n as usize)
                .or(named.filter(|_| things))
                .or(han.filter(|n| counted && *n > 1));
            if let Some(n) = n.filter(|_| asks || things || counted) {
                self.used[at] = true;
                return Some(n);
            }
        }
        None
    }

    /// Finds titles, the longest first; what stands between quotation marks is meant as one.
    fn titles(&mut self) -> Vec<Mention> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            if let Some(mark) = self.tokens[at].quoted {
                let end = self.tokens[at..]
                    .iter()
                    .position(|token| token.quoted != Some(mark))
                    .map_or(self.tokens.len(), |n| at + n);
                let words: Vec<&str> =
                    self.tokens[at..end].iter().map(|token| token.word.as_str()).collect();
                match self.lexicon.title(&words) {
                    Some(item) => found.push(self.mention(item, at)),
                    None if self.lexicon.label(&words).is_none() => {
                        let nearest = self.lexicon.nearest(&words.join(" "));
                        self.said.unknown = Some(nearest);
                    }
                    None => {
                        at = end;
                        continue;
                    }
                }
                self.used[at..end].fill(true);
                at = end;
                continue;
            }
            match self.title_at(at) {
                Some((item, end)) => {
                    found.push(self.mention(item, at));
                    self.used[at..end].fill(true);
                    at = end;
                }
                None => at += 1,
            }
        }
        found
    }

    fn mention(&self, item: ItemId, at: usize) -> Mention {
        let before = &self.tokens[at.saturating_sub(3)..at];
        let says = |words: &str| says(&line(before), &[words]);
        let is_seen = cues::SEEN.iter().any(|words| says(words));
        Mention { item, is_wanted: self.is_wanted(at), is_seen }
    }

    /// Returns the item whose title begins at a word, and where the title ends.
    fn title_at(&self, at: usize) -> Option<(ItemId, usize)> {
        let most = (self.tokens.len() - at).min(Lexicon::longest());
        (1..=most).rev().find_map(|length| {
            let part = &self.tokens[at..at + length];
            if self.used[at..at + length].contains(&true)
                || part.iter().any(|token| token.quoted.is_some())
            {
                return None;
            }
            let words: Vec<&str> = part.iter().map(|token| token.word.as_str()).collect();
            let item = self.lexicon.title(&words)?;
            let before = at.checked_sub(1).map(|at| self.tokens[at].word.as_str());
            let is_pointed_at = before.is_some_and(|word| cues::POINTS.contains(&word));
            let is_written_as_a_name = part[0].is_capital && at > 0;
            let has_han = part[0].word.chars().any(Language::is_han);
            let is_meant = match length {
                _ if Lexicon::is_plain(&words) => is_pointed_at && is_written_as_a_name,
                // What is a kind of thing as well is meant as one, unless it is written as a name.
                1 if self.lexicon.label(&words).is_some() => is_pointed_at && is_written_as_a_name,
                1 if has_han => false,
                1 => is_pointed_at || is_written_as_a_name,
                _ if has_han && length == 2 => is_pointed_at,
                _ => true,
            };
            // Numbers are titles only where they are pointed at as such.
            (is_meant && (part.iter().any(|token| token.number.is_none()) || is_pointed_at))
                .then_some((item, at + length))
        })
    }

    /// Tells whether what stands at a word is wanted: whether a word that denies comes before it, with nothing between that takes it back.
    fn is_wanted(&self, at: usize) -> bool {
        for back in (0..at).rev() {
            let token = &self.tokens[back];
            if cues::NOT.contains(&token.word.as_str()) && !self.is_idiom(back) {
                return false;
            }
            let is_like = token.word == "like"
                && back > 0
                && cues::NOT.contains(&self.tokens[back - 1].word.as_str());
            if (cues::YES.contains(&token.word.as_str()) && !is_like && !self.is_denied(back))
                || self.tokens[back + 1].after_break
            {
                return true;
            }
        }
        true
    }

    /// "dont want", "not like", "不再": the word that would take back a denial is what is denied.
    fn is_denied(&self, at: usize) -> bool {
        at.checked_sub(1)
            .is_some_and(|before| cues::NOT.contains(&self.tokens[before].word.as_str()))
    }

    /// "not only", "有没有", "不错": no denials.
    fn is_idiom(&self, at: usize) -> bool {
        let word = |at: Option<usize>| {
            at.and_then(|at| self.tokens.get(at)).map_or("", |token| token.word.as_str())
        };
        let next = word(at.checked_add(1));
        match self.tokens[at].word.as_str() {
            "not" => next == "only",
            "没" => next == "有" && word(at.checked_sub(1)) == "有",
            "不" => next == "错" || next == "超" || next == "低",
            "less" | "no" => next == "than",
            "别" => next == "的",
            "少" => word(at.checked_sub(1)) == "多" || word(at.checked_sub(1)) == "至",
            _ => false,
        }
    }

    /// Sorts what is left into labels and words, wanted or not.
    fn rest(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            if self.used[at] {
                at += 1;
                continue;
            }
            let most = (self.tokens.len() - at).min(LABEL_WORDS);
            let label = (1..=most).rev().find_map(|length| {
                let part = &self.tokens[at..at + length];
                let is_free = !self.used[at..at + length].contains(&true);
                let words: Vec<&str> = part.iter().map(|token| token.word.as_str()).collect();
                let label = self.lexicon.label(&words).filter(|_| is_free)?;
                let is_said = cues::FILLER.contains(&words.join(" ").as_str())
                    || part.iter().all(|token| token.number.is_some());
                (!is_said).then_some((label, at + length))
            });
            if let Some((label, end)) = label {
                let wish = Wish::label(&self.lexicon.fields[label], self.is_wanted(at));
                if !self.said.wishes.iter_mut().any(|known| known.replace(&wish)) {
                    self.said.wishes.push(wish);
                }
                self.used[at..end].fill(true);
                at = end;
                continue;
            }
            at = self.word(at);
        }
    }

    /// Keeps a word that says something, and returns where the next one begins.
    fn word(&mut self, at: usize) -> usize {
        let token = &self.tokens[at];
        let is_han = token.word.chars().all(Language::is_han);
        let says_something = |token: &Token| match is_han {
            true => {
                token.word.chars().all(Language::is_han) && !cues::FILLER_HAN.contains(&token.word)
            }
            false => {
                token.number.is_none()
                    && token.word.chars().count() > 2
                    && !cues::FILLER.contains(&token.word.as_str())
                    && !cleaned(&token.word).is_empty()
            }
        };
        let mut end = at + 1;
        if is_han && says_something(token) {
            let begins_label = |end: usize| {
                let most = (self.tokens.len() - end).min(LABEL_WORDS);
                (1..=most).any(|length| {
                    let part = self.tokens[end..end + length].iter();
                    self.lexicon
                        .label(&part.map(|token| token.word.as_str()).collect::<Vec<_>>())
                        .is_some()
                })
            };
            while end < self.tokens.len()
                && !self.used[end]
                && says_something(&self.tokens[end])
                && !begins_label(end)
            {
                end += 1;
            }
        }
        let part = &self.tokens[at..end];
        // Nothing is kept that the catalogue has no word for: it could find nothing, and must not be repeated.
        let is_known =
            part.iter().all(|token| says_something(token) && self.lexicon.knows(&token.word));
        if is_known && (!is_han || end > at + 1) {
            let words: Vec<&str> = part.iter().map(|token| token.word.as_str()).collect();
            let is_wanted = self.is_wanted(at);
            let list = if is_wanted { &mut self.said.want } else { &mut self.said.avoid };
            let word = spoken(&words);
            if list.len() < MOST_WORDS && !list.contains(&word) {
                list.push(word);
            }
        }
        end
    }
}

/// Finds the intent.
fn intent(
    line: &str,
    text: &str,
    said: &Understood,
    titles: &[Mention],
    (lexicon, memory): (&Lexicon, &Memory),
) -> Intent {
    let has_list = !memory.list.is_empty();
    let wishes = !said.wishes.is_empty() || !said.want.is_empty() || !said.avoid.is_empty();
    let is_question = text.trim_end().ends_with(['?', '？'])
        || cues::QUESTION.iter().any(|word| line.starts_with(&format!(" {word} ")));
    let points = !titles.is_empty() || !ordinals(line, memory).is_empty();
    if says(line, cues::RESET) {
        Intent::Reset
    } else if says(line, cues::WHY) && (points || has_list) {
        Intent::Why
    } else if says(line, cues::COMPARE) && (titles.len() > 1 || has_list) {
        Intent::Compare
    } else if says(line, cues::ACCEPT) && (points || has_list) && !wishes {
        Intent::Accept
    } else if says(line, cues::REJECT) && (has_list || !titles.is_empty()) && !wishes {
        Intent::Reject
    } else if lexicon.has_answers && is_question && titles.is_empty() && !says(line, cues::SEEK) {
        Intent::Ask
    } else if says(line, cues::HELP) && !wishes {
        Intent::Help
    } else if has_list && (!said.relative.is_empty() || says(line, cues::MORE)) {
        Intent::Critique
    } else if wishes || !titles.is_empty() || said.unknown.is_some() || says(line, cues::SEEK) {
        if has_list && wishes && !says(line, cues::SEEK) { Intent::Critique } else { Intent::Seek }
    } else {
        Intent::Unclear
    }
}

/// Says what the titles in a turn are there for.
fn place_titles(said: &mut Understood, titles: Vec<Mention>, line: &str, memory: &Memory) {
    let mut items: Vec<ItemId> = titles.iter().map(|mention| mention.item).collect();
    items.extend(ordinals(line, memory));
    match said.intent {
        Intent::Seek | Intent::Critique => {
            // "More like the second": what is pointed at in the list is what others should be like.
            if says(line, &["like", "像"]) {
                said.like.extend(ordinals(line, memory));
            }
            for mention in titles {
                match (mention.is_seen, mention.is_wanted) {
                    (true, true) => said.seen.push(mention.item),
                    (_, true) => said.like.push(mention.item),
                    (_, false) => said.dislike.push(mention.item),
                }
            }
        }
        Intent::Why | Intent::Accept | Intent::Reject => {
            if items.is_empty() {
                items.extend(memory.focus.or_else(|| memory.list.first().copied()));
            }
            if says(line, &["seen", "看 过"]) {
                said.seen.clone_from(&items);
            }
        }
        Intent::Compare => {
            items.dedup();
            if items.len() == 1 {
                items.extend(memory.list.iter().copied().find(|item| *item != items[0]));
            } else if items.is_empty() {
                items.extend(memory.list.iter().take(2));
            }
            items.truncate(2);
        }
        Intent::Ask | Intent::Reset | Intent::Help | Intent::Unclear => {}
    }
    said.items = items;
}

/// Returns the items of the list shown that a turn points at: "the second", "number 3", "第一个", "it".
fn ordinals(line: &str, memory: &Memory) -> Vec<ItemId> {
    const PLACES: [&[&str]; 10] = [
        &["first", "1st", "number 1", "number one", "第 一", "第 1"],
        &["second", "2nd", "number 2", "number two", "第 二", "第 2"],
        &["third", "3rd", "number 3", "number three", "第 三", "第 3"],
        &["fourth", "4th", "number 4", "number four", "第 四", "第 4"],
        &["fifth", "5th", "number 5", "number five", "第 五", "第 5"],
        &["sixth", "6th", "number 6", "第 六", "第 6"],
        &["seventh", "7th", "number 7", "第 七", "第 7"],
        &["eighth", "8th", "number 8", "第 八", "第 8"],
        &["ninth", "9th", "number 9", "第 九", "第 9"],
        &["tenth", "10th", "number 10", "第 十", "第 10"],
    ];
    let mut found: Vec<(usize, ItemId)> = Vec::new();
    for (place, words) in PLACES.iter().enumerate() {
        let stands = words.iter().filter_map(|words| line.find(&format!(" {words} "))).min();
        found.extend(stands.zip(memory.list.get(place).copied()));
    }
    let last =
        ["last one", "last", "最 后 一"].iter().find_map(|words| line.find(&format!(" {words} ")));
    found.extend(last.zip(memory.list.last().copied()));
    found.sort_unstable();
    let mut items: Vec<ItemId> = found.into_iter().map(|(_, item)| item).collect();
    let is_it = says(
        line,
        &[
            "it", "this one", "that one", "this", "that", "它", "这 个", "那 个", "这 部", "那 部",
            "这 本",
        ],
    );
    if items.is_empty() && is_it {
        items.extend(memory.focus);
    }
    items
}
