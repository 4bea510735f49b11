//! What an assistant speaks to: names the tools and calls them.

use std::future::ready;
use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use tastemaker_store::new_id;

use super::tools::{INSTRUCTIONS, TOOLS, Told};
use crate::Error;
use crate::auth::Identity;
use crate::live::{App, Tenant};

/// Share of a request's time that a tool has, so that it is the tool that says it took too long.
const SHARE: f64 = 0.9;

/// The tools as one assistant may call them.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) app: Arc<App>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) who: Identity,
}

impl Server {
    async fn run(&self, tool: &Told, params: CallToolRequestParams) -> CallToolResult {
        let limit = self.app.settings.timeout.mul_f64(SHARE);
        let work = tool.run(self, params.arguments.unwrap_or_default());
        let outcome = tokio::time::timeout(limit, work).await.unwrap_or(Err(Error::TimedOut));
        let value = outcome.and_then(|answer| {
            serde_json::from_slice::<Value>(&answer.body).map_err(|error| {
                tracing::error!("the answer of {} is no JSON: {error}", tool.tool.name);
                Error::Failed
            })
        });
        match value {
            Ok(value) => CallToolResult::structured(value),
            Err(error) => {
                let problem = error.problem(&new_id(self.app.clock.unix_ms()));
                let detail = problem["detail"].as_str().unwrap_or_default();
                CallToolResult::error(vec![ContentBlock::text(detail)])
            }
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let about = Implementation::new("tastemaker", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(about)
            .with_instructions(INSTRUCTIONS)
    }

    fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListToolsResult, ErrorData>> {
        // A tool that the key cannot call would only be tried.
        let own = TOOLS.iter().filter(|told| told.is_for(self.who.scope));
        ready(Ok(ListToolsResult::with_all_items(own.map(|told| told.tool.clone()).collect())))
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = TOOLS.iter().find(|told| told.tool.name == params.name) else {
            return Err(ErrorData::invalid_params(
                "there is no such tool: tools/list names all",
                None,
            ));
        };
        tokio::select! {
            result = self.run(tool, params) => Ok(result.into()),
            () = context.ct.cancelled() => Err(ErrorData::internal_error("the call was cancelled", None)),
        }
    }
}
