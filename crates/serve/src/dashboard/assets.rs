//! The files of the pages, out of the program itself: nothing is fetched from elsewhere.

use std::future::{Ready, ready};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};

use crate::Error;
use crate::call::{Answer, Call};

/// Where the pages begin.
const HOME: &str = "/dashboard/";
/// Only what this server sends is run, shown or asked.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Kept, but asked about each time: a newer server has newer pages.
const CACHE: &str = "no-cache";

const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($(($kind:ident, $name:literal)),* $(,)?) => {
        [$(($name, $kind, include_str!(concat!("../../dashboard/", $name)))),*]
    };
}

/// Name, kind and content of every file.
const FILES: [(&str, &str, &str); 22] = files![
    (HTML, "index.html"),
    (CSS, "style.css"),
    (SVG, "icon.svg"),
    (JS, "theme.js"),
    (JS, "app.js"),
    (JS, "api.js"),
    (JS, "chart.js"),
    (JS, "client.js"),
    (JS, "dialogs.js"),
    (JS, "dom.js"),
    (JS, "failures.js"),
    (JS, "find.js"),
    (JS, "items.js"),
    (JS, "jobs.js"),
    (JS, "keyboard.js"),
    (JS, "lists.js"),
    (JS, "models.js"),
    (JS, "overview.js"),
    (JS, "settings.js"),
    (JS, "table.js"),
    (JS, "try.js"),
    (JS, "users.js"),
];

/// `GET /` and `GET /dashboard`.
pub(super) fn redirect(_: Call) -> Ready<Result<Answer, Error>> {
    let answer = Answer::text("text/plain; charset=utf-8", HOME.into());
    let to = (header::LOCATION, HeaderValue::from_static(HOME));
    ready(Ok(answer.with_status(StatusCode::TEMPORARY_REDIRECT).with_headers([to])))
}

/// `GET /dashboard/`.
pub(super) fn index(call: Call) -> Ready<Result<Answer, Error>> {
    ready(named("index.html", known(&call)))
}

/// `GET /dashboard/{file}`.
pub(super) fn file(call: Call) -> Ready<Result<Answer, Error>> {
    ready(named(call.part("file"), known(&call)))
}

/// What the sender has already, by its tags.
fn known(call: &Call) -> Option<&str> {
    call.headers.get(header::IF_NONE_MATCH)?.to_str().ok()
}

fn named(name: &str, known: Option<&str>) -> Result<Answer, Error> {
    let (_, kind, content) =
        FILES.iter().find(|(known, ..)| *known == name).ok_or(Error::NoRoute)?;
    let tag = tag(content);
    let is_known = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let answer = if is_known {
        Answer::text(kind, String::new()).with_status(StatusCode::NOT_MODIFIED)
    } else {
        Answer::text(kind, (*content).to_owned())
    };
    let tag = HeaderValue::from_str(&tag).map_err(|_| Error::Failed)?;
    let fixed: [(HeaderName, &str); 2] =
        [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, CACHE)];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok(answer.with_headers(fixed).with_headers([(header::ETAG, tag)]))
}

/// Names a content. Weak, because it is the same for every compression.
fn tag(content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("W/\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_page_names_is_there_and_none_names_another_origin() {
        for (name, kind, content) in FILES {
            assert!(!content.contains("innerHTML"), "{name} puts text where markup is read");
            let quoted = content.split(['"', '\'']).filter(|text| text.starts_with("./"));
            for path in quoted.filter(|_| kind != CSS) {
                let file = path.trim_start_matches("./");
                assert!(FILES.iter().any(|(known, ..)| *known == file), "{name}: {path}");
            }
            let elsewhere = content.match_indices("://").map(|(at, _)| &content[..at]);
            let schemes =
                elsewhere.filter(|before| before.ends_with("http") || before.ends_with("https"));
            let is_name = |before: &&str| {
                !before.ends_with("xmlns=\"http") && !before.ends_with("const SVG = 'http")
            };
            assert_eq!(schemes.filter(is_name).count(), 0, "{name} names another origin");
        }
    }
}
