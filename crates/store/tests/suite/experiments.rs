//! Experiments and what counts for them.

use tastemaker_store::{
    Change, Event, Experiment, Participant, Participants, Repeat, Shown, Store, new_id,
};

const HOUR: i64 = 3_600_000;

fn experiment(tenant: &str, name: &str, started: i64) -> Experiment {
    let (tenant, name) = (tenant.to_owned(), name.to_owned());
    Experiment { tenant, name, definition: "{}".into(), started, ended: 0, results: String::new() }
}

fn list(tenant: &str, id: &str, (user, time): (&str, i64), arm: &str) -> Shown {
    Shown {
        tenant: tenant.into(),
        id: id.into(),
        time,
        user: user.into(),
        model: "m".into(),
        request: "{}".into(),
        list: "[]".into(),
        experiment: if arm.is_empty() { String::new() } else { "e".into() },
        arm: arm.into(),
        chances: String::new(),
    }
}

fn event(id: &str, (user, kind): (&str, &str), (list, time): (&str, i64)) -> Event {
    Event {
        id: id.into(),
        user: user.into(),
        item: format!("of-{id}"),
        kind: kind.into(),
        value: 1.0,
        time,
        recommendation: list.into(),
        comment: String::new(),
        detail: "{}".into(),
    }
}

async fn tell(store: &Store, tenant: &str, events: Vec<Event>) {
    let change = Change::Events { tenant: tenant.into(), events, repeat: Repeat::Keep };
    store.change(change).await.unwrap();
}

async fn participants(store: &Store, of: &Participants<'_>) -> Vec<Participant> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = store.participants(of, &cursor, 2).await.unwrap();
        all.extend(page.rows);
        cursor = page.cursor;
        if cursor.is_empty() {
            return all;
        }
    }
}

pub(crate) async fn keep_the_contract(store: &Store) {
    let tenant = new_id(4);
    one_runs_at_a_time(store, &tenant).await;
    an_event_counts_for_the_list_it_names(store, &tenant).await;
    lists_of_what_runs_are_not_forgotten(store, &tenant).await;
    drawn_lists_are_found_with_what_was_taken(store, &new_id(5)).await;
}

async fn begin(store: &Store, tenant: &str, (name, started): (&str, i64)) -> u64 {
    let change = Change::Begin(experiment(tenant, name, started));
    store.change(change).await.unwrap().rows
}

async fn one_runs_at_a_time(store: &Store, tenant: &str) {
    assert_eq!(store.running_experiment(tenant).await.unwrap(), None);
    assert_eq!(begin(store, tenant, ("d", 1)).await, 1);
    assert_eq!(begin(store, tenant, ("e", 2)).await, 0, "d runs");
    let d = experiment(tenant, "d", 1);
    assert_eq!(store.running_experiment(tenant).await.unwrap(), Some(d.clone()));
    an_end_is_an_end(store, tenant, d).await;
    assert_eq!(begin(store, tenant, ("d", 3)).await, 0, "a name is used once");
    assert_eq!(begin(store, tenant, ("e", 4)).await, 1);
    let names = store.experiments(tenant, 9).await.unwrap();
    assert_eq!(names.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["e", "d"]);
    assert_eq!(store.experiments(&format!("{tenant}-x"), 9).await.unwrap(), []);
}

async fn an_end_is_an_end(store: &Store, tenant: &str, mut ended: Experiment) {
    let end = async |ended| store.change(Change::End(ended)).await.unwrap().rows;
    ended.ended = 5;
    assert_eq!(end(ended.clone()).await, 1);
    ended.results = "[]".into();
    assert_eq!(end(ended.clone()).await, 1, "what came of it");
    assert_eq!(end(Experiment { ended: 6, ..ended.clone() }).await, 0, "it has ended already");
    assert_eq!(store.experiment(tenant, "d").await.unwrap(), Some(ended));
}

/// Participants last an hour, and what is known ends at the third.
async fn an_event_counts_for_the_list_it_names(store: &Store, tenant: &str) {
    let other = format!("{tenant}-other");
    let lists = vec![
        list(tenant, "a1", ("a", 0), "x"),
        list(tenant, "a2", ("a", HOUR), "x"),
        list(tenant, "a3", ("a", HOUR + 1), "x"),
        list(tenant, "b1", ("b", 5), "y"),
        list(tenant, "c1", ("c", 7), "y"),
        list(tenant, "d1", ("d", 8), ""),
        list(tenant, "late", ("late", 3 * HOUR + 1), "x"),
        list(&other, "o1", ("a", 0), "x"),
    ];
    store.change(Change::Shown(lists)).await.unwrap();
    let events = vec![
        event("1", ("a", "click"), ("a1", 1)),
        event("2", ("a", "buy"), ("a1", 2)),
        event("3", ("a", "impression"), ("a1", 1)),
        event("4", ("a", "click"), ("a2", HOUR)),
        event("too late", ("a", "click"), ("a2", HOUR + 1)),
        event("of a list after the window", ("a", "click"), ("a3", HOUR + 1)),
        event("before its list", ("b", "click"), ("b1", 4)),
        event("of somebody else", ("b", "click"), ("c1", 9)),
        event("of no experiment", ("d", "click"), ("d1", 9)),
        event("of another tenant", ("b", "click"), ("o1", 9)),
        event("of no list", ("b", "click"), ("", 9)),
    ];
    tell(store, tenant, events).await;
    tell(
        store,
        &other,
        vec![event("1", ("a", "click"), ("o1", 1)), event("2", ("b", "click"), ("b1", 6))],
    )
    .await;
    let row = |user: &str,
               arm: &str,
               (began, lists): (i64, i64),
               [taken, impressions, successes]: [i64; 3]| Participant {
        user: user.into(),
        arm: arm.into(),
        began,
        lists,
        taken,
        impressions,
        successes,
    };
    let of = Participants { tenant, experiment: "e", lasts: HOUR, kinds: &[], until: 3 * HOUR };
    let nothing = |user, began| row(user, "y", (began, 1), [0; 3]);
    let all = [row("a", "x", (0, 2), [2, 1, 3]), nothing("b", 5), nothing("c", 7)];
    assert_eq!(participants(store, &of).await, all);
    let kinds = ["buy".to_owned(), "rent".to_owned()];
    let bought = participants(store, &Participants { kinds: &kinds, ..of }).await;
    assert_eq!(bought[0], row("a", "x", (0, 2), [1, 1, 1]));
    assert_eq!(participants(store, &Participants { experiment: "none", ..of }).await, []);
    assert_eq!(participants(store, &Participants { experiment: "", ..of }).await, []);
    assert_eq!(
        participants(store, &Participants { tenant: &other, ..of }).await,
        [row("a", "x", (0, 1), [1, 0, 1])]
    );
    let erase = Change::EraseUser { tenant: tenant.into(), id: "a".into(), time: 9 };
    store.change(erase).await.unwrap();
    assert_eq!(participants(store, &of).await, [nothing("b", 5), nothing("c", 7)]);
}

async fn lists_of_what_runs_are_not_forgotten(store: &Store, tenant: &str) {
    store.change(Change::ForgetShown { before: HOUR }).await.unwrap();
    assert!(store.shown(tenant, "b1").await.unwrap().is_some(), "e runs");
    assert!(store.shown(tenant, "d1").await.unwrap().is_none());
    let ended = Experiment { ended: 9, ..experiment(tenant, "e", 4) };
    store.change(Change::End(ended)).await.unwrap();
    store.change(Change::ForgetShown { before: HOUR }).await.unwrap();
    assert!(store.shown(tenant, "b1").await.unwrap().is_none());
}

async fn drawn_lists_are_found_with_what_was_taken(store: &Store, tenant: &str) {
    let drawn =
        |id: &str, time| Shown { chances: "[0.5]".into(), ..list(tenant, id, ("u", time), "") };
    let session = Shown { user: String::new(), ..drawn("s", 3) };
    let lists = vec![
        drawn("old", 0),
        drawn("k1", 1),
        drawn("k2", 2),
        drawn("new", 3),
        session,
        list(tenant, "plain", ("u", 3), ""),
    ];
    store.change(Change::Shown(lists)).await.unwrap();
    let events = vec![
        event("1", ("u", "click"), ("k1", 1)),
        event("2", ("u", "buy"), ("k1", 2)),
        event("3", ("u", "impression"), ("k2", 2)),
        event("4", ("u", "click"), ("k2", 2 + HOUR + 1)),
    ];
    tell(store, tenant, events).await;
    let found = async |kinds: &[String], n| {
        let lists = store.drawn((tenant, (1, 2)), (kinds, HOUR), n).await.unwrap();
        let lists = lists.into_iter().map(|(list, mut taken)| {
            taken.sort_unstable();
            (list.id, taken)
        });
        lists.collect::<Vec<_>>()
    };
    let k1 = ("k1".to_owned(), vec!["of-1".to_owned(), "of-2".to_owned()]);
    assert_eq!(found(&[], 9).await, [("k2".to_owned(), vec![]), k1]);
    assert_eq!(found(&["buy".into()], 9).await[1].1, ["of-2"]);
    assert_eq!(found(&[], 1).await.len(), 1);
}
