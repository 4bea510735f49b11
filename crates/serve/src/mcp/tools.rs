//! The tools. Each is a route under another name: what it takes, gives and asks of a key comes from there, and its handler does the work.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::generate::SchemaSettings;
use schemars::transform::{RestrictFormats, Transform as _};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tastemaker_store::Scope;

use super::server::Server;
use crate::Error;
use crate::api::events::EventIn;
use crate::api::recommend::RecommendRequest;
use crate::audit::Subject;
use crate::call::{Answer, Call, without_zero_bytes};
use crate::routes::{Route, SchemaOf, all};

/// All tools.
pub(super) static TOOLS: LazyLock<Vec<Told>> = LazyLock::new(told);

/// A tool, and the route behind it.
pub(super) struct Told {
    pub(super) tool: Tool,
    route: Route,
    /// Refuses arguments of another form than the schema has.
    check: fn(JsonObject) -> Result<(), Error>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its form alone")]
struct SimilarArguments {
    /// The id of the item, as `search_items` or a list gives it.
    item_id: String,
    /// How many items, at most 1000; 10 when it is left out.
    n: Option<usize>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its form alone")]
struct ExplainArguments {
    /// The `recommendation_id` that came with the list.
    recommendation_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its form alone")]
struct SearchArguments {
    /// Words that an item's title or text must all hold, in any order; parts of words count.
    q: String,
    /// How many items, at most 1000; 10 when it is left out.
    n: Option<usize>,
}

/// What is told to an assistant about all of them.
pub(super) const INSTRUCTIONS: &str = "Personal recommendations from a catalogue, learnt from what users did. Call `recommend` for a list: for \
    a user, for items somebody likes, or for a taste described in words. Ids are opaque: use `search_items` to find the id of an item \
    whose title you know. When the user takes, likes or dislikes something, call `record_feedback`: the next list knows it.";

fn told() -> Vec<Told> {
    vec![
        Told::new::<RecommendRequest>(("recommend", (Method::POST, "/v1/recommend"))).says(
            "Recommend items",
            "Lists the items that suit somebody best, with ids, titles and scores. Say for whom: `user_id` for a known user (what they \
             took already is left out), or `history` with ids of items they like, or `words` with a description of what they want, such \
             as \"slow films about grief\"; with none of these it lists what suits everybody. `words` goes with neither `user_id`, \
             `history` nor `explain`. Set `explain` to get a reason for every item: cite these reasons, do not invent others.",
        ),
        Told::new::<SimilarArguments>(("similar", (Method::GET, "/v1/similar/{item_id}"))).says(
            "Find similar items",
            "Lists the items most like one item. Needs the item's id: find it with `search_items` when you know the title alone.",
        ),
        Told::new::<ExplainArguments>(("explain", (Method::GET, "/v1/explain/{recommendation_id}"))).says(
            "Explain a list",
            "Says why an earlier list of `recommend` looked as it did: what was asked, what was shown, and the same question asked again \
             with a reason for every item. Needs the `recommendation_id` of that list.",
        ),
        Told::new::<SearchArguments>(("search_items", (Method::GET, "/v1/search"))).says(
            "Search the catalogue",
            "Finds items whose title or text holds all the words of `q`, with their ids and fields. Use it to find the id of an item or to \
             look up facts about it. It matches letters, not meaning: for a mood or a taste call `recommend` with `words`.",
        ),
        Told::new::<EventIn>(("record_feedback", (Method::POST, "/v1/events"))).says(
            "Record feedback",
            "Records that a user did something with an item, so that their next list knows it. `event_type` says what: `click`, `play`, \
             `buy`, `rating`; every type but `impression` counts as taken. `value` is a rating or a strength. Give the \
             `recommendation_id` of the list it came from. Record only what the user really did or said.",
        ),
    ]
}

impl Told {
    fn new<T: JsonSchema + DeserializeOwned>((name, at): (&'static str, (Method, &str))) -> Self {
        let mut routes = all().into_iter();
        let route = routes
            .find(|route| (&route.method, route.path) == (&at.0, at.1))
            .expect("a tool names a route that there is");
        let takes = SchemaSettings::draft2020_12();
        let gives = SchemaSettings::draft2020_12().for_serialize();
        let mut tool = Tool::new(name, "", schema(takes, SchemaGenerator::subschema_for::<T>));
        tool.output_schema = route.gives.map(|of| schema(gives, of));
        let check = |arguments| {
            let fits = serde_json::from_value::<T>(Value::Object(arguments));
            fits.map(drop).map_err(|error| Error::Body { why: error.to_string() })
        };
        Self { tool, route, check }
    }

    fn says(self, title: &str, description: &'static str) -> Self {
        let annotations = ToolAnnotations::with_title(title).read_only(!self.writes());
        let annotations = annotations.destructive(false).open_world(false);
        let mut tool = self.tool.with_title(title).with_annotations(annotations);
        tool.description = Some(description.into());
        Self { tool, ..self }
    }

    fn writes(&self) -> bool {
        self.route.scope > Some(Scope::Read)
    }

    /// Tells whether a key with this scope may call it.
    pub(super) fn is_for(&self, scope: Scope) -> bool {
        self.route.scope.is_none_or(|needs| scope >= needs)
    }

    /// Does what the route does.
    pub(super) async fn run(
        &self,
        server: &Server,
        arguments: JsonObject,
    ) -> Result<Answer, Error> {
        if let Some(needs) = self.route.scope.filter(|_| !self.is_for(server.who.scope)) {
            return Err(Error::Scope { needs });
        }
        (self.check)(arguments.clone())?;
        let mut call = Call {
            subject: Subject::default(),
            app: server.app.clone(),
            tenant: server.tenant.clone(),
            who: server.who.clone(),
            path: Vec::new(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            gorse_version: 1,
        };
        if self.route.takes.is_some() {
            call.body = Value::Object(arguments).to_string().into();
        } else {
            let text = |value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let given = arguments.into_iter().filter(|(_, value)| !value.is_null());
            let in_path =
                |(name, _): &(String, _)| self.route.path.contains(&format!("{{{name}}}"));
            (call.path, call.query) =
                given.map(|(name, value)| (name, text(value))).partition(in_path);
            without_zero_bytes(call.path.iter().chain(&call.query))?;
        }
        (self.route.handle)(call).await
    }
}

/// Writes a schema whole, without references and without formats that only Rust knows: assistants understand few of both.
fn schema(mut settings: SchemaSettings, of: SchemaOf) -> Arc<JsonObject> {
    settings.inline_subschemas = true;
    let mut schema = of(&mut settings.into_generator());
    let mut formats = RestrictFormats::default();
    formats.infer_from_meta_schema = false;
    formats.transform(&mut schema);
    Arc::new(schema.as_object().cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_takes_an_object_and_says_what_it_is_for() {
        assert_eq!(TOOLS.len(), 5);
        for Told { tool, .. } in TOOLS.iter() {
            let input = &tool.input_schema;
            assert_eq!(input["type"], "object", "{}", tool.name);
            assert!(tool.description.as_ref().is_some_and(|words| words.len() > 100));
            let output = tool.output_schema.as_ref().unwrap();
            assert_eq!(output["type"], "object", "{}", tool.name);
            let both = format!(
                "{}{}",
                Value::Object((**input).clone()),
                Value::Object((**output).clone())
            );
            assert!(!both.contains("$ref") && !both.contains("\"format\""), "{both}");
        }
        let writes = TOOLS.iter().filter(|told| !told.is_for(Scope::Read));
        assert_eq!(writes.map(|told| &*told.tool.name).collect::<Vec<_>>(), ["record_feedback"]);
    }
}
