//! How a user becomes a text: what they took, newest first.

/// Stands between the texts of what a user took.
const BETWEEN: &str = "; ";

/// Returns the text of a user, given those of what they took, newest first: the first side of the pairs that
/// [`CrossEncoder`](crate::CrossEncoder) is tuned on.
pub fn user_text<'a>(newest_first: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for part in newest_first {
        if !text.is_empty() {
            text.push_str(BETWEEN);
        }
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn texts_stand_side_by_side() {
        assert_eq!(super::user_text(["a red film", "the sea"]), "a red film; the sea");
        assert_eq!(super::user_text([]), "");
    }
}
