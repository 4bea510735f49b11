//! Holds a reply to the form that was asked for. A service writes what it likes: what stands around a good answer is
//! taken off, and what is not of the form is never returned.

use serde_json::Value;

use crate::ReplyForm;
use crate::generate::form::Form;

/// Marks that models put around an answer.
const MARKS: [char; 12] = ['"', '\'', '`', '*', '“', '”', '‘', '’', '「', '」', '《', '》'];

/// Finds the answer in a reply, in the one way it is written: a choice to the letter, JSON without white space.
pub(super) fn answer(asked: &ReplyForm, form: &Form, reply: &str) -> Option<String> {
    match asked {
        ReplyForm::Free => Some(reply.to_owned()),
        ReplyForm::Choice(_) => {
            let said = after_thought(reply).trim();
            let bare = said.trim_matches(MARKS).trim();
            let ended = bare.trim_end_matches(['.', '。']).trim_matches(MARKS).trim();
            let tried = [reply, said, bare, ended];
            tried.into_iter().find(|text| form.accepts(text)).map(str::to_owned)
        }
        ReplyForm::Json(_) => {
            let value: Value = serde_json::from_str(unfenced(after_thought(reply).trim())).ok()?;
            let text = value.to_string();
            form.accepts(&text).then_some(text)
        }
    }
}

/// Leaves out what a model thought aloud.
fn after_thought(reply: &str) -> &str {
    let thought = reply.trim_start().strip_prefix("<think>");
    thought.and_then(|rest| rest.split_once("</think>")).map_or(reply, |(_, said)| said)
}

/// Takes the fence of a block of code off.
fn unfenced(said: &str) -> &str {
    let inner = said.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.map_or(said, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_choice_is_found_behind_marks_and_thoughts_and_nothing_else() {
        let asked = ReplyForm::Choice(vec!["m1".into(), "m12".into(), "Alien.".into()]);
        let form = Form::new(&asked).unwrap();
        let found = |reply: &str| answer(&asked, &form, reply);
        for reply in ["m12", " m12\n", "\"m12\"", "**m12**.", "<think>m1?</think>\n\nm12"] {
            assert_eq!(found(reply).as_deref(), Some("m12"), "{reply}");
        }
        assert_eq!(found("Alien.").as_deref(), Some("Alien."));
        for reply in ["m2", "m1 or m12", "The answer is m1", "", "M1", "<think>m1"] {
            assert_eq!(found(reply), None, "{reply}");
        }
    }

    #[test]
    fn json_is_written_in_one_way() {
        let asked = ReplyForm::Json(json!({"type": "object", "required": ["id"],
            "properties": {"id": {"type": "string"}, "why": {"type": "string"}}}));
        let form = Form::new(&asked).unwrap();
        let found = |reply: &str| answer(&asked, &form, reply);
        let wanted = r#"{"id":"é","why":"x"}"#;
        for reply in [
            "{ \"id\" : \"\\u00e9\",\n \"why\": \"x\" }",
            "```json\n{\"id\": \"é\", \"why\": \"x\"}\n```",
            "<think>hm</think>{\"id\": \"é\", \"why\": \"x\"}",
        ] {
            assert_eq!(found(reply).as_deref(), Some(wanted), "{reply}");
        }
        for reply in
            ["", "{\"why\": \"x\"}", "{\"id\": 1}", "Here: {\"id\": \"x\"}", "{\"id\": \"x\""]
        {
            assert_eq!(found(reply), None, "{reply}");
        }
    }
}
