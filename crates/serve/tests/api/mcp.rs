//! The tools of assistants, over HTTP.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tastemaker_serve::Settings;
use tastemaker_serve::store::Scope;

use crate::home::{Got, Home, ids, trained};

impl Home {
    /// Sends one message of the protocol.
    async fn message(&self, body: String, key: &str) -> Got {
        let mut request = Request::builder().method("POST").uri("/mcp");
        request = request
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-06-18");
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn rpc(&self, method: &str, params: Value, key: &str) -> Value {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let got = self.message(message.to_string(), key).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(got.response.headers()["content-type"], "application/json");
        got.body
    }

    /// Calls a tool; returns what it gave, or what went wrong.
    async fn tool(&self, name: &str, arguments: Value, key: &str) -> Result<Value, String> {
        let params = json!({ "name": name, "arguments": arguments });
        let result = &self.rpc("tools/call", params, key).await["result"];
        let text = result["content"][0]["text"].as_str().unwrap().to_owned();
        if result["isError"] == json!(true) {
            return Err(text);
        }
        assert_eq!(result["structuredContent"], serde_json::from_str::<Value>(&text).unwrap());
        Ok(result["structuredContent"].clone())
    }
}

async fn closed() -> Home {
    Home::with(|dir| Settings {
        model: Some(trained(dir, "model", ("fused", 7))),
        ..Settings::default()
    })
    .await
}

#[tokio::test]
async fn an_assistant_is_greeted_and_told_of_five_tools() {
    let home = Home::empty().await;
    let client = json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    });
    let hello = home.rpc("initialize", client, "").await;
    assert_eq!(hello["result"]["serverInfo"]["name"], "tastemaker");
    assert!(hello["result"]["instructions"].as_str().unwrap().contains("recommend"));
    assert!(hello["result"]["capabilities"]["tools"].is_object());
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let got = home.message(ready.to_string(), "").await;
    assert_eq!((got.status, got.body), (202, json!("")));
    let listed = home.rpc("tools/list", json!({}), "").await;
    let names = listed["result"]["tools"].as_array().unwrap().iter();
    assert_eq!(
        names.map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["recommend", "similar", "explain", "search_items", "record_feedback"]
    );
    // There is no stream to open and no session to end.
    assert_eq!(home.get("/mcp").await.status, 405);
    assert_eq!(home.ask(("DELETE", "/mcp"), None, "").await.status, 405);
}

#[tokio::test]
async fn tools_give_what_the_routes_behind_them_give() {
    let home = Home::new().await;
    let list =
        home.tool("recommend", json!({ "user_id": "u1", "n": 3, "explain": true }), "").await;
    let list = list.unwrap();
    assert_eq!(ids(&list["items"]), home.list("u1", 3).await);
    assert!(list["items"][0]["reason"].is_object());
    let first = list["items"][0]["item_id"].clone();

    let near = home.tool("similar", json!({ "item_id": first, "n": 4 }), "").await.unwrap();
    let path = format!("/v1/similar/{}?n=4", first.as_str().unwrap());
    assert_eq!(near, home.get(&path).await.body);
    assert_eq!(near["items"].as_array().unwrap().len(), 4);

    let title = list["items"][0]["title"].as_str().unwrap();
    let found = home.tool("search_items", json!({ "q": title }), "").await.unwrap();
    assert!(ids(&found["items"]).contains(&first.as_str().unwrap().to_owned()), "{found}");

    let from = list["recommendation_id"].clone();
    let told = json!({ "user_id": "u1", "item_id": first, "event_type": "play", "recommendation_id": from });
    let told = home.tool("record_feedback", told, "").await.unwrap();
    assert_eq!(told["accepted"], 1);
    assert!(!home.list("u1", 3).await.contains(&first.as_str().unwrap().to_owned()));

    home.store.flush().await.unwrap();
    let why = home.tool("explain", json!({ "recommendation_id": from }), "").await.unwrap();
    assert_eq!((&why["replay"]["same"], &why["shown"][0][0]), (&json!(true), &first));
}

#[tokio::test]
async fn what_is_wrong_is_told_to_the_assistant_and_ends_nothing() {
    let home = Home::new().await;
    for (tool, arguments, says) in [
        ("recommend", json!({ "user": "u1" }), "unknown field `user`"),
        ("recommend", json!({ "n": "many" }), "invalid type"),
        ("recommend", json!({ "user_id": "u1", "words": "calm" }), "not both"),
        ("recommend", json!({ "filter": "year >" }), "filter"),
        ("similar", json!({}), "missing field `item_id`"),
        ("similar", json!({ "item_id": "nothing" }), "nothing"),
        ("similar", json!({ "item_id": "i\u{0}1" }), "zero byte"),
        ("similar", json!({ "item_id": "i1", "n": -1 }), "invalid value"),
        ("explain", json!({ "recommendation_id": "../users" }), "there is no recommendation"),
        ("search_items", json!({ "q": " " }), "say what to look for"),
        ("record_feedback", json!({ "user_id": "u1" }), "item_id"),
        ("record_feedback", json!({ "user_id": "", "item_id": "i1" }), "user"),
        (
            "record_feedback",
            json!({ "user_id": "u", "item_id": "i", "timestamp": "soon" }),
            "no time",
        ),
    ] {
        let why = home.tool(tool, arguments.clone(), "").await.unwrap_err();
        assert!(why.contains(says), "{tool} {arguments}: {why}");
    }
    let unknown = home.rpc("tools/call", json!({ "name": "promote" }), "").await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    assert!(home.rpc("tools/promote", json!({}), "").await["error"]["code"].is_number());
}

#[tokio::test]
async fn huge_deep_and_broken_messages_are_refused() {
    let home = Home::with(|_| Settings { open: true, body: 1 << 16, ..Settings::default() }).await;
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"recommend","arguments":{{"context":{deep}}}}}}}"#
    );
    for body in [call, deep, "{".into(), String::new(), "[]".into(), "\u{0}".into()] {
        let got = home.message(body, "").await;
        assert!((400..500).contains(&got.status), "{}: {}", got.status, got.body);
    }
    let huge = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": { "x": "x".repeat(1 << 16) } });
    assert_eq!(home.message(huge.to_string(), "").await.status, 413);
    assert!(home.rpc("ping", json!({}), "").await["result"].is_object());
}

#[tokio::test]
async fn a_key_is_needed_and_one_that_reads_records_nothing() {
    let home = closed().await;
    let (read, write) =
        (home.key("default", Scope::Read).await, home.key("default", Scope::Write).await);
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    assert_eq!(home.message(ping.clone(), "").await.status, 401);
    assert_eq!(home.message(ping, "tm_0000000000000000_00").await.status, 401);
    let event = json!({ "user_id": "u1", "item_id": "i1" });
    let why = home.tool("record_feedback", event.clone(), &read.secret).await.unwrap_err();
    assert!(why.contains("scope `write`"), "{why}");
    let listed = home.rpc("tools/list", json!({}), &read.secret).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 4, "{listed}");
    assert_eq!(home.store.counts("default").await.unwrap()[2], 0);
    home.tool("record_feedback", event, &write.secret).await.unwrap();
    assert_eq!(home.store.counts("default").await.unwrap()[2], 1);
}

#[tokio::test]
async fn an_assistant_of_one_tenant_sees_nothing_of_another() {
    let home = closed().await;
    let (a, b) = (home.key("default", Scope::Write).await, home.key("b", Scope::Write).await);
    let list = home.tool("recommend", json!({ "user_id": "u1" }), &a.secret).await.unwrap();
    assert_eq!(list["source"], "model");
    let item = json!({ "item_id": "secret", "fields": { "title": "a secret of a" } });
    home.ask(("PUT", "/v1/items/secret"), Some(item), &a.secret).await;
    home.tool("record_feedback", json!({ "user_id": "u", "item_id": "secret" }), &a.secret)
        .await
        .unwrap();
    home.store.flush().await.unwrap();
    let found = async |key: &str| {
        ids(&home.tool("search_items", json!({ "q": "secret" }), key).await.unwrap()["items"])
    };
    assert_eq!(
        (found(&a.secret).await, found(&b.secret).await),
        (vec!["secret".to_owned()], vec![])
    );
    let theirs = home.tool("recommend", json!({}), &b.secret).await.unwrap();
    assert_eq!((&theirs["source"], &theirs["items"]), (&json!("popular"), &json!([])));
    let id = list["recommendation_id"].clone();
    let why =
        home.tool("explain", json!({ "recommendation_id": id }), &b.secret).await.unwrap_err();
    assert!(why.contains("there is no recommendation"), "{why}");
}

#[tokio::test]
async fn hidden_and_erased_items_are_not_found() {
    let home = Home::new().await;
    let listed = home.tool("recommend", json!({ "n": 2 }), "").await.unwrap()["items"].clone();
    let titled = |place: usize| {
        (listed[place]["item_id"].as_str().unwrap().to_owned(), listed[place]["title"].clone())
    };
    let [(hidden, one), (erased, other)] = [titled(0), titled(1)];
    let fields = json!({ "fields": { "title": one }, "hidden": true });
    home.ask(("PUT", &format!("/v1/items/{hidden}")), Some(fields), "").await;
    home.ask(("DELETE", &format!("/v1/items/{erased}")), None, "").await;
    for (id, title) in [(hidden, one), (erased, other)] {
        let found = home.tool("search_items", json!({ "q": title, "n": 1000 }), "").await.unwrap();
        assert!(!ids(&found["items"]).contains(&id), "{found}");
    }
}
