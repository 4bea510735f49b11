//! What services do wrong: every fault is told with its address, and what was finished is kept.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use tastemaker_core::{Progress, Silent};
use tastemaker_text::{
    ApiKey, Cached, Encoder as _, Error, RemoteEncoder, RemoteFault, RemoteKind, RemoteSettings,
};

use crate::encoder::{good, normalised, settings};
use crate::server::{Action, Request, Server};

fn reopen(server: &Server, settings: &RemoteSettings, key: Option<ApiKey>) -> RemoteEncoder {
    let settings = RemoteSettings { kind: RemoteKind::Openai, ..settings.clone() };
    RemoteEncoder::reopen(&server.url(), &settings, 3, key).unwrap()
}

fn fault(error: Error) -> RemoteFault {
    let Error::Remote { fault, .. } = error else { panic!("{error}") };
    fault
}

/// Encodes two texts against a service that answers so; returns the fault and how often it was asked.
fn ask(
    settings: &RemoteSettings,
    handler: impl Fn(&Request, usize) -> Action + Send + Sync + 'static,
) -> (RemoteFault, usize) {
    let server = Server::new(handler);
    let error = reopen(&server, settings, None).encode(&["a", "b"], &Silent).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{}/embeddings ", server.url())), "{error}");
    (fault(error), server.requests().len())
}

fn with_retries(retries: usize) -> RemoteSettings {
    let mut settings = settings();
    settings.service.retries = retries;
    settings
}

#[test]
fn a_service_that_hangs_is_left_in_time() {
    let mut settings = with_retries(1);
    settings.service.timeout_s = 0.1;
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[1";
    for bytes in [&b""[..], b"HTTP/1.1 2", head] {
        let (fault, calls) = ask(&settings, move |_, _| Action::Hang(bytes.to_vec()));
        assert_eq!((fault, calls), (RemoteFault::Timeout { seconds: 0.1 }, 2));
    }
}

#[test]
fn nobody_there_is_told_soon() {
    let url = Server::new(|_, _| Action::Raw(Vec::new())).url();
    let error = RemoteEncoder::open(&url, &with_retries(2), None).unwrap_err();
    assert!(matches!(fault(error), RemoteFault::Connection { .. }));
}

#[test]
fn a_refusal_for_now_is_waited_out() {
    let busy = |status: u16, lines: &[&str]| {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let server = Server::new(move |request, number| match number {
            0 => Action::Answer(status, lines.clone(), Vec::new()),
            _ => good(request),
        });
        let encoder = reopen(&server, &with_retries(1), None);
        assert_eq!(encoder.encode(&["a"], &Silent).unwrap().vectors, normalised(&["a"]));
    };
    busy(429, &["retry-after: 0.05"]);
    busy(429, &["retry-after: Wed, 21 Oct 2037 07:28:00 GMT"]);
    busy(503, &["retry-after: -1"]);
    busy(500, &[]);
}

#[test]
fn a_service_that_always_fails_is_given_up_and_its_words_are_told() {
    let said = r#"{"error": {"message": "out of memory", "type": "server_error"}}"#;
    let (fault, calls) = ask(&with_retries(3), move |_, _| Action::status(500, said));
    assert_eq!(fault, RemoteFault::Status { status: 500, said: "out of memory".into() });
    assert_eq!(calls, 4);
    let (fault, calls) = ask(&with_retries(3), |_, _| Action::status(400, "too\n long\u{7}"));
    assert_eq!((fault.to_string().as_str(), calls), ("answered 400 (too long)", 1));
}

#[test]
fn half_an_answer_is_asked_for_again_and_then_told() {
    let half = |number: usize| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\": [";
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"da\r\n";
        Action::Raw(vec![[head, chunked][number % 2].into()])
    };
    let (fault, calls) = ask(&with_retries(1), move |_, number| half(number));
    assert!(matches!(fault, RemoteFault::Cut { .. }), "{fault}");
    assert_eq!(calls, 2);
    let server =
        Server::new(move |request, number| if number == 0 { half(0) } else { good(request) });
    reopen(&server, &with_retries(1), None).encode(&["a"], &Silent).unwrap();
}

#[test]
fn wrong_vectors_are_never_taken() {
    let row = |index: usize, numbers: &[f32]| json!({ "index": index, "embedding": numbers });
    let [a, b] = [row(0, &[1.0, 2.0, 3.0]), row(1, &[1.0, 2.0, 3.0])];
    let narrow = row(1, &[1.0, 2.0]);
    for (data, wanted) in [
        (json!([a, narrow]), "gave a vector of 2 numbers where 3 were expected"),
        (json!([row(0, &[1.0]), row(1, &[1.0])]), "gave a vector of 1 numbers where 3"),
        (json!([a]), "gave 1 vectors for 2 texts"),
        (json!([a, b, row(2, &[1.0, 2.0, 3.0])]), "gave 3 vectors for 2 texts"),
        (json!([a, a]), "index is 0 for the second time"),
        (json!([a, { "embedding": [1, 2, 3] }]), "index is missing"),
        (json!([a, { "index": 1, "embedding": [1, 2, null] }]), "not understood"),
        (json!([a, { "index": 1, "embedding": [1, 2, 1e39] }]), "infinite"),
    ] {
        let (fault, calls) =
            ask(&with_retries(3), move |_, _| Action::json(json!({ "data": data })));
        assert!(fault.to_string().contains(wanted), "{fault}");
        assert_eq!(calls, 1, "the same would come again: {fault}");
    }
}

#[test]
fn what_is_no_json_is_told() {
    for body in ["", "<html>Welcome</html>", "{\"data\": [{\"index\": 0", "[]"] {
        let (fault, _) = ask(&settings(), move |_, _| Action::status(200, body));
        assert!(fault.to_string().contains("not understood"), "{fault}");
    }
}

#[test]
fn an_answer_without_end_is_not_read_to_it() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    let (fault, _) = ask(&settings(), move |_, _| Action::Hang(announced.into()));
    assert!(matches!(fault, RemoteFault::TooLarge { .. }), "{fault}");
    let endless = || {
        let chunk = [b"10000\r\n".to_vec(), vec![b'1'; 1 << 16], b"\r\n".to_vec()].concat();
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        Action::Raw([head].into_iter().chain(vec![chunk; 64]).collect())
    };
    let (fault, _) = ask(&settings(), move |_, _| endless());
    assert!(matches!(fault, RemoteFault::TooLarge { .. }), "{fault}");
}

#[test]
fn texts_and_keys_do_not_follow_to_another_address() {
    let other = Server::new(|request, _| good(request));
    for status in [301, 302, 307, 308] {
        let to = format!("{}/embeddings", other.url());
        let line = format!("location: {to}");
        let (fault, _) =
            ask(&settings(), move |_, _| Action::Answer(status, vec![line.clone()], Vec::new()));
        assert_eq!(fault, RemoteFault::Redirect { status, to });
    }
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn a_key_is_in_no_message_even_when_the_service_repeats_it() {
    for status in [401u16, 500, 200, 302] {
        let server = Server::new(move |request, _| {
            let key = &request.headers["authorization"];
            let body = format!("{{\"error\": {{\"message\": \"bad: {key}\"}}}}");
            Action::Answer(status, vec![format!("location: http://x/?k={key}")], body.into())
        });
        let encoder = reopen(&server, &settings(), ApiKey::new("sk-secret\n"));
        let error = encoder.encode(&["a"], &Silent).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        assert_eq!(server.requests()[0].headers["authorization"], "Bearer sk-secret");
    }
    assert_eq!((ApiKey::new(" "), ApiKey::new("a\nb"), ApiKey::new("é")), (None, None, None));
}

#[test]
fn a_missing_key_and_impossible_addresses_are_told_before_any_call() {
    let mut named = settings();
    named.service.key_env = "NO_SUCH_KEY".into();
    let error = RemoteEncoder::open("http://127.0.0.1:1/v1", &named, None).unwrap_err();
    assert!(error.to_string().contains("set the environment variable NO_SUCH_KEY"), "{error}");
    for (url, wanted) in [
        ("ftp://x/v1", "neither http:// nor https://"),
        ("http://user:word@x/v1", "holds a password"),
        ("http://x/v1?key=1", "without `?`"),
        ("http:// x", "cannot be read"),
        ("http://", "names no host"),
    ] {
        let error = RemoteEncoder::open(url, &settings(), None).unwrap_err().to_string();
        assert!(error.contains(wanted), "{url}: {error}");
    }
    let mut unnamed = RemoteSettings { kind: RemoteKind::Openai, ..settings() };
    unnamed.service.model.clear();
    let error = RemoteEncoder::open("http://127.0.0.1:1/v1", &unnamed, None).unwrap_err();
    assert_eq!(fault(error), RemoteFault::NoModel);
}

#[test]
fn what_was_paid_for_before_a_failure_is_not_paid_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..40).map(|n| format!("text {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let server = Server::new(|request, number| match number {
        0..12 => good(request),
        _ => Action::status(500, "no more"),
    });
    let settings = RemoteSettings { concurrency: 2, ..settings() };
    let error = Cached::new(reopen(&server, &settings, None), dir.path())
        .encode(&texts, &Silent)
        .unwrap_err();
    let said = error.to_string();
    assert!(said.contains("24 of 40 texts were encoded, and `text.cache` keeps them"), "{said}");
    let url = server.url();
    drop(server);
    // The same address, and so the same name, without a service: only what is missing is asked for.
    let open = || {
        let settings = RemoteSettings { kind: RemoteKind::Openai, ..settings.clone() };
        Cached::new(RemoteEncoder::reopen(&url, &settings, 3, None).unwrap(), dir.path())
    };
    let encoded = texts.iter().filter(|text| open().encode(&[text], &Silent).is_ok()).count();
    assert_eq!(encoded, 24);
}

#[test]
fn ceilings_stop_before_the_call_that_would_pass_them() {
    // The service counts ten tokens a text: five calls of two texts make a hundred.
    let texts = ["a"; 20];
    for (tokens, cost, setting) in [(100, 0.0, "max_tokens_total"), (0, 0.001, "max_cost")] {
        let server = Server::new(|request, _| good(request));
        let mut settings = RemoteSettings { concurrency: 1, ..settings() };
        settings.service.max_tokens_total = tokens;
        settings.service.price_per_million_tokens = 10.0;
        settings.service.max_cost = cost;
        let encoder = reopen(&server, &settings, None);
        let error = encoder.encode(&texts, &Silent).unwrap_err().to_string();
        for part in [setting, "raise it to go on", "10 of 20 texts were encoded"] {
            assert!(error.contains(part), "{part} missing in {error}");
        }
        assert_eq!(server.requests().len(), 5);
        let error = encoder.encode(&["b"], &Silent).unwrap_err();
        assert!(matches!(fault(error), RemoteFault::Ceiling { .. }), "ceilings hold for all calls");
    }
}

/// Wants no more after the first report; notes all.
#[derive(Default)]
struct Impatient {
    is_over: AtomicBool,
    reports: Mutex<Vec<(usize, usize)>>,
}

impl Progress for Impatient {
    fn report(&self, _task: &str, done: usize, total: usize) {
        self.is_over.store(true, Ordering::SeqCst);
        self.reports.lock().unwrap().push((done, total));
    }

    fn is_cancelled(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

#[test]
fn encoding_ends_when_it_is_to_end() {
    let served = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&served);
    let server = Server::new(move |request, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        good(request)
    });
    let settings = RemoteSettings { concurrency: 1, ..settings() };
    let progress = Impatient::default();
    let error = reopen(&server, &settings, None).encode(&["a"; 100], &progress).unwrap_err();
    assert_eq!(fault(error), RemoteFault::Cancelled);
    assert!(served.load(Ordering::SeqCst) < 50);
    assert_eq!(progress.reports.lock().unwrap()[0], (2, 100));
}

#[test]
fn impossible_settings_are_told_all() {
    let mut settings = RemoteSettings { batch: 0, concurrency: 65, ..settings() };
    settings.service.key_env = "sk-123 secret".into();
    settings.service.max_cost = 1.0;
    settings.service.timeout_s = f64::NAN;
    settings.service.retries = 101;
    let faults = settings.faults();
    let mut fields: Vec<&str> = faults.iter().map(|fault| fault.field).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["batch", "concurrency", "key_env", "max_cost", "retries", "timeout_s"]);
    assert!(faults.iter().all(|fault| !fault.problem.contains("secret")));
}
