//! Replies of a model with random weights, which would say anything, are held to their form.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tastemaker_text::{
    ChatModel, ChatRequest, Ended, GgufChat, GgufSettings, ReplyForm, ReplySettings, Role, Turn,
};

use crate::tiny;

static MODEL: LazyLock<GgufChat> = LazyLock::new(|| {
    let (_folder, path) = tiny::model("qwen2", 8).write();
    GgufChat::open(&path, &GgufSettings::default()).unwrap()
});

fn request(form: ReplyForm, (temperature, seed): (f32, u64), max_tokens: usize) -> ChatRequest {
    let stop = vec!["i".into(), "\"".into()];
    let settings = ReplySettings { max_tokens, temperature, top_p: 0.95, seed, stop };
    ChatRequest { turns: vec![Turn::new(Role::User, "a film")], form, settings }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_choice_is_one_of_the_choices(
        choices in prop::collection::vec("(the |film|in|电影|[a-f\"<|>é]){1,6}", 1..20),
        temperature in prop_oneof![Just(0.0f32), Just(2.0)], seed: u64,
    ) {
        let mut heard = String::new();
        let form = ReplyForm::Choice(choices.clone());
        let reply = MODEL.reply(&request(form, (temperature, seed), 100), &mut |piece| {
            heard.push_str(piece);
            true
        }).unwrap();
        prop_assert!(choices.contains(&reply.text), "{:?} {choices:?}", reply.text);
        prop_assert_eq!((reply.ended, heard), (Ended::Stop, reply.text));
    }

    #[test]
    fn json_is_of_its_schema(temperature in prop_oneof![Just(0.0f32), Just(1.0)], seed: u64) {
        let schema = json!({"type": "object", "required": ["id", "score"], "properties": {
            "id": {"enum": ["the film", "in", "电影"]}, "score": {"enum": [1, 2.5, null]},
            "why": {"type": "string", "maxLength": 5},
        }});
        let form = ReplyForm::Json(schema);
        let reply = MODEL.reply(&request(form, (temperature, seed), 400), &mut |_| true).unwrap();
        let value: Value = serde_json::from_str(&reply.text).unwrap();
        prop_assert!(["the film", "in", "电影"].iter().any(|id| value["id"] == **id), "{value}");
        prop_assert!([json!(1), json!(2.5), Value::Null].contains(&value["score"]), "{value}");
        prop_assert!(value["why"].as_str().is_none_or(|why| why.chars().count() <= 5));
    }
}

#[test]
fn a_form_that_does_not_fit_is_an_error_and_no_illegal_reply() {
    let form = ReplyForm::Choice(vec!["abcdefgh".into()]);
    let error = MODEL.reply(&request(form, (0.0, 0), 3), &mut |_| true).unwrap_err().to_string();
    assert!(error.contains("max_tokens"), "{error}");
    let form = ReplyForm::Choice(Vec::new());
    assert!(MODEL.reply(&request(form, (0.0, 0), 3), &mut |_| true).is_err());
}
