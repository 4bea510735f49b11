//! What a catalogue can be asked for: titles, labels, numbers, and the words of its texts.

use std::collections::{BTreeMap, BTreeSet};

use tastemaker_core::ItemId;

use super::thesaurus::meant;
use super::tokens::{key, tokens};

/// Words of the longest title that is looked for in a turn.
const LONGEST: usize = 12;
/// Labels that a word is compared with.
const MAX_LABELS: usize = 5000;
/// Articles that catalogues put behind the title.
const ARTICLES: [&str; 12] =
    ["the", "a", "an", "la", "le", "les", "il", "der", "die", "das", "el", "l"];
/// Titles of words like these alone are looked for only where the turn points at them.
const PLAIN: &[&str] = &[
    "a", "an", "and", "at", "for", "i", "in", "it", "like", "love", "me", "my", "new", "of", "old",
    "on", "one", "or", "out", "she", "the", "them", "to", "up", "us", "what", "with", "you",
];

/// One label of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The column.
    pub column: String,
    /// The label, as the catalogue writes it.
    pub label: String,
    /// A row may have several labels.
    pub is_list: bool,
}

/// What a column of numbers is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// When something came out.
    Year,
    /// What it costs.
    Price,
    /// How long it is.
    Length,
    /// How well people found it.
    Rating,
    /// Anything else; asked for by its name.
    Other,
}

impl Role {
    /// Guesses what a column is about from its name.
    pub fn of(column: &str) -> Self {
        let name = column.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&["year", "released", "release_date", "年份", "年"]) {
            Self::Year
        } else if has(&["price", "cost", "价格", "价"]) {
            Self::Price
        } else if has(&["runtime", "minutes", "duration", "length", "pages", "时长", "页数"]) {
            Self::Length
        } else if has(&["rating", "stars", "score", "评分"]) {
            Self::Rating
        } else {
            Self::Other
        }
    }
}

/// A column of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberField {
    /// Its name.
    pub column: String,
    /// What it is about.
    pub role: Role,
    /// Its values are texts that hold numbers.
    pub is_text: bool,
}

/// What a lexicon is made of.
#[derive(Clone, Debug, Default)]
pub struct LexiconParts {
    /// Items with their titles; of equal titles the first counts, so those most taken come first.
    pub titles: Vec<(ItemId, String)>,
    /// Labels.
    pub labels: Vec<Field>,
    /// Columns of numbers.
    pub numbers: Vec<NumberField>,
    /// Texts whose words may be asked for.
    pub texts: Vec<String>,
    /// Items are questions with answers.
    pub has_answers: bool,
}

/// What a catalogue can be asked for.
#[derive(Clone, Debug, Default)]
pub struct Lexicon {
    titles: BTreeMap<String, ItemId>,
    /// By what they are called, as cut into words.
    labels: BTreeMap<String, usize>,
    pub(super) fields: Vec<Field>,
    pub(super) numbers: Vec<NumberField>,
    words: BTreeSet<String>,
    pub(super) has_answers: bool,
}

impl Lexicon {
    /// Makes a lexicon.
    pub fn new(parts: LexiconParts) -> Self {
        let mut titles = BTreeMap::new();
        for (item, title) in &parts.titles {
            for name in names(title) {
                titles.entry(name).or_insert(*item);
            }
        }
        let mut fields = parts.labels;
        fields.truncate(MAX_LABELS);
        let mut labels = BTreeMap::new();
        for (at, field) in fields.iter().enumerate() {
            labels.entry(key(&field.label)).or_insert(at);
        }
        labels.remove("");
        let words = parts.texts.iter().flat_map(|text| words(text)).collect();
        Self {
            titles,
            labels,
            fields,
            numbers: parts.numbers,
            words,
            has_answers: parts.has_answers,
        }
    }

    /// Returns the item whose title consists of these words.
    pub(super) fn title(&self, words: &[&str]) -> Option<ItemId> {
        if words.is_empty() || words.len() > LONGEST {
            return None;
        }
        self.titles.get(&words.join(" ")).copied()
    }

    /// Returns the item whose title is nearest to what was said: one that begins with it, or else the one most alike.
    pub(super) fn nearest(&self, said: &str) -> Option<ItemId> {
        let said = key(said);
        if said.is_empty() {
            return None;
        }
        if let Some(item) = self.titles.get(&said) {
            return Some(*item);
        }
        let begins = format!("{said} ");
        let next = self.titles.range(begins.clone()..).next();
        if let Some((_, item)) = next.filter(|(title, _)| title.starts_with(&begins)) {
            return Some(*item);
        }
        let likeness = |title: &str| -> f64 {
            let (longer, shorter) = (title.len().max(said.len()), title.len().min(said.len()));
            if shorter * 3 < longer * 2 { 0.0 } else { alike(title, &said) }
        };
        let best = self.titles.iter().map(|(title, item)| (likeness(title), *item));
        let best = best.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        best.filter(|(likeness, _)| *likeness >= 0.7).map(|(_, item)| item)
    }

    /// Returns the words of the longest title that is looked for.
    pub(super) const fn longest() -> usize {
        LONGEST
    }

    /// Tells whether a title says nothing by itself.
    pub(super) fn is_plain(words: &[&str]) -> bool {
        words.iter().all(|word| PLAIN.contains(word))
    }

    /// Returns the label that these words name, or mean.
    pub(super) fn label(&self, words: &[&str]) -> Option<usize> {
        let said = words.join(" ");
        let found = |name: &str| {
            let singular = name.strip_suffix('s').filter(|name| name.len() > 2).unwrap_or(name);
            [name.to_owned(), format!("{name}s"), singular.to_owned()]
                .iter()
                .find_map(|name| self.labels.get(name).copied())
        };
        found(&said).or_else(|| meant(&said).iter().find_map(|name| found(name)))
    }

    /// Tells whether a word is one of the catalogue's.
    pub(super) fn knows(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// Tells whether a column holds numbers or labels.
    pub fn has_column(&self, name: &str) -> bool {
        self.numbers.iter().any(|field| field.column == name)
            || self.fields.iter().any(|field| field.column == name)
    }

    /// Lists the columns of numbers.
    pub fn numbers(&self) -> &[NumberField] {
        &self.numbers
    }

    /// Returns the column of numbers that is about this; of several the first.
    pub(super) fn number(&self, role: Role) -> Option<&NumberField> {
        self.numbers.iter().find(|field| field.role == role)
    }
}

/// Returns the words of a text that may be asked for.
fn words(text: &str) -> Vec<String> {
    tokens(text).into_iter().map(|token| token.word).collect()
}

/// Lists what people call an item: the title, without what stands in parentheses, with its article in front and without it.
fn names(title: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut depth = 0usize;
    for c in title.chars() {
        match c {
            '(' | '（' | '[' => depth += 1,
            ')' | '）' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let mut names = vec![key(title), key(&plain)];
    if let Some((name, article)) = plain.trim().rsplit_once(", ")
        && ARTICLES.contains(&article.to_lowercase().trim_end_matches('\''))
    {
        names.push(key(&format!("{article} {name}")));
        names.push(key(name));
    }
    if let Some(name) = key(&plain).strip_prefix("the ") {
        names.push(name.to_owned());
    }
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
}

/// Returns the share of pairs of neighbouring letters that two texts have in common (Dice).
fn alike(a: &str, b: &str) -> f64 {
    let pairs = |text: &str| {
        let letters: Vec<char> = text.chars().collect();
        letters.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>()
    };
    let (first, mut second) = (pairs(a), pairs(b));
    let all = first.len() + second.len();
    let mut shared = 0usize;
    for pair in first {
        if let Some(at) = second.iter().position(|other| *other == pair) {
            second.swap_remove(at);
            shared += 1;
        }
    }
    2.0 * shared as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_found_by_what_people_call_them() {
        let titles = [
            (1, "Matrix, The (1999)"),
            (2, "Alien"),
            (3, "霸王别姬 (1993)"),
            (4, "Alien: Covenant"),
        ];
        let titles = titles.map(|(id, title)| (ItemId(id), title.to_owned())).into();
        let lexicon = Lexicon::new(LexiconParts { titles, ..LexiconParts::default() });
        assert_eq!(lexicon.title(&["the", "matrix"]), Some(ItemId(1)));
        assert_eq!(lexicon.title(&["matrix"]), Some(ItemId(1)));
        assert_eq!(lexicon.title(&["霸", "王", "别", "姬"]), Some(ItemId(3)));
        assert_eq!(lexicon.title(&["alien"]), Some(ItemId(2)));
        assert_eq!(lexicon.nearest("Alien Covenent"), Some(ItemId(4)), "a slip of the pen");
        assert_eq!(lexicon.nearest("Zorblax Returns"), None);
    }

    #[test]
    fn labels_are_found_by_their_names_and_by_what_they_mean() {
        let field =
            |label: &str| Field { column: "genres".into(), label: label.into(), is_list: true };
        let labels = ["Sci-Fi", "Horror", "Children's"].map(field).into();
        let lexicon = Lexicon::new(LexiconParts { labels, ..LexiconParts::default() });
        assert_eq!(lexicon.label(&["sci", "fi"]), Some(0));
        assert_eq!(lexicon.label(&["scary"]), Some(1));
        assert_eq!(lexicon.label(&["恐", "怖"]), Some(1));
        assert_eq!(lexicon.label(&["children"]), Some(2));
        assert_eq!(lexicon.label(&["funny"]), None, "no such label");
    }
}
