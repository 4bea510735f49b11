//! The `OpenAPI` document, made of the routes and of the types that their handlers read and write.

use std::future::{Ready, ready};

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::call::{Answer, Call};
use crate::routes::{Route, all};

/// Every answer that is no success.
const PROBLEM: &str = "application/problem+json";

/// `GET /openapi.json`.
pub(crate) fn show(_: Call) -> Ready<Result<Answer, Error>> {
    ready(Answer::json(&document()))
}

/// Makes the document.
pub(crate) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = SchemaGenerator::new(settings);
    let mut paths: Map<String, Value> = Map::new();
    for route in all() {
        let operation = operation(&route, &mut schemas);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    let mut definitions = schemas.take_definitions(true);
    definitions.insert("Problem".into(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tastemaker",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Recommendations that read. Failures are problems as in RFC 9457.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "header", "name": "x-api-key" },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let named = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let text = json!({ "type": "string" });
    let path =
        named.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text }));
    let query =
        route.query.iter().map(|name| json!({ "name": name, "in": "query", "schema": text }));
    let answer = match route.gives {
        Some(gives) => json!({ "application/json": { "schema": gives(schemas) } }),
        None => json!({ "text/plain": { "schema": text } }),
    };
    let problem = json!({ PROBLEM: { "schema": { "$ref": "#/components/schemas/Problem" } } });
    let mut responses = json!({
        "4XX": { "description": "The request cannot be answered, and why", "content": problem },
        "5XX": { "description": "The server cannot answer now", "content": problem },
    });
    let asked = json!({ "description": "What was asked for", "content": answer });
    responses[route.status.as_str()] = asked;
    for bare in route.bare {
        let description = bare.canonical_reason().unwrap_or_default();
        responses[bare.as_str()] = json!({ "description": description });
    }
    let mut operation = json!({
        "summary": route.summary,
        "parameters": path.chain(query).collect::<Vec<_>>(),
        "responses": responses,
    });
    if let Some(takes) = route.takes {
        let content = json!({ "application/json": { "schema": takes(schemas) } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    if let Some(scope) = route.scope {
        operation["security"] = json!([{ "key": [] }, { "bearer": [] }]);
        operation["x-scope"] = json!(scope.to_string());
    }
    operation
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "instance": { "type": "string" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#").skip(1);
        let pointers: Vec<&str> = references.filter_map(|rest| rest.split('"').next()).collect();
        assert!(pointers.len() > 20, "{}", pointers.len());
        for pointer in pointers {
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn other_answers_than_200_are_named() {
        let document = document();
        let of = |path: &str, method: &str| {
            let responses = document["paths"][path][method]["responses"].as_object().unwrap();
            let plain = responses.keys().filter(|status| !status.ends_with("XX"));
            plain.cloned().collect::<Vec<String>>()
        };
        assert_eq!(of("/v1/stats", "get"), ["200"]);
        assert_eq!(of("/v1/jobs", "post"), ["202"]);
        assert_eq!(of("/mcp", "post"), ["200", "202"]);
        assert_eq!(of("/", "get"), ["307"]);
        assert_eq!(of("/dashboard/{file}", "get"), ["200", "304"]);
        let accepted = &document["paths"]["/v1/jobs"]["post"]["responses"]["202"];
        assert!(accepted["content"]["application/json"]["schema"].is_object());
    }

    #[test]
    fn what_changes_something_takes_more_than_a_key_that_reads() {
        use tastemaker_store::Scope;
        for route in all() {
            // Tools of /mcp have the scope of the route behind them.
            let asks = ["/v1/recommend", "/v1/chat", "/v1/embeddings", "/v1/rerank", "/mcp"];
            let asks = asks.contains(&route.path) || route.path.starts_with("/api/session/");
            // What a training said may hold anything.
            let is_open = !route.path.starts_with("/v1/jobs");
            let reads = (route.method == "GET" && is_open) || asks;
            let is_inside = ["/v1/settings", "/v1/failures", "/v1/audit"].contains(&route.path);
            assert_eq!(
                route.scope.is_none_or(|scope| scope == Scope::Read),
                reads && !is_inside,
                "{}",
                route.path
            );
        }
    }
}
