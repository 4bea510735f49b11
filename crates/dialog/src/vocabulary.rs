//! Words that a sentence may use around its evidence: those of all sentences, and those of the kind of evidence it cites. A language
//! model's sentence that needs another word claims something nobody told it.

use crate::guard::Said;
use crate::{Error, Evidence, Language, Wording};

/// English words of any sentence. None of them denies, praises, counts or dates.
const ENGLISH: &[&str] = &[
    "a",
    "also",
    "an",
    "and",
    "another",
    "as",
    "at",
    "because",
    "for",
    "here",
    "i",
    "in",
    "is",
    "it",
    "item",
    "of",
    "on",
    "one",
    "s",
    "since",
    "so",
    "suggest",
    "suggested",
    "that",
    "the",
    "this",
    "to",
    "too",
    "well",
    "which",
    "why",
];

/// Chinese words of any sentence.
const CHINESE: &[&str] = &[
    "因为", "由于", "所以", "因此", "它", "这", "该", "也", "的", "了", "与", "和", "推荐", "给",
    "是", "这个", "为", "同样", "这部", "项",
];

fn english(fact: &Evidence) -> &'static [&'static str] {
    match fact {
        Evidence::Took { .. } => &[
            "already", "before", "earlier", "had", "have", "history", "past", "took", "ve", "you",
            "your",
        ],
        Evidence::Wished { .. } => {
            &["asked", "like", "similar", "something", "wanted", "was", "were", "you", "your"]
        }
        Evidence::Transition { .. } => &[
            "after",
            "afterwards",
            "chose",
            "continued",
            "followed",
            "go",
            "goes",
            "going",
            "next",
            "others",
            "people",
            "picked",
            "then",
            "those",
            "took",
            "up",
            "users",
            "went",
            "who",
            "with",
        ],
        Evidence::AlsoLiked { .. } => &[
            "both", "enjoy", "enjoyed", "fans", "folks", "like", "liked", "likes", "others",
            "people", "same", "those", "users", "who",
        ],
        Evidence::TextLike { .. } => &[
            "about",
            "alike",
            "both",
            "close",
            "common",
            "has",
            "have",
            "its",
            "like",
            "resemble",
            "resembles",
            "share",
            "shares",
            "similar",
            "similarity",
            "such",
            "their",
            "they",
            "with",
            "words",
        ],
        Evidence::Popular { .. } => &[
            "all", "among", "been", "has", "items", "number", "people", "place", "rank", "ranked",
            "ranks", "taken", "time", "times", "was",
        ],
        Evidence::Category { .. } => &[
            "are", "belong", "belongs", "category", "from", "have", "history", "make", "makes",
            "percent", "share", "up", "what", "you", "your",
        ],
    }
}

fn chinese(fact: &Evidence) -> &'static [&'static str] {
    match fact {
        Evidence::Took { .. } => {
            &["之前", "曾经", "以前", "选过", "已经", "选择过", "曾", "选择", "您", "你"]
        }
        Evidence::Wished { .. } => &["您", "你", "想要", "想", "要", "像", "相似", "类似", "一样"],
        Evidence::Transition { .. } => &[
            "人",
            "用户",
            "们",
            "接下来",
            "接着",
            "然后",
            "之后",
            "选择",
            "选了",
            "后",
            "又",
            "那些",
        ],
        Evidence::AlsoLiked { .. } => &["喜欢", "人", "用户", "们", "都", "那些", "喜爱"],
        Evidence::TextLike { .. } => &[
            "相似", "类似", "相近", "像", "很", "内容", "共同", "词", "有", "都", "如", "接近",
            "之间",
        ],
        Evidence::Popular { .. } => &[
            "被", "次", "在", "全部", "中", "排", "第", "名", "排名", "共", "位", "人", "选过",
            "选择",
        ],
        Evidence::Category { .. } => {
            &["有", "属于", "类", "占", "中", "类别", "里", "历史", "%", "您", "你"]
        }
    }
}

/// Returns the settings' own words that fit: only of what somebody took can it be said that they did.
fn own<'a>(fact: &Evidence, wording: &'a Wording) -> Vec<&'a str> {
    match fact {
        Evidence::TextLike { .. } => vec![wording.text()],
        Evidence::AlsoLiked { .. } | Evidence::Wished { .. } => Vec::new(),
        _ => vec![wording.took()],
    }
}

/// Lists words that the evidence does not carry.
pub(crate) fn check_words(
    (clause, text): (usize, &str),
    fact: &Evidence,
    wording: &Wording,
    faults: &mut Vec<Error>,
) {
    for rest in Said::parse(text).rest {
        let unbacked = match wording.language {
            Language::English => in_english(rest, fact, wording),
            Language::Chinese => in_chinese(rest, fact, wording),
        };
        faults.extend(unbacked.map(|word| Error::Word { clause, word }));
    }
}

/// Returns the first word that is not allowed, or a sign that is none of a plain sentence.
fn in_english(rest: &str, fact: &Evidence, wording: &Wording) -> Option<String> {
    let own: Vec<String> = own(fact, wording)
        .iter()
        .flat_map(|words| words.split_whitespace())
        .map(str::to_lowercase)
        .collect();
    let is_letter = |c: char| c.is_alphanumeric();
    let strange = rest
        .chars()
        .find(|c| !is_letter(*c) && !matches!(c, ' ' | ',' | '\'' | '’' | '-' | '.' | '%'));
    if let Some(sign) = strange {
        return Some(sign.to_string());
    }
    let known = |word: &str| {
        ENGLISH.contains(&word)
            || english(fact).contains(&word)
            || own.iter().any(|own| own == word)
    };
    let mut words = rest.split(|c: char| !is_letter(c)).filter(|word| !word.is_empty());
    words.find(|word| !known(&word.to_lowercase())).map(str::to_owned)
}

/// Returns what is left once all allowed words are taken off, the longest first.
fn in_chinese(rest: &str, fact: &Evidence, wording: &Wording) -> Option<String> {
    let own = own(fact, wording);
    let mut left = rest;
    while let Some(first) = left.chars().next() {
        if matches!(first, ' ' | '，' | '、' | ',' | '。' | '%') {
            left = &left[first.len_utf8()..];
            continue;
        }
        let all = CHINESE.iter().chain(chinese(fact)).chain(&own);
        let longest = all
            .filter(|word| !word.is_empty() && left.starts_with(**word))
            .max_by_key(|word| word.len());
        match longest {
            Some(word) => left = &left[word.len()..],
            None => return Some(first.to_string()),
        }
    }
    None
}
