//! Turns named fields into one text: `"{title}. {categories}. {text}"`.
//!
//! What surrounds a field goes with it: a field without a value takes its label ("Genres: ") and the separator
//! behind it along, and the last value of a text is followed by no separator.

use crate::Error;

/// A parsed template. `{{` and `}}` stand for braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// One field with the words before it and the punctuation behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Part {
    label: String,
    field: String,
    closing: String,
}

impl Template {
    /// Parses a template; a fault is told with its column, counted from 1.
    pub fn parse(template: &str) -> Result<Self, Error> {
        let mut parts: Vec<Part> = Vec::new();
        let mut literal = String::new();
        let mut chars = (1..).zip(template.chars()).peekable();
        while let Some((column, c)) = chars.next() {
            let fault = |problem| Err(Error::Template { column, problem });
            match c {
                '{' | '}' if chars.next_if(|&(_, next)| next == c).is_some() => literal.push(c),
                '}' => return fault("`}` closes nothing: write `}}` for a brace"),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some((_, '}')) => break,
                            Some((_, '{')) | None => {
                                return fault(
                                    "`{` is not closed: write `{name}`, or `{{` for a brace",
                                );
                            }
                            Some((_, c)) => name.push(c),
                        }
                    }
                    let field = name.trim();
                    if field.is_empty() {
                        return fault("a field has no name: write `{name}`");
                    }
                    let label = close(&mut parts, &std::mem::take(&mut literal), false);
                    parts.push(Part { label, field: field.to_owned(), closing: String::new() });
                }
                _ => literal.push(c),
            }
        }
        if parts.is_empty() {
            return Err(Error::Template {
                column: 1,
                problem: "no field is named: write `{title}`",
            });
        }
        close(&mut parts, &literal, true);
        Ok(Self { parts })
    }

    /// Names the fields in the order of the template; a field may occur twice.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.field.as_str())
    }

    /// Fills the template; `field` gives the value of a field, and an empty value counts as none.
    pub fn render(&self, field: impl Fn(&str) -> Option<String>) -> String {
        let (mut text, mut closing) = (String::new(), "");
        for (index, part) in self.parts.iter().enumerate() {
            let value = field(&part.field).unwrap_or_default();
            let value = value.trim();
            if !value.is_empty() {
                text.extend([closing, &part.label, value]);
                closing = without_doubled(&part.closing, value);
            } else if index + 1 == self.parts.len() {
                closing = closing.trim_end_matches(is_separator);
            }
        }
        text.push_str(closing);
        text.truncate(text.trim_end().len());
        text
    }
}

/// Splits a literal between the field before it, which keeps leading punctuation, and the one behind it.
fn close(parts: &mut [Part], literal: &str, at_end: bool) -> String {
    let Some(before) = parts.last_mut() else {
        return literal.to_owned();
    };
    let opens =
        |c: char| matches!(c, '(' | '[' | '{' | '<' | '"' | '“' | '「' | '《' | '【' | '（');
    let split = match literal.find(|c: char| c.is_alphanumeric() || opens(c)) {
        Some(at) if !at_end => at,
        _ => literal.len(),
    };
    literal[..split].clone_into(&mut before.closing);
    literal[split..].to_owned()
}

/// Leaves out the first mark of a separator when the value already ends with one.
fn without_doubled<'a>(closing: &'a str, value: &str) -> &'a str {
    let is_mark = |c: char| {
        matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '…' | '。' | '，' | '；' | '！' | '？')
    };
    if value.ends_with(is_mark) {
        closing.strip_prefix(is_mark).unwrap_or(closing)
    } else {
        closing
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '.' | ',' | ';' | ':' | '|' | '/' | '-' | '–' | '—' | '。' | '，' | '；' | '、'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, values: &[(&str, &str)]) -> String {
        let value =
            |name: &str| values.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Template::parse(template).unwrap().render(value)
    }

    #[test]
    fn a_missing_field_takes_its_separator_with_it() {
        let t = "{title}. {genre}. {text}";
        assert_eq!(render(t, &[("title", "A"), ("genre", "B"), ("text", "C")]), "A. B. C");
        assert_eq!(render(t, &[("title", "A"), ("text", "C")]), "A. C");
        assert_eq!(render(t, &[("title", "A"), ("genre", "B")]), "A. B");
        assert_eq!(render(t, &[("genre", "B"), ("title", "  ")]), "B");
        assert_eq!(render(t, &[]), "");
    }

    #[test]
    fn labels_and_brackets_go_with_their_field() {
        let t = "{title} ({year}) Genres: {genres}.";
        assert_eq!(
            render(t, &[("title", "A"), ("year", "1999"), ("genres", "B")]),
            "A (1999) Genres: B."
        );
        assert_eq!(render(t, &[("title", "A"), ("genres", "B")]), "A Genres: B.");
        assert_eq!(render(t, &[("title", "A"), ("year", "1999")]), "A (1999)");
        assert_eq!(render("Title: {title}", &[]), "");
    }

    #[test]
    fn punctuation_is_not_doubled() {
        let t = "{title}. {text}.";
        assert_eq!(render(t, &[("title", "Who?"), ("text", "Me.")]), "Who? Me.");
        assert_eq!(render(t, &[("title", "谁。"), ("text", "我")]), "谁。 我.");
    }

    #[test]
    fn braces_are_written_twice_and_fields_are_listed() {
        assert_eq!(render("{{{a}}}", &[("a", "x")]), "{x}");
        let t = Template::parse("{a}, { b }").unwrap();
        assert_eq!(t.fields().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn faults_name_their_column() {
        for (template, column) in
            [("ab{c", 3), ("{a} {", 5), ("{}", 1), ("a}b", 2), ("none", 1), ("", 1)]
        {
            match Template::parse(template) {
                Err(Error::Template { column: at, .. }) => assert_eq!(at, column, "{template}"),
                other => panic!("{template}: {other:?}"),
            }
        }
    }
}
