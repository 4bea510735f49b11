//! What a collector of OpenTelemetry is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tastemaker_serve::{Settings, TraceSettings};

use crate::home::{Home, trained};

/// What the collector got: the head of a request in small letters, and its body.
type Told = (String, Value);

/// Takes one connection after the other, and answers every request with a status.
fn collector(status: &'static str) -> (String, Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (told, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            while let Some(one) = read(&mut reader) {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                if told.send(one).is_err() || reader.get_mut().write_all(answer.as_bytes()).is_err()
                {
                    break;
                }
            }
        }
    });
    (address, heard)
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Told> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).ok()?))
}

async fn home(settings: TraceSettings) -> Home {
    let traces = Some(TraceSettings { every: Duration::from_millis(20), ..settings });
    Home::with(|dir| Settings {
        model: Some(trained(dir, "model", ("item-knn", 7))),
        open: true,
        traces,
        ..Settings::default()
    })
    .await
}

fn spans((_, body): &Told) -> Vec<Value> {
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    spans.clone()
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let all = span["attributes"].as_array().unwrap();
    all.iter().find(|one| one["key"] == key).map_or(&Value::Null, |one| &one["value"])
}

async fn ask(home: &Home, path: &str, parent: &str) -> u16 {
    let request = Request::builder().uri(path).header("x-request-id", "my-request");
    let request = match parent {
        "" => request,
        parent => request.header("traceparent", parent),
    };
    home.send(request.body(Body::empty()).unwrap()).await.status
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn a_request_is_told_as_part_of_its_callers_trace_with_what_it_waited_for() {
    let (address, heard) = collector("200 OK");
    let headers = vec![("x-collector-key".to_owned(), "abc".to_owned())];
    let home = home(TraceSettings { headers, ..TraceSettings::new(&address) }).await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(ask(&home, "/v1/recommend?user_id=secret-user&n=3", &parent).await, 200);
    let told = heard.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(told.0.starts_with("post /v1/traces http/1.1"), "{}", told.0);
    assert!(
        told.0.contains("content-type: application/json")
            && told.0.contains("x-collector-key: abc")
    );
    let resource = &told.1["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "service.name"), &json!({ "stringValue": "tastemaker" }));
    let spans = spans(&told);
    let whole = &spans[0];
    assert_eq!((&whole["traceId"], &whole["parentSpanId"]), (&json!(TRACE), &json!(SPAN)));
    assert_eq!((&whole["name"], &whole["kind"]), (&json!("GET /v1/recommend"), &json!(2)));
    for (key, value) in [
        ("http.request.method", json!({ "stringValue": "GET" })),
        ("http.route", json!({ "stringValue": "/v1/recommend" })),
        ("http.response.status_code", json!({ "intValue": "200" })),
        ("tastemaker.tenant", json!({ "stringValue": "default" })),
        ("tastemaker.request_id", json!({ "stringValue": "my-request" })),
    ] {
        assert_eq!(attribute(whole, key), &value, "{key}");
    }
    let number = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    let names: Vec<&str> = spans[1..].iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["read from the store", "wait for a worker", "compute"]);
    for span in &spans[1..] {
        assert_eq!((&span["traceId"], &span["parentSpanId"]), (&json!(TRACE), &whole["spanId"]));
        assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
        assert!(number(span, "startTimeUnixNano") >= number(whole, "startTimeUnixNano"));
        assert!(number(span, "startTimeUnixNano") <= number(span, "endTimeUnixNano"));
        assert!(number(span, "endTimeUnixNano") <= number(whole, "endTimeUnixNano"));
    }
    // Who somebody is stands in no route.
    assert!(!told.1.to_string().contains("secret-user"));
    // Who begins a trace of its own has no parent, and a failure by the client is none of the server.
    assert_eq!(ask(&home, "/v1/items/nothing", "").await, 404);
    let told = heard.recv_timeout(Duration::from_secs(5)).unwrap();
    let whole = &self::spans(&told)[0];
    assert!(whole["parentSpanId"].is_null() && whole["status"].is_null(), "{whole}");
    assert_eq!(whole["traceId"].as_str().unwrap().len(), 32);
    let metrics = home.get("/metrics").await.body.as_str().unwrap().to_owned();
    assert!(metrics.contains("tastemaker_spans_dropped_total 0"), "{metrics}");
}

#[tokio::test]
async fn a_caller_chooses_what_is_traced_and_a_share_does_where_it_says_nothing() {
    let (address, heard) = collector("200 OK");
    let home = home(TraceSettings { sample: 0.0, ..TraceSettings::new(&address) }).await;
    for parent in ["", &format!("00-{TRACE}-{SPAN}-00"), "nonsense"] {
        ask(&home, "/v1/stats", parent).await;
    }
    ask(&home, "/v1/users", &format!("00-{TRACE}-{SPAN}-01")).await;
    let told = heard.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(spans(&told).len(), 1);
    assert_eq!(spans(&told)[0]["name"], "GET /v1/users");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
async fn a_collector_that_does_not_take_them_keeps_nobody_waiting_and_what_is_dropped_is_counted() {
    // One that answers with a failure, one that is not there, and one that never answers.
    let (failing, _heard) = collector("400 Bad Request");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_at = format!("http://{}", silent.local_addr().unwrap());
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone_at = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    for (address, is_told) in [(failing, true), (gone_at, true), (silent_at, false)] {
        let home = home(TraceSettings::new(&address)).await;
        let began = std::time::Instant::now();
        for _ in 0..50 {
            assert_eq!(ask(&home, "/v1/users", "").await, 200);
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{address}: {:?}", began.elapsed());
        let mut dropped = String::new();
        for _ in 0..if is_told { 250 } else { 1 } {
            let metrics = home.get("/metrics").await.body.as_str().unwrap().to_owned();
            let line =
                metrics.lines().find(|line| line.starts_with("tastemaker_spans_dropped_total"));
            line.unwrap().clone_into(&mut dropped);
            if !dropped.ends_with(" 0") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(!dropped.ends_with(" 0"), is_told, "{address}: {dropped}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_at_the_start() {
    use tastemaker_serve::{App, store::Store};
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&crate::home::address(dir.path())).await.unwrap();
    let settings =
        Settings { traces: Some(TraceSettings::new("localhost")), ..Settings::default() };
    let refused = App::open(store, settings, crate::home::places(dir.path())).await.err().unwrap();
    assert!(refused.to_string().contains("`localhost`"), "{refused}");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
async fn a_collector_that_never_answers_does_not_keep_a_server_from_its_end() {
    use tastemaker_serve::{App, router, store::Store};
    use tower::ServiceExt as _;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    // Little that waits, and much of which some is on its way already.
    for (requests, every) in [(5, 60), (3000, 0)] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&crate::home::address(dir.path())).await.unwrap();
        let every = Duration::from_secs(every);
        let traces = Some(TraceSettings { every, ..TraceSettings::new(&address) });
        let settings = Settings { open: true, traces, ..Settings::default() };
        let places = crate::home::places(dir.path());
        let app = App::open(store, settings, places).await.unwrap();
        for _ in 0..requests {
            let request = Request::builder().uri("/health/live").body(Body::empty()).unwrap();
            assert_eq!(router(app.clone()).oneshot(request).await.unwrap().status(), 200);
        }
        let began = std::time::Instant::now();
        let (any, ends) = ("127.0.0.1:0".parse().unwrap(), std::future::ready(()));
        tastemaker_serve::run(app, any, |_| {}, ends).await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(4500), "{:?}", began.elapsed());
    }
}
