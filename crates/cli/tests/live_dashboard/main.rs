//! The dashboard in a real browser: every page by clicks and by keys, models promoted and brought back, keys, and ids that would do harm
//! if they were read as markup. Needs Debian's `chromium` and `chromium-driver`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

mod browser;
#[path = "../black_box/home.rs"]
#[expect(dead_code, reason = "it serves more tests than these")]
mod home;
#[path = "../black_box/long/serving/server.rs"]
mod server;
mod stage;

use serde_json::json;

use browser::{ENTER, ESCAPE, TAB};
use home::Home;
use stage::{Stage, two_models};

const SERVED: [&str; 4] = ["--model", "models/default/one", "--models", "models"];
const HOSTILE: &str = "\"><script>window.harm=1</script><img src=x onerror='window.harm=1'> / ü 的";

#[test]
fn every_page_opens_by_click_and_nothing_leaves_the_server() {
    let stage = Stage::new(two_models(), &SERVED);
    let page = &stage.browser;
    page.open(&format!("{}/", stage.origin));
    stage.is_at("overview");
    page.wait_for_text("one@");
    assert_eq!(page.run("return location.pathname"), "/dashboard/");
    assert_eq!(page.run("return document.querySelectorAll('.chart svg').length"), 4);
    // A user with a history, and a list with reasons.
    stage.go("users");
    page.write("#user-search", "u1");
    page.click("form.bar button");
    page.click(".found tbody th a");
    stage.is_at("users");
    page.wait("document.querySelectorAll('.history li').length > 3");
    page.wait("document.querySelectorAll('.side-list .items li').length === 10");
    page.wait("document.querySelector('.items .reason').textContent.length > 10");
    page.write("#user-filter", "nonsense ==");
    page.click(".columns form.bar button");
    page.wait_for_text("bad-filter");
    // An item, what is like it, and who gets it.
    stage.go("items");
    page.click(".found tbody th a");
    page.wait("document.querySelectorAll('.items li').length === 10");
    page.click(".audience button");
    page.wait_for_text("users of the model's data were looked at");
    // A new item.
    stage.go("items");
    page.click("a[href='#/add-item']");
    stage.is_at("add-item");
    page.write("[name=id]", "brand-new");
    page.write("[name=field-0]", "Something new");
    page.click("form.stack button");
    page.wait_for_text("No loaded model can read it before the next training.");
    // Questions put together by hand: a session, then words.
    stage.go("try");
    page.write("[name=user]", "u1");
    page.click("form.stack > .buttons button");
    page.wait("document.querySelectorAll('.outcome .items li').length === 10");
    page.click("[value=session]");
    page.write("#session-search", &format!("i{ENTER}"));
    page.click(".found-items button");
    page.click("form.stack > .buttons button");
    page.wait("document.querySelector('.outcome .command').textContent.includes('\"history\":[')");
    page.click("[value=words]");
    page.wait("document.querySelector('[name=filter]').closest('[hidden]')");
    for (name, text) in [
        ("models", "two"),
        ("settings", "models.item-knn"),
        ("failures", "Nothing has failed"),
        ("api", "/v1/recommend"),
    ] {
        stage.go(name);
        page.wait_for_text(text);
    }
    // A route tried from its own documentation.
    page.write("#route-search", "/v1/stats");
    page.click("details.route summary");
    page.click("details.route form button");
    page.wait_for_text("\"tenant\": \"default\"");
    page.write("#search-box", &format!("u1{ENTER}"));
    stage.is_at("find");
    // The bad filter.
    stage.is_clean(&["422"]);
}

#[test]
fn ids_and_titles_are_text_whatever_they_hold() {
    let stage = Stage::new(two_models(), &SERVED);
    let page = &stage.browser;
    let long = format!("{HOSTILE}{}", "x".repeat(10_000));
    let item = json!({ "items": [{ "item_id": HOSTILE, "fields": { "title": long } }] });
    assert_eq!(stage.send(("POST", "/v1/items"), &item), 200);
    let event = json!({ "user_id": HOSTILE, "item_id": HOSTILE, "event_type": HOSTILE });
    assert_eq!(stage.send(("POST", "/v1/events"), &event), 200);
    page.open(&format!("{}/dashboard/#/items", stage.origin));
    stage.is_at("items");
    page.write("#item-search", "window.harm");
    page.click("form.bar button");
    page.wait("document.querySelectorAll('.found tbody tr').length === 1");
    page.click(".found tbody th a");
    page.wait(&format!("document.querySelector('h1')?.textContent === {}", json!(long)));
    assert_eq!(page.run("return document.querySelector('.title .id').textContent"), HOSTILE);
    stage.go("users");
    page.click(".found tbody th a");
    page.wait(&format!("document.querySelector('h1 .id')?.textContent === {}", json!(HOSTILE)));
    page.wait(&format!(
        "document.querySelector('.history .chip')?.textContent === {}",
        json!(HOSTILE)
    ));
    page.wait(&format!("document.querySelector('.history a')?.textContent === {}", json!(long)));
    // A page that is too wide would have to be pushed about.
    assert_eq!(page.run("return document.documentElement.scrollWidth <= innerWidth"), true);
    page.write("#search-box", &format!("{HOSTILE}{ENTER}"));
    stage.is_at("find");
    page.wait("document.querySelectorAll('.find tbody tr').length === 2");
    assert_eq!(page.run("return typeof window.harm"), "undefined");
    assert_eq!(page.run("return document.querySelectorAll('main img, main script').length"), 0);
    // No model knows what is like an item that is new.
    stage.is_clean(&["/v1/similar/"]);
}

#[test]
fn a_model_is_promoted_compared_and_brought_back() {
    let stage = Stage::new(two_models(), &SERVED);
    let page = &stage.browser;
    page.open(&format!("{}/dashboard/#/models", stage.origin));
    stage.is_at("models");
    assert_eq!(page.run("return document.querySelector('#roll-back').disabled"), true);
    page.wait("document.querySelectorAll('.training .chart').length === 2");
    // Who does not confirm changes nothing.
    page.click("[aria-label='Promote two']");
    page.wait("document.querySelector('dialog[open]')");
    page.press(ESCAPE);
    page.wait("!document.querySelector('dialog')");
    page.click("[aria-label='Promote two']");
    page.click("dialog .go");
    page.wait("document.querySelector('.done')?.textContent.startsWith('two@')");
    stage.go("users");
    page.click(".found tbody th a");
    page.wait("document.querySelectorAll('.side-list .items').length === 2");
    page.wait("document.querySelectorAll('.side-list:nth-child(2) .move').length === 10");
    // The new model reads texts: an item it never saw is told with those who get it.
    stage.go("items");
    page.click("a[href='#/add-item']");
    stage.is_at("add-item");
    page.write("[name=id]", "brand-new");
    let title = stage.home.read("items.csv").lines().nth(1).unwrap().to_owned();
    page.write("[name=field-0]", &title);
    page.click("form.stack button");
    page.wait_for_text("The model reads it now.");
    page.wait_for_text("users of the model's data were looked at");
    page.wait("document.querySelector('.outcome .audience, .outcome table tbody tr')");
    stage.go("models");
    page.click("#roll-back");
    page.click("dialog .go");
    page.wait("document.querySelector('.done')?.textContent.startsWith('one@')");
    assert_eq!(stage.home.read("models/default/active"), "one");
    // Whether the new item can be recommended already was asked before it could.
    stage.is_clean(&["/v1/similar/brand-new"]);
}

#[test]
fn a_training_is_begun_and_what_came_of_it_is_told() {
    let stage = Stage::new(two_models(), &SERVED);
    let page = &stage.browser;
    page.open(&format!("{}/dashboard/#/models", stage.origin));
    stage.is_at("models");
    page.wait_for_text("There was none yet.");
    page.click("#train-anew");
    page.click("dialog .go");
    page.wait("document.querySelector('#train-anew').disabled");
    // Nobody did anything since: nothing can be judged, and nothing is promoted.
    page.wait("document.querySelector('.chip.done')");
    page.wait("!document.querySelector('#train-anew').disabled");
    page.wait_for_text("somebody asked");
    assert_eq!(page.run("return document.querySelectorAll('.cancel, .chip.failed').length"), 0);
    // The new model is among all others without loading the page again.
    page.wait("document.querySelectorAll('.promote').length === 2");
    stage.is_clean(&[]);
}

#[test]
fn the_keyboard_is_enough() {
    let stage = Stage::new(Home::new(), &[]);
    let page = &stage.browser;
    page.open(&format!("{}/dashboard/", stage.origin));
    stage.is_at("overview");
    page.wait_for_text("No model answers yet");
    for (keys, at) in [
        ("gu", "users"),
        ("gi", "items"),
        ("gt", "try"),
        ("gm", "models"),
        ("gc", "settings"),
        ("gf", "failures"),
        ("ga", "api"),
        ("go", "overview"),
    ] {
        page.press(keys);
        stage.is_at(at);
        assert_eq!(page.run("return document.activeElement.tagName"), "H1", "{at}");
    }
    page.press("?");
    page.wait("document.querySelector('dialog[open]')?.innerText.includes('Go to users')");
    page.press(ESCAPE);
    page.wait("!document.querySelector('dialog')");
    page.press("/nobody");
    page.wait("document.activeElement.value === 'nobody'");
    page.press(ENTER);
    stage.is_at("find");
    page.wait_for_text("Nobody has an id like that.");
    // The first stop leads past the frame.
    page.run("document.body.tabIndex = -1; document.body.focus()");
    page.press(TAB);
    page.wait("document.activeElement.className === 'skip'");
    page.press(ENTER);
    page.wait("document.activeElement.id === 'main'");
    page.click("#theme");
    assert_eq!(page.run("return document.documentElement.dataset.theme"), "dark");
    stage.is_clean(&[]);
}

#[test]
fn a_key_is_asked_for_once_and_kept_for_the_tab() {
    let home = Home::new();
    let made: serde_json::Value = serde_json::from_str(
        &home.run(["keys", "create", "--scope", "read", "--format", "json"]).good(),
    )
    .unwrap();
    let stage = Stage::new(home, &[]);
    let page = &stage.browser;
    page.open(&format!("{}/dashboard/", stage.origin));
    page.write("dialog [name=key]", &format!("tm_nonsense{ENTER}"));
    page.wait_for_text("That key is not valid.");
    assert_eq!(page.run("return document.querySelectorAll('dialog').length"), 1);
    page.write("dialog [name=key]", &format!("{}{ENTER}", made["key"].as_str().unwrap()));
    stage.is_at("overview");
    page.wait_for_text("default · read");
    page.run("window.isOld = true; location.reload()");
    page.wait("!window.isOld");
    stage.is_at("overview");
    assert_eq!(page.run("return document.querySelector('dialog')"), json!(null));
    assert_eq!(page.run("return localStorage.length"), 0);
    let complaints = page.complaints();
    assert!(complaints.iter().all(|line| line.contains("401")), "{complaints:?}");
    // What the key may not do is said, with the request it was.
    stage.go("failures");
    page.wait_for_text("it takes one with the scope `admin`");
    page.wait("document.querySelector('.trouble .request-id').textContent.length > 10");
}
