//! Evidence to one plain sentence: a clause for each piece of evidence, and nothing besides.

use serde::{Deserialize, Serialize};

use crate::{Evidence, Language, evidence::percent};

/// Words that depend on what is recommended. Choose a verb whose past and participle are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wording {
    /// What users do with items, in the past: "watched", "bought", "read".
    pub took: String,
    /// What an item's text is called: "plot", "description".
    pub text: String,
    /// The language of sentences. Words of another script than its own give way to plain ones.
    pub language: Language,
}

impl Default for Wording {
    fn default() -> Self {
        Self::new("picked", "description")
    }
}

impl Wording {
    /// Says "you `took` it" and "its `text`", in English.
    pub fn new(took: &str, text: &str) -> Self {
        Self { took: took.into(), text: text.into(), language: Language::English }
    }

    /// Says the same in another language.
    #[must_use]
    pub fn in_language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }

    /// Returns what users do with items, as the language can say it.
    pub fn took(&self) -> &str {
        self.fitting(&self.took, "picked", "选过")
    }

    /// Returns what an item's text is called, as the language can say it.
    pub fn text(&self) -> &str {
        self.fitting(&self.text, "description", "简介")
    }

    fn fitting<'a>(&self, own: &'a str, english: &'a str, chinese: &'a str) -> &'a str {
        let has_han = own.chars().any(Language::is_han);
        match self.language {
            Language::English if has_han => english,
            Language::Chinese if !has_han => chinese,
            _ => own,
        }
    }
}

/// Why an item is recommended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One sentence.
    pub text: String,
    /// Its clauses in order.
    pub clauses: Vec<Clause>,
}

/// A part of a sentence, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// The words.
    pub text: String,
    /// Which piece of evidence backs them, from 0.
    pub evidence_index: usize,
}

/// How many shared words are named.
const MAX_TERMS: usize = 3;

/// Says why, from the strongest evidence to the weakest as given, in at most `max_clauses` clauses.
///
/// Facts that do not speak for the item are passed over, and so are repetitions. `None` when nothing is left:
/// no reason is better than an invented one.
///
/// ```
/// use tastemaker_dialog::{Evidence, Wording, explain};
/// let evidence = [
///     Evidence::Took { item: "Alien".into(), share: 0.6 },
///     Evidence::AlsoLiked { item: "Blade Runner".into() },
/// ];
/// let reason = explain(&evidence, &Wording::new("watched", "plot"), 3).unwrap();
/// assert_eq!(reason.text, "Because you watched “Alien”; people who liked “Blade Runner” also liked it.");
/// ```
pub fn explain(evidence: &[Evidence], wording: &Wording, max_clauses: usize) -> Option<Reason> {
    let clauses = clauses(evidence, max_clauses, &|fact| say(fact, wording));
    sentence(clauses, wording.language)
}

/// Says what somebody is like: the same facts, told of the user instead of an item.
pub fn describe(evidence: &[Evidence], wording: &Wording) -> Option<Reason> {
    let told = |fact: &Evidence| match (fact, wording.language) {
        (Evidence::Took { item, .. }, Language::English) => {
            format!("you {} {}", wording.took(), quote(item))
        }
        (Evidence::Took { item, .. }, Language::Chinese) => {
            format!("您{}{}", wording.took(), book(item))
        }
        _ => say(fact, wording),
    };
    sentence(clauses(evidence, evidence.len(), &told), wording.language)
}

/// Says each fact that speaks, once.
fn clauses(evidence: &[Evidence], most: usize, say: &dyn Fn(&Evidence) -> String) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    for (evidence_index, fact) in evidence.iter().enumerate() {
        if clauses.len() == most {
            break;
        }
        let repeats = |clause: &Clause| {
            let told = &evidence[clause.evidence_index];
            std::mem::discriminant(told) == std::mem::discriminant(fact)
                && told.title() == fact.title()
        };
        if fact.speaks() && !clauses.iter().any(repeats) {
            clauses.push(Clause { text: say(fact), evidence_index });
        }
    }
    clauses
}

/// Joins clauses to one sentence.
fn sentence(clauses: Vec<Clause>, language: Language) -> Option<Reason> {
    let texts: Vec<&str> = clauses.iter().map(|clause| clause.text.as_str()).collect();
    let (between, end) = match language {
        Language::English => ("; ", "."),
        Language::Chinese => ("；", "。"),
    };
    let sentence = texts.join(between);
    (!sentence.is_empty()).then(|| Reason { text: format!("{}{end}", capital(&sentence)), clauses })
}

/// Begins with a capital letter, where there is one.
pub(crate) fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}

fn say(fact: &Evidence, wording: &Wording) -> String {
    match wording.language {
        Language::English => say_in_english(fact, wording.took(), wording.text()),
        Language::Chinese => say_in_chinese(fact, wording.took(), wording.text()),
    }
}

fn say_in_english(fact: &Evidence, took: &str, text: &str) -> String {
    match fact {
        Evidence::Took { item, .. } => format!("because you {took} {}", quote(item)),
        Evidence::Wished { item } => format!("you asked for something like {}", quote(item)),
        Evidence::Transition { from } => {
            format!("people who {took} {} next {took} it", quote(from))
        }
        Evidence::AlsoLiked { item } => format!("people who liked {} also liked it", quote(item)),
        Evidence::TextLike { item, shared, .. } => match told(shared)[..] {
            [] => format!("its {text} resembles {}", quote(item)),
            ref terms => format!("its {text} resembles {} ({})", quote(item), terms.join(", ")),
        },
        Evidence::Popular { count, rank } => {
            let times = if *count == 1 { "time" } else { "times" };
            format!("it was {took} {count} {times}, number {rank} of all")
        }
        Evidence::Category { name, share } => {
            format!("{}% of what you {took} is {}", percent(*share), quote(name))
        }
    }
}

fn say_in_chinese(fact: &Evidence, took: &str, text: &str) -> String {
    match fact {
        Evidence::Took { item, .. } => format!("因为您{took}{}", book(item)),
        Evidence::Wished { item } => format!("您想要与{}相似的", book(item)),
        Evidence::Transition { from } => format!("{took}{}的人接下来选择了它", book(from)),
        Evidence::AlsoLiked { item } => format!("喜欢{}的人也喜欢它", book(item)),
        Evidence::TextLike { item, shared, .. } => match told(shared)[..] {
            [] => format!("它的{text}与{}相似", book(item)),
            ref terms => format!("它的{text}与{}相似（{}）", book(item), terms.join("、")),
        },
        Evidence::Popular { count, rank } => format!("它被{took} {count} 次，在全部中排第 {rank}"),
        Evidence::Category { name, share } => {
            format!("您{took}的有 {}% 属于{}", percent(*share), quote(name))
        }
    }
}

/// Returns the shared words that are named.
fn told(shared: &[String]) -> Vec<&str> {
    shared.iter().map(String::as_str).filter(|term| is_plain(term)).take(MAX_TERMS).collect()
}

/// Puts a title between quotation marks; its end is never in doubt.
pub(crate) fn quote(title: &str) -> String {
    format!("“{}”", inside(title))
}

/// Puts a title between the marks that Chinese has for titles.
pub(crate) fn book(title: &str) -> String {
    format!("《{}》", inside(title))
}

/// Returns a title as it stands between marks: on one line, with other marks than those inside.
pub(crate) fn inside(title: &str) -> String {
    let words: Vec<&str> = title.split_whitespace().collect();
    let marked = words.join(" ").replace(['“', '”', '"'], "’");
    marked.replace(['《', '「', '『', '«'], "〈").replace(['》', '」', '』', '»'], "〉")
}

/// Tells whether a term can stand in a list without being mistaken for two.
pub(crate) fn is_plain(term: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’' | ' ');
    !term.trim().is_empty() && term.trim() == term && term.chars().all(plain)
}
