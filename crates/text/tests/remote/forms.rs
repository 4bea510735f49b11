//! Replies that must be one of given texts, or JSON of a schema: nothing else is ever returned or heard.

use serde_json::json;
use tastemaker_text::{RemoteChatSettings, RemoteFault, ReplyForm};

use crate::chat::{ask, fault, open, request, said, settings, whole};
use crate::server::{Action, Server};

fn choice() -> ReplyForm {
    ReplyForm::Choice(["m1", "m12", "m3"].map(str::to_owned).to_vec())
}

fn schema() -> serde_json::Value {
    json!({"type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {"id": {"enum": ["m1", "m2"]}, "why": {"type": "string"}}})
}

#[test]
fn a_choice_is_asked_for_again_until_it_is_one() {
    let server = Server::new(|_, number| match number {
        0 => said(&["I think ", "m1 or m3."]),
        1 => said(&["m2"]),
        _ => said(&[" **m", "3** "]),
    });
    let (reply, heard) = ask(&open(&server, &settings()), &request(choice()));
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), heard), ("m3", vec!["m3".to_owned()]));
    // What was asked three times is counted three times.
    assert_eq!((reply.prompt_tokens, reply.reply_tokens), (33, 9));
    let requests = server.requests();
    let first = requests[0].body["messages"].as_array().unwrap().clone();
    let system = first[0]["content"].as_str().unwrap();
    assert!(system.starts_with("Be brief.") && system.ends_with("\nm1\nm12\nm3"), "{system}");
    let third = requests[2].body["messages"].as_array().unwrap();
    assert_eq!((first.len(), third.len()), (2, 6));
    assert_eq!(third[4]["content"], "m2");
}

#[test]
fn what_is_no_choice_is_never_returned() {
    for text in ["m2", "", "m1 m3", "M1"] {
        let server = Server::new(move |_, _| said(&[text]));
        let chat = open(&server, &RemoteChatSettings { reasks: 1, ..settings() });
        let (reply, heard) = ask(&chat, &request(choice()));
        assert_eq!(fault(reply), RemoteFault::Form { tries: 2, said: text.into() });
        assert_eq!((heard.len(), server.requests().len()), (0, 2));
    }
}

#[test]
fn a_choice_that_can_only_end_ends_the_stream() {
    let server = Server::new(|_, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let piece = crate::chat::piece("m12");
        Action::Hang(format!("{head}data: {piece}\n\n").into_bytes())
    });
    let (reply, _) = ask(&open(&server, &settings()), &request(choice()));
    assert_eq!(reply.unwrap().text, "m12");
}

#[test]
fn json_comes_by_the_schema() {
    let server = Server::new(|_, _| whole("{ \"id\": \"m2\",\n \"why\": \"\\u00e9\" }", "stop"));
    let (reply, heard) = ask(&open(&server, &settings()), &request(ReplyForm::Json(schema())));
    let wanted = r#"{"id":"m2","why":"é"}"#;
    assert_eq!((reply.unwrap().text.as_str(), heard.concat().as_str()), (wanted, wanted));
    let format = &server.requests()[0].body["response_format"];
    assert_eq!(format["type"], "json_schema");
    assert_eq!(format["json_schema"]["schema"], schema());
}

#[test]
fn a_service_without_schemas_is_told_in_words_and_held_to_them() {
    let server = Server::new(|request, number| {
        if request.body.get("response_format").is_some() {
            return Action::status(400, "response_format is not supported");
        }
        match number {
            1 => said(&["{\"id\": \"m9\"}"]),
            _ => said(&["```json\n", "{\"id\": \"m1\"}\n```"]),
        }
    });
    let chat = open(&server, &settings());
    let (reply, _) = ask(&chat, &request(ReplyForm::Json(schema())));
    assert_eq!(reply.unwrap().text, r#"{"id":"m1"}"#);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    let system = requests[1].body["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains(&schema().to_string()), "{system}");
}

#[test]
fn a_form_that_cannot_be_kept_to_is_told_before_any_call() {
    let server = Server::new(|_, _| said(&["x"]));
    let chat = open(&server, &settings());
    for (form, wanted) in [
        (ReplyForm::Choice(Vec::new()), "at least one text"),
        (ReplyForm::Json(json!({"type": "string", "pattern": "x"})), "#/pattern"),
        (ReplyForm::Choice(vec!["0553283685".into()]), "one of the choices holds a number"),
        (ReplyForm::Json(json!({"enum": ["a@b.example"]})), "the schema holds a number"),
    ] {
        let error = ask(&chat, &request(form)).0.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    assert_eq!(server.requests().len(), 0);
    let mut plain = settings();
    plain.service.redact = false;
    let server = Server::new(|_, _| said(&["0553283685"]));
    let form = ReplyForm::Choice(vec!["0553283685".into(), "1".into()]);
    assert_eq!(ask(&open(&server, &plain), &request(form)).0.unwrap().text, "0553283685");
}
