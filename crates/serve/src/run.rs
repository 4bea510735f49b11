//! The server in the world: sockets, slow clients, and an end in which nobody's request is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::routes::router;
use crate::{App, Error};

/// Longest time for the head of a request; keeps slow clients from holding connections.
const HEAD: Duration = Duration::from_secs(15);
/// Longest time for requests under way when the server ends.
const GRACE: Duration = Duration::from_secs(20);

/// Answers at `address` until `end` comes true, then finishes what is under way. `ready` is told the address.
pub async fn run(
    app: Arc<App>,
    address: SocketAddr,
    ready: impl FnOnce(SocketAddr) + Send,
    end: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    if app.settings.open && !address.ip().is_loopback() && app.store.keys().await?.is_empty() {
        tracing::warn!(
            "everybody who reaches {address} may do everything: make a key with `tastemaker keys create`"
        );
    }
    let failed = |source| Error::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    ready(listener.local_addr().map_err(failed)?);
    let clearing = tokio::spawn(app.clone().clear_old_lists());
    let service = router(app.clone());
    let connections = Arc::new(Semaphore::new(app.settings.connections.max(1)));
    let open = GracefulShutdown::new();
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD).max_concurrent_streams(128);
    let mut end = std::pin::pin!(end);
    loop {
        // Who finds no place waits in the queue of the machine.
        let Ok(place) = connections.clone().acquire_owned().await else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("a connection was not accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut end => break,
        };
        // Answers are small: waiting for more to send only makes them late.
        stream.set_nodelay(true).ok();
        let service = service
            .clone()
            .map_request(|request: Request<Incoming>| request.map(axum::body::Body::new));
        let service = TowerToHyperService::new(service);
        let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, open.shutdown()).await.is_err() {
        tracing::warn!("some requests were not done in time");
    }
    clearing.abort();
    Ok(app.store.flush().await?)
}
