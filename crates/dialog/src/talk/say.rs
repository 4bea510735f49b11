//! Answers in plain words, in English and Chinese. Titles come from the catalogue and stand between quotation marks; of what somebody typed
//! nothing is repeated but numbers.

use serde::Serialize;

use crate::Language;
use crate::explain::{book, quote};

/// One item of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its title.
    pub title: String,
    /// Why it is there.
    pub reason: String,
}

/// One of two items side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Its title.
    pub title: String,
    /// What the catalogue says of it: names and values of fields.
    pub facts: Vec<(String, String)>,
    /// Its place among all items that were not taken.
    pub rank: Option<usize>,
    /// Why it would be recommended.
    pub reason: String,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Answer {
    /// A list.
    List {
        /// The item that was turned down before it.
        rejected: Option<String>,
        /// The item that a name nobody has may have meant; `Some(None)` where none is near.
        unknown: Option<Option<String>>,
        /// What was asked for, in words.
        wishes: Vec<String>,
        /// What was given up, since nothing was left.
        relaxed: Vec<String>,
        /// The items.
        items: Vec<Line>,
    },
    /// Nothing is left to show.
    Nothing,
    /// Why an item is recommended.
    Why {
        /// Its title.
        title: String,
        /// The reason.
        reason: String,
    },
    /// Two items side by side.
    Compare {
        /// One.
        a: Side,
        /// The other.
        b: Side,
    },
    /// An item was taken.
    Accepted {
        /// Its title.
        title: String,
        /// What goes with it.
        next: Vec<String>,
    },
    /// A question that the catalogue answers.
    Known {
        /// Its question.
        question: String,
        /// Its answer.
        answer: String,
        /// What to do next, where the catalogue says.
        next: Option<String>,
        /// Questions like it.
        others: Vec<String>,
    },
    /// A new beginning.
    Reset,
    /// What can be said.
    Help,
    /// The turn was not understood.
    Unclear,
    /// No item was named that can be spoken of.
    WhichItem,
}

/// Says an answer.
pub fn say(answer: &Answer, language: Language) -> String {
    match language {
        Language::English => english(answer),
        Language::Chinese => chinese(answer),
    }
}

/// Puts a title between the marks of a language.
pub fn marked(title: &str, language: Language) -> String {
    match language {
        Language::English => quote(title),
        Language::Chinese => book(title),
    }
}

fn english(answer: &Answer) -> String {
    match answer {
        Answer::List { rejected, unknown, wishes, relaxed, items } => {
            let mut parts = Vec::new();
            match unknown {
                Some(Some(near)) => parts.push(format!("I know nothing of that name; did you mean {}?", quote(near))),
                Some(None) => parts.push("I know nothing of that name.".into()),
                None => {}
            }
            parts.extend(rejected.iter().map(|title| format!("I leave {} out.", quote(title))));
            if !relaxed.is_empty() {
                parts.push(format!("Nothing is all of that, so I gave up: {}.", relaxed.join("; ")));
            }
            parts.push(match (wishes.is_empty(), items.len()) {
                (true, 1) => "Here is one:".into(),
                (true, n) => format!("Here are {n}:"),
                (false, _) => format!("With what you asked for ({}):", wishes.join("; ")),
            });
            format!("{}\n{}", parts.join(" "), lines(items, quote))
        }
        Answer::Nothing => "Nothing is left to show. Say “start over”, or ask for something else.".into(),
        Answer::Why { title, reason } => format!("{}: {reason}", quote(title)),
        Answer::Compare { a, b } => {
            let side = |side: &Side| {
                let facts = side.facts.iter().map(|(name, value)| format!("{}: {value}", name.replace('_', " ")));
                let place = side.rank.map_or_else(|| "taken before".to_owned(), |rank| format!("number {rank} for you"));
                let all: Vec<String> = facts.chain([place]).collect();
                format!("{} – {}. {}", quote(&side.title), all.join("; "), side.reason)
            };
            let nearer = nearer(a, b).map(|side| format!("\n{} suits you better.", quote(&side.title)));
            format!("{}\n{}{}", side(a), side(b), nearer.unwrap_or_default())
        }
        Answer::Accepted { title, next } if next.is_empty() => format!("{} it is. Enjoy.", quote(title)),
        Answer::Accepted { title, next } => {
            let next: Vec<String> = next.iter().map(|title| quote(title)).collect();
            format!("{} it is. It goes with {}.", quote(title), next.join(", "))
        }
        Answer::Known { answer, next, others, .. } => {
            let next = next.iter().map(|next| format!("\nNext: {next}")).collect::<String>();
            let others: Vec<String> = others.iter().map(|question| quote(question)).collect();
            let others = if others.is_empty() { String::new() } else { format!("\nOthers asked: {}", others.join(", ")) };
            format!("{answer}{next}{others}")
        }
        Answer::Reset => "We start over. What would you like?".into(),
        Answer::Help => "Say what you would like: a kind, a year, something like an item you know, and what it should not be. Then: why, \
                         compare the first and the second, more, not that one, I'll take it, start over."
            .into(),
        Answer::Unclear => "I did not understand that. Say what you would like, such as a kind, or something like an item you know.".into(),
        Answer::WhichItem => "Which one do you mean? Name it, or ask for a list first.".into(),
    }
}

fn chinese(answer: &Answer) -> String {
    match answer {
        Answer::List { rejected, unknown, wishes, relaxed, items } => {
            let mut parts = Vec::new();
            match unknown {
                Some(Some(near)) => parts.push(format!("没有这个名字，您是指{}吗？", book(near))),
                Some(None) => parts.push("没有这个名字。".into()),
                None => {}
            }
            parts.extend(rejected.iter().map(|title| format!("好的，不再推荐{}。", book(title))));
            if !relaxed.is_empty() {
                parts.push(format!("没有完全符合的，已放宽：{}。", relaxed.join("；")));
            }
            parts.push(match wishes.is_empty() {
                true => format!("为您找到 {} 个：", items.len()),
                false => format!("按您的要求（{}）：", wishes.join("；")),
            });
            format!("{}\n{}", parts.concat(), lines(items, book))
        }
        Answer::Nothing => "没有可以推荐的了。可以说“重新开始”，或换个要求。".into(),
        Answer::Why { title, reason } => format!("{}：{reason}", book(title)),
        Answer::Compare { a, b } => {
            let side = |side: &Side| {
                let facts = side.facts.iter().map(|(name, value)| format!("{}：{value}", name.replace('_', " ")));
                let place = side.rank.map_or_else(|| "之前选过".to_owned(), |rank| format!("在您的推荐中排第 {rank}"));
                let all: Vec<String> = facts.chain([place]).collect();
                format!("{}——{}。{}", book(&side.title), all.join("；"), side.reason)
            };
            let nearer = nearer(a, b).map(|side| format!("\n{}更适合您。", book(&side.title)));
            format!("{}\n{}{}", side(a), side(b), nearer.unwrap_or_default())
        }
        Answer::Accepted { title, next } if next.is_empty() => format!("好的，就选{}。", book(title)),
        Answer::Accepted { title, next } => {
            let next: Vec<String> = next.iter().map(|title| book(title)).collect();
            format!("好的，就选{}。与它相近的还有{}。", book(title), next.join("、"))
        }
        Answer::Known { answer, next, others, .. } => {
            let next = next.iter().map(|next| format!("\n下一步：{next}")).collect::<String>();
            let others: Vec<String> = others.iter().map(|question| quote(question)).collect();
            let others = if others.is_empty() { String::new() } else { format!("\n相关问题：{}", others.join("、")) };
            format!("{answer}{next}{others}")
        }
        Answer::Reset => "好的，重新开始。您想要什么？".into(),
        Answer::Help => "说说您想要什么：类别、年份、像哪一个、不要什么。之后可以问：为什么、比较第一个和第二个、换一批、不要这个、就它、重新开始。".into(),
        Answer::Unclear => "没有听懂。请说说想要的类别，或者像哪一个。".into(),
        Answer::WhichItem => "您指的是哪一个？请说出名称，或先要一个列表。".into(),
    }
}

/// Returns the side that stands before the other.
fn nearer<'a>(a: &'a Side, b: &'a Side) -> Option<&'a Side> {
    match (a.rank?, b.rank?) {
        (first, second) if first < second => Some(a),
        (first, second) if second < first => Some(b),
        _ => None,
    }
}

fn lines(items: &[Line], marked: fn(&str) -> String) -> String {
    let line = |(at, line): (usize, &Line)| match line.reason.is_empty() {
        true => format!("{}. {}", at + 1, marked(&line.title)),
        false => format!("{}. {} – {}", at + 1, marked(&line.title), line.reason),
    };
    items.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}
