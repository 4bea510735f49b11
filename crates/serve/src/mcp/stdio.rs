//! The protocol over a pair of streams: an assistant starts the process and speaks to it alone.

use std::sync::Arc;

use rmcp::service::ServerInitializeError;
use rmcp::transport::async_rw::AsyncRwTransport;
use tastemaker_store::{Error as StoreError, Scope, is_tenant};
use tokio::io::{AsyncRead, AsyncWrite};

use super::server::Server;
use crate::auth::Identity;
use crate::{App, Error};

/// Serves the tools to whoever is at the other end of `streams`, who may do everything with the data of `tenant`; until they close them or
/// `end` comes true.
pub async fn talk<R, W>(
    app: Arc<App>,
    tenant: &str,
    streams: (R, W),
    end: impl Future<Output = ()> + Send,
) -> Result<(), Error>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    if !is_tenant(tenant) {
        return Err(StoreError::Tenant { name: tenant.to_owned() }.into());
    }
    let who = Identity { tenant: tenant.to_owned(), scope: Scope::Admin, key: String::new() };
    let server = Server { app: app.clone(), tenant: app.tenant(tenant), who };
    let transport = AsyncRwTransport::new(streams.0, streams.1);
    let transport = transport.with_max_line_length(app.settings.body);
    let clearing = tokio::spawn(app.clone().clear_old_lists());
    let conversation = async {
        let done = match rmcp::serve_server(server, transport).await {
            Ok(service) => service.waiting().await.map(drop).map_err(|error| error.to_string()),
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = done {
            tracing::warn!("the conversation broke off: {why}");
        }
    };
    tokio::select! {
        () = conversation => {}
        () = end => {}
    }
    clearing.abort();
    Ok(app.store.flush().await?)
}
