//! Words that a summary may use whether or not its text does, and those that deny what stands beside them.

/// English words that tie others together and claim nothing by themselves. No praise, no amounts, no denials.
const ENGLISH: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "by", "for", "from", "has", "have", "in", "is", "it",
    "its", "of", "on", "or", "that", "the", "their", "these", "this", "to", "was", "were", "which",
    "who", "with",
];

/// Chinese words of the same kind.
const CHINESE: &[&str] = &[
    "的", "了", "和", "与", "及", "或", "在", "是", "为", "有", "这", "该", "它", "其", "并", "以",
    "于", "中", "对", "将", "由", "从", "而", "之", "这款", "这个", "这部", "以及", "一个", "一部",
    "一款",
];

/// Words that deny the words behind them, cut to their stems.
const DENIES_AFTER: &[&str] = &[
    "no", "not", "never", "without", "none", "neither", "nor", "cannot", "lack", "exclud", "except",
];

/// Words that a denial does not reach beyond.
const ENDS: &[&str] = &["for", "with", "that", "which", "who", "but", "的"];

/// Stems behind a denial that lift it: "not only".
const LIFTS: &[&str] = &["onli", "just", "mere"];

/// Chinese characters that deny what stands behind them.
pub(super) const DENYING: [char; 7] = ['不', '无', '没', '非', '未', '免', '勿'];

/// Tells whether a word may be used freely.
pub(super) fn is_free(stem: &str) -> bool {
    ENGLISH.contains(&stem) || CHINESE.contains(&stem)
}

/// Tells whether a word denies what comes behind it.
pub(super) fn denies_after(stem: &str) -> bool {
    DENIES_AFTER.contains(&stem) || stem.ends_with("n't") || stem.starts_with(DENYING)
}

/// Tells whether a denial ends before a word.
pub(super) fn ends_denial(stem: &str) -> bool {
    ENDS.contains(&stem)
}

/// Tells whether a word takes back the denial right before it.
pub(super) fn lifts(stem: &str) -> bool {
    LIFTS.contains(&stem)
}

/// Tells whether a word denies what stands right before it: "alcohol-free".
pub(super) fn denies_before(stem: &str) -> bool {
    matches!(stem, "free" | "less")
}
