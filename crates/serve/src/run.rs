//! The server in the world: sockets, slow clients, and an end in which nobody's request is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

use crate::routes::router;
use crate::tls::Tls;
use crate::{App, Error};

/// Longest time for requests under way when the server ends.
const GRACE: Duration = Duration::from_secs(20);

/// Answers at `address` until `end` comes true, then finishes what is under way. `ready` is told the address.
pub async fn run(
    app: Arc<App>,
    address: SocketAddr,
    ready: impl FnOnce(SocketAddr) + Send,
    end: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    warn_of_strangers(&app, address).await?;
    let tls =
        app.settings.tls.clone().map(|files| Tls::new(files, app.clock.clone())).transpose()?;
    let failed = |source| Error::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    ready(listener.local_addr().map_err(failed)?);
    let clearing = tokio::spawn(app.clone().clear_old_lists());
    let looking = tokio::spawn(app.clone().keep_looking());
    let training = tokio::spawn(app.clone().keep_models_young());
    let connections = Connections::new(&app, tls);
    tokio::select! {
        () = accept(&listener, &connections) => {}
        () = end => {}
    }
    drop(listener);
    training.abort();
    app.jobs.end_all().await;
    connections.finish().await;
    clearing.abort();
    looking.abort();
    let kept = app.store.flush().await;
    if let Some(traces) = &app.traces {
        traces.flush().await;
    }
    Ok(kept?)
}

async fn warn_of_strangers(app: &App, address: SocketAddr) -> Result<(), Error> {
    if app.settings.open && !address.ip().is_loopback() && app.store.keys().await?.is_empty() {
        tracing::warn!(
            "everybody who reaches {address} may do everything: make a key with `tastemaker keys create`"
        );
    }
    Ok(())
}

/// The connections that are open.
struct Connections {
    places: Arc<Semaphore>,
    open: GracefulShutdown,
    http: auto::Builder<TokioExecutor>,
    router: Router,
    tls: Option<Tls>,
    /// Longest time for the head of a request; keeps slow clients from holding connections.
    head: Duration,
    /// Longest time in which a client takes nothing of its answer.
    stalled: Duration,
}

async fn accept(listener: &TcpListener, connections: &Connections) {
    // Who finds no place waits in the queue of the machine.
    while let Ok(place) = connections.places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => connections.serve(stream, place),
            Err(error) => {
                tracing::warn!("a connection was not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Connections {
    fn new(app: &Arc<App>, tls: Option<Tls>) -> Self {
        let head = app.settings.head;
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(head);
        http.http2().timer(TokioTimer::new()).keep_alive_interval(head).max_concurrent_streams(128);
        Self {
            places: Arc::new(Semaphore::new(app.settings.connections.max(1))),
            open: GracefulShutdown::new(),
            http,
            router: router(app.clone()),
            tls,
            head,
            stalled: app.settings.timeout,
        }
    }

    fn serve(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        // Answers are small: waiting for more to send only makes them late.
        stream.set_nodelay(true).ok();
        let talk = Talk {
            router: self.router.clone(),
            http: self.http.clone(),
            watcher: self.open.watcher(),
            head: self.head,
        };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.stalled));
        let stream = Box::pin(stream);
        let acceptor = self.tls.as_ref().map(Tls::acceptor);
        tokio::spawn(async move {
            match acceptor {
                None => talk.with(stream).await,
                Some(acceptor) => {
                    match tokio::time::timeout(talk.head, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => talk.with(stream).await,
                        Ok(Err(error)) => {
                            tracing::debug!("a connection did not come about: {error}");
                        }
                        Err(_) => tracing::debug!("a connection on which nothing came was closed"),
                    }
                }
            }
            drop(place);
        });
    }

    async fn finish(self) {
        if tokio::time::timeout(GRACE, self.open.shutdown()).await.is_err() {
            tracing::warn!("some requests were not done in time");
        }
    }
}

/// One connection, once it is there.
struct Talk {
    router: Router,
    http: auto::Builder<TokioExecutor>,
    watcher: Watcher,
    head: Duration,
}

impl Talk {
    async fn with(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (asked, head) = (Arc::new(AtomicBool::new(false)), self.head);
        let heard = asked.clone();
        let service = self.router.map_request(move |request: Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            request.map(Body::new)
        });
        let connection =
            self.http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = self.watcher.watch(connection.into_owned());
        // The time for a head begins when the protocol is known; until then nothing else ends a connection on which nothing comes.
        let silent = async move {
            tokio::time::sleep(head).await;
            if asked.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            outcome = connection => {
                if let Err(error) = outcome {
                    tracing::debug!("a connection ended: {error}");
                }
            }
            () = silent => tracing::debug!("a connection on which nothing came was closed"),
        }
    }
}
