//! The small Qwen: what it says, not how likely; `bench/generation_parity.py` compares that with transformers.
//!
//! `TASTEMAKER_QWEN=file.gguf cargo test --release -p tastemaker-text --features live --test live_qwen`

use std::env;
use std::path::PathBuf;

use tastemaker_text::{
    ChatModel, ChatRequest, Ended, GgufChat, GgufSettings, Precision, ReplyForm, ReplySettings,
    Role, Turn,
};

fn open(precision: Precision) -> GgufChat {
    let settings = GgufSettings { precision, ..GgufSettings::default() };
    GgufChat::open(&file(), &settings).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tells where the weights are; asked for, they must be there"
)]
fn file() -> PathBuf {
    env::var("TASTEMAKER_QWEN").expect("TASTEMAKER_QWEN names the file of the weights").into()
}

fn asked(prompt: &str, form: ReplyForm, max_tokens: usize) -> ChatRequest {
    let settings = ReplySettings { max_tokens, ..ReplySettings::default() };
    ChatRequest { turns: vec![Turn::new(Role::User, prompt)], form, settings }
}

#[test]
fn it_answers_in_english_and_chinese_and_keeps_to_choices() {
    let model = open(Precision::Int8);
    for (prompt, part) in
        [("What is the capital of France?", "Paris"), ("中国的首都是哪里？", "北京")]
    {
        let reply = model.reply(&asked(prompt, ReplyForm::Free, 32), &mut |_| true).unwrap();
        assert!(reply.text.contains(part) && reply.ended == Ended::Stop, "{}", reply.text);
    }
    let choices: Vec<String> =
        ["Berlin", "Paris", "巴黎圣母院", "Madrid"].map(str::to_owned).to_vec();
    let form = ReplyForm::Choice(choices.clone());
    let request = asked("What is the capital of France?", form, 32);
    let reply = model.reply(&request, &mut |_| true).unwrap();
    assert!(choices.contains(&reply.text));
}
