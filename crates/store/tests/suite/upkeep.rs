//! Imports, word of other processes, and who changed what.

use tastemaker_store::{Act, Change, Error, Outside, Promotion, Repeat, Rows, Store, User, new_id};

use super::contract::{event, item};

/// The newest comes first, page by page, and nobody sees another's.
pub(super) async fn acts(store: &Store) {
    let (tenant, other) = (new_id(4), new_id(5));
    let act = |tenant: &str, time: i64| {
        Act::new(tenant, time, "open", "POST /v1/x").on(&format!("m{time}"))
    };
    for time in 1..=5 {
        store.change(Change::Act(act(&tenant, time))).await.unwrap();
    }
    store.change(Change::Act(act(&other, 9))).await.unwrap();
    let first = store.acts(&tenant, "", 3).await.unwrap();
    let times = |acts: &[Act]| acts.iter().map(|act| act.time).collect::<Vec<_>>();
    assert_eq!(times(&first.rows), [5, 4, 3]);
    assert_eq!((first.rows[0].subject.as_str(), first.rows[0].outcome.as_str()), ("m5", "done"));
    let rest = store.acts(&tenant, &first.cursor, 3).await.unwrap();
    assert_eq!((times(&rest.rows), rest.cursor.as_str()), (vec![2, 1], ""));
    let bad = Act::new("../a", 1, "open", "x");
    assert!(matches!(store.change(Change::Act(bad)).await, Err(Error::Tenant { .. })));
    assert!(store.change(Change::ForgetActs { before: 4 }).await.unwrap().rows >= 3);
    assert_eq!(times(&store.acts(&tenant, "", 9).await.unwrap().rows), [5, 4]);
    assert_eq!(times(&store.acts(&other, "", 9).await.unwrap().rows), [9]);
}

async fn import(store: &Store, tenant: &str, rows: Rows) -> (u64, u64) {
    let change = Change::Import { tenant: tenant.into(), rows };
    let applied = store.change(change).await.unwrap();
    (applied.rows, applied.left_out)
}

fn user(id: &str) -> User {
    User { id: id.into(), fields: "{}".into(), comment: String::new() }
}

/// A file brings back neither an erased user nor what was done before an erasure.
pub(super) async fn imported(store: &Store) {
    let tenant = new_id(6);
    let put = async |rows: Rows| import(store, &tenant, rows).await;
    let rows =
        || Rows::Events(vec![event("a", "gone", "i", 5), event("b", "u", "i", 5)], Repeat::Keep);
    assert_eq!(put(rows()).await, (2, 0));
    assert_eq!(put(rows()).await, (0, 0), "importing twice adds nothing");
    let erase = Change::EraseUser { tenant: tenant.clone(), id: "gone".into(), time: 7 };
    store.change(erase).await.unwrap();
    let later = vec![event("a", "gone", "i", 7), event("c", "gone", "i", 8)];
    assert_eq!(put(Rows::Events(later.clone(), Repeat::Later)).await, (1, 1));
    assert_eq!(put(Rows::Events(later, Repeat::Later)).await, (0, 1), "it is not later");
    assert_eq!(put(Rows::Users(vec![user("gone"), user("u")])).await, (1, 1));
    let erase = Change::EraseItem { tenant: tenant.clone(), id: "i".into(), time: 9 };
    store.change(erase).await.unwrap();
    assert_eq!(put(rows()).await, (0, 2));
    assert_eq!(put(Rows::Items(vec![item("i", false, 1)])).await, (1, 0), "put back");
}

/// Of each tenant the last promotion is known.
pub(super) async fn promoted(store: &Store) {
    let tenant = new_id(6);
    let promote = async |model: &str| {
        let (tenant, id) = (tenant.clone(), new_id(1));
        let promotion = Promotion { tenant, id, model: model.into(), time: 1 };
        store.change(Change::Promoted(promotion.clone())).await.unwrap();
        promotion
    };
    promote("one").await;
    let last = promote("two").await;
    let all = store.promotions().await.unwrap();
    let own: Vec<&Promotion> = all.iter().filter(|one| one.tenant == tenant).collect();
    assert_eq!(own, [&last]);
}

/// More ids than a statement takes are looked for in parts, and what cannot be kept is refused.
pub(super) async fn imported_by_the_hundred(store: &Store) {
    let tenant = new_id(8);
    let one = |n: i64| event(&format!("m{n}"), &format!("u{n}"), &format!("i{n}"), n);
    let many = (0..450).map(one).collect();
    assert_eq!(import(store, &tenant, Rows::Events(many, Repeat::Keep)).await, (450, 0));
    let rows = Rows::Users(vec![user("")]);
    let refused = store.change(Change::Import { tenant, rows }).await;
    assert!(matches!(refused, Err(Error::Id { .. })));
}

/// What a store that was opened beside another one writes is counted, and what the other writes is not.
pub(super) async fn told_outside(store: &Store, address: &str) {
    let tenant = new_id(7);
    let of = async |store: &Store| {
        let all = store.outside().await.unwrap();
        all.into_iter().find(|(name, _)| *name == tenant).map(|(_, outside)| outside)
    };
    let events = |id: &str| Change::Events {
        tenant: tenant.clone(),
        events: vec![event(id, "u", "i", 1)],
        repeat: Repeat::Keep,
    };
    store.change(events("own")).await.unwrap();
    assert_eq!(of(store).await, None);
    let beside = Store::open_beside(address).await.unwrap();
    beside.change(events("own")).await.unwrap();
    assert_eq!(of(store).await, Some(Outside { changes: 1, items: 0, events: 0 }));
    beside.change(events("new")).await.unwrap();
    let items = Rows::Items(vec![item("i", false, 1)]);
    beside.change(Change::Import { tenant: tenant.clone(), rows: items }).await.unwrap();
    assert_eq!(of(store).await, Some(Outside { changes: 3, items: 1, events: 1 }));
}
