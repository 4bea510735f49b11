//! The server on a socket: silent clients, many of them, TLS, and an end in which nobody is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tastemaker_serve::store::Store;
use tastemaker_serve::{App, Certificate, Settings};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::home::{address, places};

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a socket; ends when it goes, or by [`end`](Self::end).
struct Running {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<Result<(), tastemaker_serve::Error>>,
    _dir: tempfile::TempDir,
}

impl Running {
    async fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&address(dir.path())).await.unwrap();
        let app = App::open(store, settings, places(dir.path())).await.unwrap();
        let (tell, told) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let ready = |address| tell.send(address).unwrap();
        let end_of = async { ended.await.unwrap_or_default() };
        let any = "127.0.0.1:0".parse().unwrap();
        let server = tokio::spawn(tastemaker_serve::run(app, any, ready, end_of));
        Self { address: told.await.unwrap(), end, server, _dir: dir }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn end(self) {
        self.end.send(()).unwrap();
        self.server.await.unwrap().unwrap();
    }
}

/// Asks whether the server lives, and reads all of the answer.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    stream.write_all(LIVE).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_on_which_nothing_comes_are_closed() {
    let head = Duration::from_millis(200);
    let settings = Settings { open: true, head, connections: 2, ..Settings::default() };
    let server = Running::with(settings).await;
    // The second looks like HTTP/2 as far as it goes.
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.write_all(b"PRI ").await.unwrap();
    // Every place is taken: this one is served when they are gone.
    let answer = ask(server.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut rest = Vec::new();
    assert_eq!(silent.read_to_end(&mut rest).await.unwrap_or_default(), 0);
    assert_eq!(half.read_to_end(&mut rest).await.unwrap_or_default(), 0);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_idle_connections_keep_nobody_from_an_answer() {
    let server = Running::with(Settings { open: true, ..Settings::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(server.connect().await);
    }
    let answer = ask(server.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(idle);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_send_or_take_too_slowly_are_let_go() {
    let timeout = Duration::from_millis(300);
    let server = Running::with(Settings { open: true, timeout, ..Settings::default() }).await;
    let mut sender = server.connect().await;
    let head = b"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    sender.write_all(head).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, sender.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 504");
    // Asks for far more than the buffers between both hold, and reads nothing for a while.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut taker = socket.connect(server.address).await.unwrap();
    let asks = b"GET /openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(600);
    taker.write_all(&asks).await.unwrap();
    tokio::time::sleep(10 * timeout).await;
    let mut taken = Vec::new();
    let end = tokio::time::timeout(PATIENCE, taker.read_to_end(&mut taken)).await;
    assert!(end.is_ok(), "the connection is still open");
    let answers = String::from_utf8_lossy(&taken).matches("HTTP/1.1 200").count();
    assert!((1..600).contains(&answers), "{answers}");
    server.end().await;
}

fn fixture(name: &str) -> std::path::PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "api", "fixtures", name].iter().collect()
}

fn connector(protocols: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture("one.chain.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_connections_are_secret_and_others_get_no_answer() {
    let tls = Certificate { chain: fixture("one.chain.pem"), key: fixture("one.key.pem") };
    let server =
        Running::with(Settings { open: true, tls: Some(tls), ..Settings::default() }).await;
    let name = || ServerName::try_from("localhost").unwrap();
    let secret = connector(&[]).connect(name(), server.connect().await).await.unwrap();
    let answer = ask(secret).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let modern = connector(&[b"h2"]).connect(name(), server.connect().await).await.unwrap();
    assert_eq!(modern.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // Who speaks plainly gets nothing that could be taken for an answer.
    let mut plain = server.connect().await;
    plain.write_all(LIVE).await.unwrap();
    let mut answer = Vec::new();
    let reading = plain.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap_or_default();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    drop(modern);
    server.end().await;
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_told_with_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let of =
        |chain: &std::path::Path, key: &str| Certificate { chain: chain.into(), key: fixture(key) };
    let cases = [
        (of(&dir.path().join("none.pem"), "one.key.pem"), "none.pem"),
        (of(&empty, "one.key.pem"), "empty.pem"),
        (of(&fixture("one.chain.pem"), "one.chain.pem"), "one.chain.pem"),
        (of(&fixture("one.chain.pem"), "two.key.pem"), "two.key.pem"),
    ];
    for (tls, named) in cases {
        let store = Store::open(&address(dir.path())).await.unwrap();
        let settings = Settings { open: true, tls: Some(tls), ..Settings::default() };
        let app = App::open(store, settings, places(dir.path())).await.unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let outcome = tastemaker_serve::run(app, any, |_| {}, std::future::pending()).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("PEM"), "{error}");
    }
}
