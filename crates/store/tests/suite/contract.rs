//! What every engine of the store must keep. Each tenant's name is new, so that a database may be used twice.

use tastemaker_store::{
    Change, Error, Event, EventFilter, Item, KeyRecord, NewKey, Repeat, Scope, Shown, Store, User,
    new_id,
};

use super::upkeep;

/// Up to whatever came last.
const NOW: (i64, &str) = (i64::MAX, "");

pub(super) fn event(id: &str, user: &str, item: &str, time: i64) -> Event {
    Event {
        id: id.into(),
        user: user.into(),
        item: item.into(),
        kind: "click".into(),
        value: 1.5,
        time,
        recommendation: String::new(),
        comment: String::new(),
        detail: "{}".into(),
    }
}

pub(super) fn item(id: &str, hidden: bool, time: i64) -> Item {
    Item {
        id: id.into(),
        hidden,
        categories: "[]".into(),
        fields: r#"{"title":"Häuser"}"#.into(),
        comment: "蜜".into(),
        time,
    }
}

async fn events(store: &Store, tenant: &str, events: Vec<Event>, repeat: Repeat) -> Vec<bool> {
    let change = Change::Events { tenant: tenant.into(), events, repeat };
    store.change(change).await.unwrap().fresh
}

/// Runs the whole suite; `open` opens the same store again.
pub(crate) async fn keeps_the_contract(address: &str) {
    let store = Store::open(address).await.unwrap();
    let tenant = new_id(1);
    what_is_read(&store, &tenant).await;
    what_is_written(&store, &tenant).await;
    super::experiments::keep_the_contract(&store).await;
    upkeep::acts(&store).await;
    upkeep::promoted(&store).await;
    upkeep::imported(&store).await;
    upkeep::imported_by_the_hundred(&store).await;
    upkeep::told_outside(&store, address).await;
    let before = store.counts(&tenant).await.unwrap();
    store.flush().await.unwrap();
    drop(store);
    let again = Store::open(address).await.unwrap();
    assert_eq!(again.counts(&tenant).await.unwrap(), before);
    again.ping().await.unwrap();
}

async fn what_is_read(store: &Store, tenant: &str) {
    repeated_events(store, tenant).await;
    pages(store, tenant).await;
    found_by_text(store, tenant).await;
    odd_ids(store, tenant).await;
    browsed(store, &new_id(2)).await;
    known_among_many(store, &new_id(3)).await;
}

async fn what_is_written(store: &Store, tenant: &str) {
    erasure(store, tenant).await;
    since(store, tenant).await;
    keys(store, tenant).await;
    shown(store, tenant).await;
    tenants(store, tenant).await;
    groups(store, tenant).await;
    histories_that_end(store, tenant).await;
}

/// Histories end at an event, and what was taken before it is known apart.
async fn histories_that_end(store: &Store, tenant: &str) {
    let some = vec![event("end-a", "ends", "i", 2), event("end-b", "ends", "k", 4)];
    events(store, tenant, some, Repeat::Keep).await;
    let user = (tenant, "ends");
    assert_eq!(store.history(user, (4, "end-a"), 9).await.unwrap().len(), 1, "up to it");
    assert_eq!(store.history(user, (4, "end-b"), 9).await.unwrap().len(), 2, "with it");
    assert_eq!(store.taken_before(user, (4, "end-b"), 9).await.unwrap(), ["i"]);
    assert!(store.taken_before(user, (4, "end-b"), 0).await.unwrap().is_empty());
}

async fn repeated_events(store: &Store, tenant: &str) {
    let twice = vec![event("a", "u", "i", 5), event("a", "u", "j", 6), event("b", "u", "k", 4)];
    assert_eq!(events(store, tenant, twice, Repeat::Keep).await, [true, false, true]);
    assert_eq!(events(store, tenant, vec![event("a", "u", "j", 6)], Repeat::Keep).await, [false]);
    assert_eq!(
        events(store, tenant, vec![event("a", "u", "old", 1)], Repeat::Newer).await,
        [false]
    );
    assert_eq!(events(store, tenant, vec![event("a", "u", "new", 9)], Repeat::Newer).await, [true]);
    assert_eq!(events(store, tenant, vec![event("a", "u", "i", 2)], Repeat::Replace).await, [true]);
    let history = store.history((tenant, "u"), NOW, 10).await.unwrap();
    assert_eq!(history.iter().map(|e| e.item.as_str()).collect::<Vec<_>>(), ["i", "k"]);
    assert_eq!(store.history((tenant, "u"), NOW, 1).await.unwrap(), [event("b", "u", "k", 4)]);
    // More than one statement holds, with a repetition across statements.
    let many: Vec<Event> =
        (0..70).map(|n| event(&format!("m{}", n % 69), "many", "i", n)).collect();
    let fresh = events(store, tenant, many, Repeat::Keep).await;
    assert_eq!((fresh.len(), fresh.iter().filter(|f| **f).count(), fresh[69]), (70, 69, false));
}

async fn pages(store: &Store, tenant: &str) {
    let items = (0..5).map(|n| item(&format!("p{n}"), n == 3, i64::from(n))).collect();
    store.change(Change::Items { tenant: tenant.into(), items }).await.unwrap();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = store.items(tenant, &cursor, 2).await.unwrap();
        seen.extend(page.rows.into_iter().map(|item| item.id));
        cursor = page.cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["p0", "p1", "p2", "p3", "p4"]);
    assert_eq!(store.item(tenant, "p3").await.unwrap(), Some(item("p3", true, 3)));
    let latest = store.latest(tenant, 2).await.unwrap();
    assert_eq!(latest.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["p4", "p2"]);
    assert_eq!(store.barred(tenant).await.unwrap(), ["p3"]);
    let filter = EventFilter { user: Some("u"), kind: Some("click"), item: Some("k") };
    assert_eq!(store.events(tenant, &filter, "", 9).await.unwrap().rows, [event("b", "u", "k", 4)]);
    assert_eq!(store.popular(tenant, 1).await.unwrap(), [("i".to_owned(), 2)]);
}

/// Texts are found as they stand: what means something in a pattern means nothing here.
async fn found_by_text(store: &Store, tenant: &str) {
    let search = async |words: &str| store.search_items(tenant, words, 9).await.unwrap().len();
    assert_eq!(
        (search("p4 TITLE").await, search("p").await, search("p_").await, search("%").await),
        (1, 5, 0, 0)
    );
    assert_eq!(search("a\0b").await, 0);
    let put = Item { categories: r#"["50%","a\"b"]"#.into(), ..item("p1", false, 1) };
    store.change(Change::Items { tenant: tenant.into(), items: vec![put] }).await.unwrap();
    for (category, found) in [("50%", 1), ("a\"b", 1), ("50", 0), ("_0%", 0), ("A\"B", 0), (",", 0)]
    {
        assert_eq!(store.in_category(tenant, category).await.unwrap().len(), found, "{category}");
    }
}

/// Users are listed once, whether they have fields, did something, or both.
async fn browsed(store: &Store, tenant: &str) {
    let user = |id: &str| User { id: id.into(), fields: "{}".into(), comment: String::new() };
    let users = ["both", "%", "%_", "蜜"].map(user).into();
    store.change(Change::Users { tenant: tenant.into(), users }).await.unwrap();
    let did = ["both", "did", "Did"].map(|user| event(user, user, "i", 1));
    events(store, tenant, did.into(), Repeat::Keep).await;
    let all = async |beginning: &str| {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = store.user_ids(tenant, (beginning, &cursor), 2).await.unwrap();
            all.extend(page.rows);
            cursor = page.cursor;
            if cursor.is_empty() {
                all.sort_unstable();
                return all;
            }
        }
    };
    assert_eq!(all("").await, ["%", "%_", "Did", "both", "did", "蜜"]);
    assert_eq!(
        (all("%").await, all("d").await),
        (vec!["%".into(), "%_".into()], vec!["did".into()])
    );
    assert_eq!((all("蜜").await.len(), all("_").await.len()), (1, 0));
    store
        .change(Change::EraseUser { tenant: tenant.into(), id: "did".into(), time: 2 })
        .await
        .unwrap();
    let mut known: Vec<String> = store
        .users_among(tenant, &["both", "did", "nobody", "蜜"])
        .await
        .unwrap()
        .into_iter()
        .collect();
    known.sort_unstable();
    assert_eq!(known, ["both", "did", "蜜"], "who was erased counts as known");
    assert_eq!(all("d").await, Vec::<String>::new());
}

/// More ids than a statement takes are asked for in parts.
async fn known_among_many(store: &Store, tenant: &str) {
    let ids: Vec<String> = (0..450).map(|n| format!("i{n}")).collect();
    store
        .change(Change::Items { tenant: tenant.into(), items: vec![item("i449", true, 1)] })
        .await
        .unwrap();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let known = store.items_among(tenant, &ids).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), ["i449"]);
    assert!(store.items_among(tenant, &[]).await.unwrap().is_empty());
}

async fn odd_ids(store: &Store, tenant: &str) {
    for id in
        ["a/b", "'; DROP TABLE users; --", "\" OR 1=1", "$1", "?", "%", "蜜🐝", "../../etc/passwd"]
    {
        let user = User { id: id.into(), fields: "{}".into(), comment: id.into() };
        store
            .change(Change::Users { tenant: tenant.into(), users: vec![user.clone()] })
            .await
            .unwrap();
        assert_eq!(store.user(tenant, id).await.unwrap(), Some(user));
        events(store, tenant, vec![event(id, id, id, 1)], Repeat::Keep).await;
        assert_eq!(store.history((tenant, id), NOW, 5).await.unwrap().len(), 1, "{id}");
    }
    for id in ["", "a\0b", &"x".repeat(10_000)] {
        let users = vec![User { id: id.into(), fields: "{}".into(), comment: String::new() }];
        let refused = store.change(Change::Users { tenant: tenant.into(), users }).await;
        assert!(matches!(refused, Err(Error::Id { .. })), "{id}");
    }
}

/// What a training asks: what happened since, and who is gone.
async fn since(store: &Store, tenant: &str) {
    let n = store.events_after(tenant, 0).await.unwrap();
    let told = vec![event("s1", "leaves", "p1", 1), event("s2", "stays", "p1", 1)];
    events(store, tenant, told, Repeat::Keep).await;
    assert_eq!(store.events_after(tenant, 0).await.unwrap(), n + 2);
    assert_eq!(store.events_after(tenant, i64::MAX).await.unwrap(), 0);
    let change = Change::EraseUser { tenant: tenant.into(), id: "leaves".into(), time: 7 };
    store.change(change).await.unwrap();
    let first = store.erased_since_ever((tenant, "user"), "", 1).await.unwrap();
    assert_eq!((first.rows.len(), first.cursor.as_str()), (1, "gone"));
    let rest = store.erased_since_ever((tenant, "user"), "gone", 2).await.unwrap();
    assert_eq!((rest.rows, rest.cursor), (vec![("leaves".to_owned(), 7)], String::new()));
}

async fn erasure(store: &Store, tenant: &str) {
    events(
        store,
        tenant,
        vec![event("e1", "gone", "p0", 1), event("e2", "stays", "p0", 1)],
        Repeat::Keep,
    )
    .await;
    let change = Change::EraseUser { tenant: tenant.into(), id: "gone".into(), time: 7 };
    assert_eq!(store.change(change).await.unwrap().rows, 1);
    assert!(store.history((tenant, "gone"), NOW, 9).await.unwrap().is_empty());
    assert_eq!(store.erased_user(tenant, "gone").await.unwrap(), Some(7));
    assert_eq!(store.erased_user(tenant, "stays").await.unwrap(), None);
    let change = Change::EraseItem { tenant: tenant.into(), id: "p0".into(), time: 8 };
    assert_eq!(store.change(change).await.unwrap().rows, 2);
    assert_eq!(store.barred(tenant).await.unwrap().len(), 2);
    // What is put back may be recommended again.
    store
        .change(Change::Items { tenant: tenant.into(), items: vec![item("p0", false, 1)] })
        .await
        .unwrap();
    assert_eq!(store.erased_item(tenant, "p0").await.unwrap(), None);
    let drop = Change::DropEvents {
        tenant: tenant.into(),
        kind: Some("buy".into()),
        user: "u".into(),
        item: "k".into(),
    };
    assert_eq!(store.change(drop).await.unwrap().rows, 0);
}

async fn keys(store: &Store, tenant: &str) {
    let key = NewKey::new(tenant, "mine", Scope::Write, 3).unwrap();
    store.change(Change::Key(key.record.clone())).await.unwrap();
    let find = async || -> KeyRecord {
        let keys = store.keys().await.unwrap();
        keys.into_iter().find(|known| known.id == key.record.id).unwrap()
    };
    assert_eq!(find().await, key.record);
    assert!(find().await.opens(&key.secret));
    let revoke = || Change::RevokeKey { id: key.record.id.clone(), time: 9 };
    assert_eq!(store.change(revoke()).await.unwrap().rows, 1);
    assert_eq!(store.change(revoke()).await.unwrap().rows, 0);
    assert!(!find().await.opens(&key.secret));
}

async fn shown(store: &Store, tenant: &str) {
    let list = |n: usize| Shown {
        tenant: tenant.into(),
        id: format!("s{n}"),
        time: 1,
        user: "u".into(),
        model: "fused".into(),
        request: "{}".into(),
        list: "[]".into(),
        experiment: String::new(),
        arm: String::new(),
        chances: String::new(),
    };
    for n in 0..40 {
        assert!(store.offer(Change::Shown(vec![list(n)])));
    }
    store.flush().await.unwrap();
    assert_eq!(store.shown(tenant, "s39").await.unwrap(), Some(list(39)));
    assert_eq!(store.shown(tenant, "s40").await.unwrap(), None);
    assert!(store.change(Change::ForgetShown { before: 2 }).await.unwrap().rows >= 40);
    assert_eq!(store.lost(), 0);
}

async fn tenants(store: &Store, tenant: &str) {
    let other = format!("{tenant}-other");
    assert_eq!(store.counts(&other).await.unwrap(), [0; 4]);
    assert_eq!(events(store, &other, vec![event("a", "u", "i", 5)], Repeat::Keep).await, [true]);
    assert_eq!(store.history((&other, "u"), NOW, 9).await.unwrap().len(), 1);
    assert_eq!(store.history((tenant, "u"), NOW, 9).await.unwrap().len(), 2);
}

/// Changes that come at the same time share a commit, and one that fails does not take the others with it.
async fn groups(store: &Store, tenant: &str) {
    let before = store.commits();
    let key = NewKey::new(tenant, "double", Scope::Read, 3).unwrap();
    let mut running = Vec::new();
    for n in 0..200 {
        let (store, tenant, key) = (store.clone(), tenant.to_owned(), key.record.clone());
        running.push(tokio::spawn(async move {
            let events = vec![event(&format!("g{n}"), "grouped", "i", n)];
            let written =
                store.change(Change::Events { tenant, events, repeat: Repeat::Keep }).await;
            // The second key with the same id is refused by the database itself.
            let key =
                if n % 50 == 0 { Some(store.change(Change::Key(key)).await.is_ok()) } else { None };
            (written.unwrap().rows, key)
        }));
    }
    let (mut rows, mut keys) = (0, 0);
    for running in running {
        let (row, key) = running.await.unwrap();
        rows += row;
        keys += i32::from(key == Some(true));
    }
    assert_eq!((rows, keys), (200, 1));
    assert!(store.commits() - before < 150, "{} commits", store.commits() - before);
    assert_eq!(store.history((tenant, "grouped"), NOW, 500).await.unwrap().len(), 200);
}
