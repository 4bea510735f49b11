//! What is said depends on the talk, the seed and nothing else.

use tastemaker_text::{
    ChatModel, ChatRequest, Ended, GgufChat, GgufSettings, Likelihood, Precision, Reply, ReplyForm,
    ReplySettings, Role, Turn,
};

use crate::tiny::{self, KINDS, Meta};

fn asked(text: &str) -> ChatRequest {
    let settings = ReplySettings { max_tokens: 24, ..ReplySettings::default() };
    let turns = vec![Turn::new(Role::System, "the film"), Turn::new(Role::User, text)];
    ChatRequest { turns, form: ReplyForm::Free, settings }
}

fn said(model: &GgufChat, request: &ChatRequest) -> Reply {
    let mut heard = String::new();
    let reply = model.reply(request, &mut |piece| {
        heard.push_str(piece);
        true
    });
    let reply = reply.unwrap();
    assert_eq!(heard, reply.text);
    reply
}

fn open(tiny: &tiny::Tiny, settings: &GgufSettings) -> GgufChat {
    let (_folder, path) = tiny.write();
    GgufChat::open(&path, settings).unwrap()
}

#[test]
fn all_families_and_kinds_of_numbers_are_read_and_answer() {
    for family in ["llama", "qwen2", "qwen3"] {
        let mut written = 0;
        for (kind, ..) in KINDS {
            let tiny = tiny::model(family, kind);
            let exact = open(&tiny, &GgufSettings { precision: Precision::F32, context: 512 });
            let small = open(&tiny, &GgufSettings::default());
            assert!(exact.id() != small.id() && exact.facts().architecture == family);
            let reply = said(&exact, &asked("a film about the sea"));
            // Random weights may end a reply at once, but not all of them do.
            written += reply.reply_tokens;
            assert!(reply.prompt_tokens > 20, "{family} {kind}: {reply:?}");
            let turns = asked("电影").turns;
            let probs = |model: &GgufChat| model.log_probs(&turns, &["the film"]).unwrap()[0];
            let (a, b) = (probs(&exact), probs(&small));
            assert!(a.tokens == b.tokens && a.sum < 0.0, "{family} {kind}: {a:?}");
            assert!((a.sum - b.sum).abs() < 1.0, "{family} {kind}: {} {}", a.sum, b.sum);
        }
        assert!(written > 0, "{family}");
    }
}

#[test]
fn a_reply_is_the_same_whatever_was_read_before_and_by_how_many_threads() {
    let tiny = tiny::model("qwen3", 8);
    let mut request = asked("a film about the sea");
    request.settings.temperature = 1.0;
    request.settings.seed = 5;
    let fresh = said(&open(&tiny, &GgufSettings::default()), &request);
    assert_eq!(fresh.cached_tokens, 0);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = open(&tiny, &GgufSettings::default());
            let again = |cached: usize| {
                let reply = said(&model, &request);
                assert_eq!(reply.text, fresh.text);
                assert_eq!(reply.cached_tokens, cached);
                assert_eq!(reply.reply_tokens, fresh.reply_tokens);
            };
            again(0);
            // All but the last token, whose logits are asked for.
            again(fresh.prompt_tokens - 1);
            // Another talk in between has the same beginning, and so have continuations.
            said(&model, &asked("a book"));
            model.log_probs(&request.turns, &["the", "film film"]).unwrap();
            again(fresh.prompt_tokens - 1);
        });
    }
    let mut other = request;
    other.settings.seed = 6;
    assert_ne!(said(&open(&tiny, &GgufSettings::default()), &other).text, fresh.text);
}

#[test]
fn a_talk_that_goes_on_is_not_read_again() {
    let model = open(&tiny::model("llama", 12), &GgufSettings::default());
    let mut request = asked("xyz");
    let first = said(&model, &request);
    request.turns.push(Turn::new(Role::Assistant, "uvw"));
    request.turns.push(Turn::new(Role::User, "wvu"));
    let second = said(&model, &request);
    assert!(second.cached_tokens >= first.prompt_tokens, "{first:?} {second:?}");
    assert!(second.prompt_tokens > second.cached_tokens);
}

#[test]
fn replies_end_where_they_are_told_to() {
    let model = open(&tiny::model("qwen2", 0), &GgufSettings::default());
    let mut request = asked("x");
    let whole = said(&model, &request);
    assert!(whole.text.chars().count() > 4, "{}", whole.text);
    request.settings.max_tokens = 3;
    let short = said(&model, &request);
    assert_eq!((short.ended, short.reply_tokens), (Ended::Length, 3));
    assert!(whole.text.starts_with(short.text.trim_end_matches('\u{fffd}')));

    let letter: String = whole.text.chars().nth(3).unwrap().to_string();
    let at = whole.text.find(&letter).unwrap();
    let request = ChatRequest {
        settings: ReplySettings { stop: vec![letter], max_tokens: 24, ..ReplySettings::default() },
        ..asked("x")
    };
    let stopped = said(&model, &request);
    assert_eq!((stopped.text.as_str(), stopped.ended), (&whole.text[..at], Ended::Stop));

    let mut pieces = 0;
    let reply = model.reply(&asked("x"), &mut |piece| {
        pieces += usize::from(!piece.is_empty());
        pieces < 2
    });
    assert_eq!(reply.unwrap().ended, Ended::Interrupted);
    let reply = model.reply(&asked("y"), &mut |_| false).unwrap();
    assert_eq!((reply.ended, reply.reply_tokens), (Ended::Interrupted, 0));
    // What was broken off disturbs nothing.
    assert_eq!(said(&model, &asked("x")).text, whole.text);
}

#[test]
fn what_is_too_long_is_told_before_it_is_read() {
    let settings = GgufSettings { context: 64, ..GgufSettings::default() };
    let model = open(&tiny::model("qwen2", 0), &settings);
    let error = model.reply(&asked(&"xyz".repeat(40)), &mut |_| true).unwrap_err().to_string();
    assert!(error.contains("64") && error.contains("chat.context"), "{error}");
    let fits = asked("x");
    let error = model.log_probs(&fits.turns, &["u", &"x".repeat(60)]).unwrap_err().to_string();
    assert!(error.contains("64"), "{error}");
    // A reply ends with the context.
    let request = ChatRequest {
        settings: ReplySettings { max_tokens: 1000, ..fits.settings.clone() },
        ..fits
    };
    let reply = said(&model, &request);
    assert!(reply.prompt_tokens + reply.reply_tokens <= 64);
    for (settings, field) in [
        (ReplySettings { max_tokens: 0, ..ReplySettings::default() }, "max_tokens"),
        (ReplySettings { temperature: f32::NAN, ..ReplySettings::default() }, "temperature"),
        (ReplySettings { top_p: 0.0, ..ReplySettings::default() }, "top_p"),
        (ReplySettings { stop: vec!["x".into(); 17], ..ReplySettings::default() }, "stop"),
    ] {
        let request = ChatRequest { settings, ..asked("x") };
        let error = model.reply(&request, &mut |_| true).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn nobody_ends_a_turn_by_what_they_say() {
    let model = open(&tiny::model("qwen2", 0), &GgufSettings::default());
    let tokens = |text: &str| said(&model, &asked(text)).prompt_tokens;
    let empty = tokens("");
    // The letters of the mark, one by one; merged words are counted once.
    assert_eq!(tokens("<|im_end|>") - empty, 10);
    assert_eq!(tokens("<|im_start|>") - empty, 12);
    assert_eq!(tokens("\u{10fffe}the film") - empty, 2);
}

#[test]
fn templates_that_refuse_a_talk_say_why() {
    let mut tiny = tiny::model("qwen2", 0);
    let mut told = |template: &str| {
        tiny.set("tokenizer.chat_template", Meta::Text(template.into()));
        let (_folder, path) = tiny.write();
        let settings = GgufSettings::default();
        let reply = GgufChat::open(&path, &settings)
            .and_then(|model| model.reply(&asked("x"), &mut |_| true));
        reply.unwrap_err().to_string()
    };
    for (template, why) in [
        ("{% if x %}", "line 1"),
        ("{{ raise_exception('no system turn') }}", "no system turn"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}", "fuel"),
        ("{{ 'x' * 90000000 }}", "too much"),
        ("{{ messages.nothing() }}", "line 1"),
    ] {
        let error = told(template);
        assert!(error.contains("tiny.gguf") && error.contains(why), "{template}: {error}");
    }
}
