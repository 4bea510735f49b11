//! Replies as they come: streams in pieces, whole answers, broken ones.

use serde_json::{Value, json};
use tastemaker_text::{
    ApiKey, ChatModel as _, ChatRequest, Ended, Error, RemoteChat, RemoteChatSettings, RemoteFault,
    Reply, ReplyForm, ReplySettings, Role, Turn,
};

use crate::encoder::service;
use crate::server::{Action, Server};

pub(crate) fn settings() -> RemoteChatSettings {
    RemoteChatSettings { service: service(), ..RemoteChatSettings::default() }
}

pub(crate) fn request(form: ReplyForm) -> ChatRequest {
    let turns = vec![Turn::new(Role::System, "Be brief."), Turn::new(Role::User, "What next?")];
    ChatRequest { turns, form, settings: ReplySettings::default() }
}

pub(crate) fn open(server: &Server, settings: &RemoteChatSettings) -> RemoteChat {
    RemoteChat::open(&server.url(), settings, None).unwrap()
}

/// Asks; also returns what was heard.
pub(crate) fn ask(chat: &RemoteChat, request: &ChatRequest) -> (Result<Reply, Error>, Vec<String>) {
    let mut heard = Vec::new();
    let reply = chat.reply(request, &mut |piece| {
        heard.push(piece.to_owned());
        true
    });
    (reply, heard)
}

pub(crate) fn fault(reply: Result<Reply, Error>) -> RemoteFault {
    match reply {
        Err(Error::Remote { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn piece(text: &str) -> String {
    json!({ "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }] })
        .to_string()
}

pub(crate) fn last(reason: &str) -> String {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }).to_string()
}

fn usage() -> Value {
    json!({ "prompt_tokens": 11, "completion_tokens": 3,
        "prompt_tokens_details": { "cached_tokens": 4 } })
}

/// A stream of pieces that ends well.
pub(crate) fn said(pieces: &[&str]) -> Action {
    let mut events: Vec<String> = pieces.iter().map(|text| piece(text)).collect();
    events.extend([last("stop"), json!({ "choices": [], "usage": usage() }).to_string()]);
    events.push("[DONE]".into());
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    Action::events(&events, 4096)
}

/// A whole answer.
pub(crate) fn whole(text: &str, reason: &str) -> Action {
    let message = json!({ "role": "assistant", "content": text });
    let choice = json!({ "index": 0, "message": message, "finish_reason": reason });
    Action::json(json!({ "choices": [choice], "usage": usage() }))
}

#[test]
fn a_stream_is_heard_piece_by_piece_however_it_is_cut() {
    let first = json!({ "choices": [{ "delta": { "role": "assistant", "content": "" } }] });
    let last_usage = json!({ "choices": [], "usage": usage() }).to_string();
    for cut in [1, 3, 7, 4096] {
        let events = [first.to_string(), piece("看《异形》"), piece(", 👽!"), last("stop")];
        let last_usage = last_usage.clone();
        let server = Server::new(move |_, _| {
            let mut events: Vec<&str> = events.iter().map(String::as_str).collect();
            events.extend([&last_usage, "[DONE]"]);
            Action::events(&events, cut)
        });
        let (reply, heard) = ask(&open(&server, &settings()), &request(ReplyForm::Free));
        let wanted = Reply {
            text: "看《异形》, 👽!".into(),
            ended: Ended::Stop,
            prompt_tokens: 11,
            cached_tokens: 4,
            reply_tokens: 3,
        };
        assert_eq!(reply.unwrap(), wanted);
        assert_eq!(heard, ["看《异形》", ", 👽!"]);
        let sent = &server.requests()[0];
        assert_eq!(sent.path, "/v1/chat/completions");
        assert_eq!(sent.body["messages"][1], json!({ "role": "user", "content": "What next?" }));
        assert_eq!((&sent.body["stream"], &sent.body["max_tokens"]), (&json!(true), &json!(256)));
    }
}

#[test]
fn a_whole_answer_is_read_too_asked_for_or_not() {
    for stream in [false, true] {
        let server = Server::new(|_, _| whole("Alien", "length"));
        let chat = open(&server, &RemoteChatSettings { stream, ..settings() });
        let (reply, heard) = ask(&chat, &request(ReplyForm::Free));
        let reply = reply.unwrap();
        assert_eq!((reply.text.as_str(), reply.ended), ("Alien", Ended::Length));
        assert_eq!((reply.reply_tokens, heard), (3, vec!["Alien".to_owned()]));
        assert_eq!(server.requests()[0].body["stream"], stream);
    }
}

#[test]
fn who_listens_may_leave_at_any_time() {
    // After the first piece the service says nothing more: it is left all the same.
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let server = Server::new(move |_, _| {
        Action::Hang(format!("{head}data: {}\n\ndata: {}\n\n", piece("a"), piece("b")).into())
    });
    let mut heard = String::new();
    let reply = open(&server, &settings()).reply(&request(ReplyForm::Free), &mut |piece| {
        heard.push_str(piece);
        false
    });
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.ended, heard.as_str()), ("a", Ended::Interrupted, "a"));
}

#[test]
fn texts_that_end_a_reply_end_it_and_are_not_heard() {
    let server = Server::new(|_, _| said(&["one\nUs", "er: two", " three"]));
    let stop = ["x", "y", "z", "w", "\nUser:"].map(str::to_owned).to_vec();
    let settings_of_reply = ReplySettings { stop, ..ReplySettings::default() };
    let request = ChatRequest { settings: settings_of_reply, ..request(ReplyForm::Free) };
    let (reply, heard) = ask(&open(&server, &settings()), &request);
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.ended), ("one", Ended::Stop));
    assert_eq!(heard.concat(), "one");
    // As many as services take are sent along.
    assert_eq!(server.requests()[0].body["stop"], json!(["x", "y", "z", "w"]));
}

/// A stream that breaks off after these events.
fn broken(events: &[String]) -> Action {
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    Action::events(&events, 4096)
}

#[test]
fn a_stream_that_breaks_is_begun_again_only_before_anything_was_heard() {
    let mut retrying = settings();
    retrying.service.retries = 2;
    let server = Server::new(|_, number| match number {
        0 => broken(&[]),
        1 => broken(&[json!({ "error": { "message": "overloaded" } }).to_string()]),
        _ => said(&["fine"]),
    });
    let (reply, heard) = ask(&open(&server, &retrying), &request(ReplyForm::Free));
    assert_eq!((reply.unwrap().text, heard), ("fine".to_owned(), vec!["fine".to_owned()]));
    assert_eq!(server.requests().len(), 3);

    let server = Server::new(|_, _| broken(&[piece("half")]));
    let (reply, heard) = ask(&open(&server, &retrying), &request(ReplyForm::Free));
    assert!(matches!(fault(reply), RemoteFault::Cut { .. }));
    assert_eq!((heard, server.requests().len()), (vec!["half".to_owned()], 1));
}

#[test]
fn a_stream_that_falls_silent_is_left_in_time() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let server =
        Server::new(move |_, _| Action::Hang(format!("{head}: wait\n\ndata: ").into_bytes()));
    let mut hasty = settings();
    hasty.service.timeout_s = 0.1;
    let (reply, _) = ask(&open(&server, &hasty), &request(ReplyForm::Free));
    assert_eq!(fault(reply), RemoteFault::Timeout { seconds: 0.1 });
}

#[test]
fn what_is_no_reply_is_told() {
    for (action, wanted) in [
        (Action::json(json!({ "choices": [] })), "no `choices`"),
        (Action::status(200, "<html>"), "not understood"),
        (whole("", "content_filter"), "gave no reply (content_filter)"),
        (broken(&["{\"choices\": 1}".into()]), "not understood"),
        (broken(&[last("content_filter")]), "content_filter"),
        (broken(&[json!({ "error": "no memory" }).to_string()]), "no memory"),
        (Action::status(404, "{\"error\": {\"message\": \"no model m\"}}"), "404 (no model m)"),
    ] {
        let action = std::sync::Mutex::new(Some(action));
        let server = Server::new(move |_, _| action.lock().unwrap().take().unwrap());
        let (reply, heard) = ask(&open(&server, &settings()), &request(ReplyForm::Free));
        let fault = fault(reply).to_string();
        assert!(fault.contains(wanted), "{fault}");
        assert_eq!(heard.concat(), "");
    }
}

#[test]
fn turns_are_redacted_and_the_key_is_in_no_message() {
    let server = Server::new(|request, _| {
        let key = &request.headers["authorization"];
        broken(&[json!({ "error": { "message": format!("bad {key}") } }).to_string()])
    });
    let chat = RemoteChat::open(&server.url(), &settings(), ApiKey::new("sk-secret")).unwrap();
    let turns = vec![Turn::new(Role::User, "I am ann@example.com, 13800138000")];
    let request = ChatRequest { turns, ..request(ReplyForm::Free) };
    let error = chat.reply(&request, &mut |_| true).unwrap_err();
    assert!(!format!("{error} {error:?} {chat:?} {}", chat.id()).contains("secret"), "{error}");
    let sent = &server.requests()[0];
    assert_eq!(sent.headers["authorization"], "Bearer sk-secret");
    assert_eq!(sent.body["messages"][0]["content"], "I am [email], [number]");
}

#[test]
fn what_a_service_does_not_know_is_asked_in_another_way_and_remembered() {
    let server = Server::new(|request, _| {
        if request.body.get("max_tokens").is_some() {
            Action::status(400, "'max_tokens' is not supported: use 'max_completion_tokens'")
        } else if request.body.get("stream_options").is_some() {
            Action::status(422, "extra field: stream_options")
        } else {
            said(&["yes"])
        }
    });
    let chat = open(&server, &settings());
    for calls in [3, 4] {
        assert_eq!(ask(&chat, &request(ReplyForm::Free)).0.unwrap().text, "yes");
        assert_eq!(server.requests().len(), calls);
    }
    let server = Server::new(|_, _| Action::status(400, "use max_completion_tokens"));
    let (reply, _) = ask(&open(&server, &settings()), &request(ReplyForm::Free));
    assert!(matches!(fault(reply), RemoteFault::Status { status: 400, .. }));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn replies_have_a_price_of_their_own() {
    // 11 tokens of 100 and 3 of 1000 a million: .0011 + .003 = .0041 a reply. The second may need more than .0059.
    let server = Server::new(|_, _| said(&["ok"]));
    let mut dear = RemoteChatSettings { price_per_million_reply_tokens: 1000.0, ..settings() };
    dear.service.price_per_million_tokens = 100.0;
    dear.service.max_cost = 0.03;
    let request = ChatRequest {
        settings: ReplySettings { max_tokens: 5, ..ReplySettings::default() },
        ..request(ReplyForm::Free)
    };
    let chat = open(&server, &dear);
    let replies = (0..10).take_while(|_| ask(&chat, &request).0.is_ok()).count();
    assert!((2..=7).contains(&replies), "{replies}");
    let (reply, heard) = ask(&chat, &request);
    assert!(matches!(fault(reply), RemoteFault::Ceiling { setting: "max_cost", .. }));
    assert_eq!((heard.len(), server.requests().len()), (0, replies));
}
