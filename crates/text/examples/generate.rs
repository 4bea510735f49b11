//! What a model of a GGUF file says, how likely it finds texts, and how fast it is; as JSON, for `bench/generation_parity.py`.
//!
//! `cargo run --release -p tastemaker-text --example generate -- FILE [f32|bf16|int8] [TOKENS]`
#![expect(clippy::print_stdout, reason = "an example that prints")]

use std::path::Path;

use serde_json::json;
use tastemaker_core::{Clock, SystemClock};
use tastemaker_text::{
    ChatModel, ChatRequest, GgufChat, GgufSettings, Likelihood, Precision, ReplyForm,
    ReplySettings, Role, Turn,
};

const PROMPTS: [(&str, &str); 8] = [
    ("What is the capital of France?", "The capital of France is Paris."),
    ("Recommend a film like Alien, in one sentence.", "Watch The Thing (1982)."),
    ("Write a haiku about the sea.", "Waves fold into foam"),
    ("Name three books for somebody who loves chess.", "1. The Queen's Gambit"),
    ("中国的首都是哪里？", "中国的首都是北京。"),
    ("请推荐一部科幻电影，并说明理由。", "我推荐《流浪地球》。"),
    ("用一句话解释什么是推荐系统。", "推荐系统根据用户的兴趣推荐物品。"),
    ("把“我喜欢看电影”翻译成英文。", "I like watching movies."),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, rest @ ..] = &arguments[..] else {
        return Err("say the GGUF file".into());
    };
    let precision = match rest.first().map_or("int8", String::as_str) {
        "f32" => Precision::F32,
        "bf16" => Precision::Bf16,
        "int8" => Precision::Int8,
        other => return Err(format!("`{other}` is none of f32, bf16 and int8").into()),
    };
    let max_tokens = rest.get(1).map_or(Ok(48), |n| n.parse::<usize>())?;
    let clock = SystemClock::default();
    let model =
        GgufChat::open(Path::new(file), &GgufSettings { precision, ..GgufSettings::default() })?;
    let opened = clock.seconds();
    let mut answers = Vec::new();
    for (prompt, continuation) in PROMPTS {
        let turns = vec![Turn::new(Role::User, prompt)];
        let scores = model.log_probs(&turns, &[continuation, prompt])?;
        let settings = ReplySettings { max_tokens, ..ReplySettings::default() };
        let request = ChatRequest { turns, form: ReplyForm::Free, settings };
        let reply = model.reply(&request, &mut |_| true)?;
        answers.push(json!({ "prompt": prompt, "reply": reply, "scored": [continuation, prompt],
            "scores": scores }));
    }
    let mut speed = Vec::new();
    for repeats in [10, 40] {
        let long =
            format!("Go on with this list: {}", "Alien, Heat, 花样年华, Brazil; ".repeat(repeats));
        let settings = ReplySettings { max_tokens: 64, ..ReplySettings::default() };
        let turns =
            vec![Turn::new(Role::System, format!("{repeats}")), Turn::new(Role::User, long)];
        let request = ChatRequest { turns, form: ReplyForm::Free, settings };
        let (start, mut first) = (clock.seconds(), None);
        let reply = model.reply(&request, &mut |piece| {
            if !piece.is_empty() {
                first.get_or_insert_with(|| clock.seconds());
            }
            true
        })?;
        let (end, first) = (clock.seconds(), first.unwrap_or(start));
        speed.push(json!({
            "read": reply.prompt_tokens, "read_per_second": reply.prompt_tokens as f64 / (first - start),
            "written": reply.reply_tokens, "written_per_second": (reply.reply_tokens - 1) as f64 / (end - first),
        }));
    }
    let told = json!({ "file": file, "precision": precision, "open_seconds": opened,
        "threads": rayon::current_num_threads(), "speed": speed, "answers": answers });
    println!("{}", serde_json::to_string_pretty(&told)?);
    Ok(())
}
