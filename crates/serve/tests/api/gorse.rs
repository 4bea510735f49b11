//! The interface of Gorse, as its documentation shows it.

use serde_json::{Value, json};

use crate::home::Home;

fn item(id: &str, category: &str, day: u32) -> Value {
    json!({
        "ItemId": id, "IsHidden": false, "Categories": [category],
        "Timestamp": format!("2022-02-{day:02}"), "Labels": { "embedding": [0.1] }, "Comment": "text",
    })
}

fn star(user: &str, item: &str, time: &str, value: f64) -> Value {
    json!({ "FeedbackType": "star", "UserId": user, "ItemId": item, "Value": value, "Timestamp": time, "Labels": null, "Comment": "" })
}

#[tokio::test]
async fn users_items_and_feedback_go_in_and_come_back() {
    let home = Home::empty().await;
    let row = json!({ "RowAffected": 1 });
    let bob = json!({ "UserId": "bob", "Labels": { "company": "g" }, "Comment": "" });
    assert_eq!(home.post("/api/user", bob.clone()).await.body, row);
    assert_eq!(home.get("/api/user/bob").await.body, bob);
    let patched = home.ask(("PATCH", "/api/user/bob"), Some(json!({ "Comment": "new" })), "").await;
    assert_eq!(patched.body, row);
    assert_eq!(
        home.get("/api/users?n=1").await.body["Users"][0]["Labels"],
        json!({ "company": "g" })
    );
    let items = json!([item("a:a", "go", 1), item("b", "rust", 2)]);
    assert_eq!(home.post("/api/items", items).await.body, json!({ "RowAffected": 2 }));
    let a = home.get("/api/item/a:a").await.body;
    assert_eq!(
        (&a["Timestamp"], &a["Labels"]),
        (&json!("2022-02-01T00:00:00Z"), &json!({ "embedding": [0.1] }))
    );
    let found =
        async |words: &str| home.get(&format!("/api/items?q={words}")).await.body["Items"].clone();
    assert_eq!(found("TEXT%20a:a").await.as_array().unwrap().len(), 1);
    assert_eq!((found("te_t").await, found("%25").await), (json!([]), json!([])));
    assert_eq!(home.ask(("PUT", "/api/item/b/category/100%25"), None, "").await.body, row);
    assert_eq!(home.get("/api/latest?category=100%25").await.body[0]["Id"], "b");
    assert_eq!(home.ask(("DELETE", "/api/item/b/category/100%25"), None, "").await.body, row);
    assert_eq!(home.get("/api/latest?category=100%25").await.body, json!([]));

    let feedback = json!([star("bob", "a:a", "2022-02-24", 1.0)]);
    assert_eq!(home.post("/api/feedback", feedback).await.body, row);
    // Older feedback does not replace newer, unless it is put.
    let older = json!([star("bob", "a:a", "2021-02-24", 2.0)]);
    assert_eq!(home.post("/api/feedback", older.clone()).await.body, json!({ "RowAffected": 0 }));
    assert_eq!(home.get("/api/feedback/star/bob/a:a").await.body["Value"], 1.0);
    assert_eq!(home.ask(("PUT", "/api/feedback"), Some(older), "").await.body, row);
    assert_eq!(home.get("/api/feedback/bob/a:a").await.body[0]["Value"], 2.0);
    for path in [
        "/api/user/bob/feedback",
        "/api/user/bob/feedback/star",
        "/api/item/a:a/feedback",
        "/api/item/a:a/feedback/star",
    ] {
        assert_eq!(home.get(path).await.body.as_array().unwrap().len(), 1, "{path}");
    }
    assert_eq!(
        home.get("/api/feedback/star?n=5").await.body["Feedback"].as_array().unwrap().len(),
        1
    );
    assert_eq!(home.get("/api/recommend/bob").await.body, json!(["b"]));
    assert_eq!(home.get("/api/popular").await.body, json!([{ "Id": "a:a", "Score": 1.0 }]));
    // Clients put a category into the path, and a stroke where there is none.
    for path in ["/api/popular/", "/api/popular", "/api/latest/", "/api/latest"] {
        let list = home.get(path).await.body;
        assert!(list.as_array().unwrap().iter().any(|one| one["Id"] == "a:a"), "{path}: {list}");
        let none = format!("{}/no-such-category", path.trim_end_matches('/'));
        assert_eq!(home.get(&none).await.body, json!([]), "{none}");
    }
    assert_eq!(home.ask(("DELETE", "/api/feedback/star/bob/a:a"), None, "").await.body, row);
    assert_eq!(home.get("/api/feedback/star/bob/a:a").await.status, 404);
    home.ask(("DELETE", "/api/item/a:a"), None, "").await;
    home.ask(("DELETE", "/api/user/bob"), None, "").await;
    assert_eq!(
        (home.get("/api/item/a:a").await.status, home.get("/api/user/bob").await.status),
        (404, 404)
    );
}

#[tokio::test]
async fn lists_of_a_model_are_told_in_the_words_of_gorse() {
    let home = Home::new().await;
    let own = home.list("u1", 6).await;
    assert_eq!(home.get("/api/recommend/u1?n=4&offset=2").await.body, json!(own[2..6]));
    assert_eq!(home.get("/api/recommend/u1/?n=6").await.body, json!(own));
    assert_eq!(home.get("/api/recommend/u1/no-such-category").await.body, json!([]));
    let neighbors = home.get("/api/item/i3/neighbors?n=3").await.body;
    assert_eq!(neighbors.as_array().unwrap().len(), 3);
    assert!(neighbors[0]["Score"].is_number() && neighbors[0]["Id"].is_string());
    let session =
        home.post("/api/session/recommend?n=3", json!([star("x", "i1", "", 0.0)])).await.body;
    assert_eq!(session.as_array().unwrap().len(), 3);
    let taken = || json!([star("x", "i1", "", 0.0)]);
    assert_eq!(home.post("/api/session/recommend/?n=3", taken()).await.body, session);
    assert_eq!(home.post("/api/session/recommend/none", taken()).await.body, json!([]));
    assert_eq!(home.get("/api/item/i3/neighbors/?n=3").await.body, neighbors);
    assert_eq!(home.get("/api/item/i3/neighbors/none").await.body, json!([]));
    // What was written back is not recommended again.
    let shown =
        home.get("/api/recommend/u1?n=2&write-back-type=read&write-back-delay=10m").await.body;
    assert_eq!(shown, json!(own[..2]));
    let next = home.get("/api/recommend/u1?n=40").await.body.to_string();
    assert!(!next.contains(&format!("{:?}", own[0])) && !next.contains(&format!("{:?}", own[1])));
}
