//! The small Qwen against what transformers and torch said of the same file, dequantised.
//!
//! `TASTEMAKER_QWEN=file.gguf cargo test --release -p tastemaker-text --features live --test live_qwen`

use std::env;
use std::path::PathBuf;
use std::sync::LazyLock;

use serde::Deserialize;
use tastemaker_text::{
    ChatModel, ChatRequest, Ended, GgufChat, GgufSettings, Likelihood, Precision, ReplyForm,
    ReplySettings, Role, Turn,
};

#[derive(Deserialize)]
struct Recorded {
    prompt: String,
    prompt_tokens: usize,
    scored: Vec<Scored>,
    begins: String,
}

#[derive(Deserialize)]
struct Scored {
    text: String,
    tokens: usize,
    sum: f64,
}

static MODEL: LazyLock<GgufChat> = LazyLock::new(|| open(Precision::F32));

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
fn log_probs_and_greedy_replies_equal_the_python_reference() {
    let recorded: Vec<Recorded> = serde_json::from_str(include_str!("data/qwen.json")).unwrap();
    for Recorded { prompt, prompt_tokens, scored, begins } in &recorded {
        let turns = [Turn::new(Role::User, prompt)];
        let texts: Vec<&str> = scored.iter().map(|scored| scored.text.as_str()).collect();
        for (want, got) in scored.iter().zip(MODEL.log_probs(&turns, &texts).unwrap()) {
            assert_eq!(got.tokens, want.tokens);
            let error = (got.sum - want.sum).abs() / want.tokens as f64;
            assert!(error < 2e-4, "{prompt}: {} {}", got.sum, want.sum);
        }
        let reply = MODEL.reply(&asked(prompt, ReplyForm::Free, 16), &mut |_| true).unwrap();
        assert_eq!(reply.prompt_tokens, *prompt_tokens);
        let said = reply.text.trim_end_matches('\u{fffd}');
        assert!(begins.starts_with(said), "{said} | {begins}");
    }
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
