//! The protocol over HTTP, without sessions: every request says all it needs, and nothing is kept between two.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, header};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::server::Server;
use crate::Error;
use crate::call::{Answer, Call};

/// `POST /mcp`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let Call { app, tenant, who, headers, body, .. } = call;
    // The door has looked at origin and length.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts()
        .with_max_request_body_bytes(app.settings.body);
    let server = Server { app, tenant, who };
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers;
    // HTTP/2 names the host elsewhere.
    let host = request.headers_mut().entry(header::HOST);
    host.or_insert(HeaderValue::from_static("localhost"));
    let (head, body) = service.handle(request).await.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.map_err(|error| {
        tracing::error!("an answer to an assistant broke off: {error}");
        Error::Failed
    })?;
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let content_type = match kind.unwrap_or_default() {
        kind if kind.starts_with("application/json") => "application/json",
        kind if kind.starts_with("text/event-stream") => "text/event-stream",
        _ => "text/plain; charset=utf-8",
    };
    Ok(Answer { status: head.status, content_type, body: body.into(), headers: Vec::new() })
}
