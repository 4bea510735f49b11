//! The routes of the dashboard, a part of the list of all.

use axum::http::{Method, StatusCode};
use tastemaker_store::Scope::{Admin, Read};

use super::{assets, audience, browse, failures, history, runs, series, settings};
use crate::routes::Route;

fn get(path: &'static str) -> (Method, &'static str) {
    (Method::GET, path)
}

/// Lists them.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(None, get("/"), assets::redirect)
            .says("Leads to the dashboard")
            .with_status(StatusCode::TEMPORARY_REDIRECT),
        Route::new(None, get("/dashboard"), assets::redirect)
            .says("Leads to the dashboard")
            .with_status(StatusCode::TEMPORARY_REDIRECT),
        Route::new(None, get("/dashboard/"), assets::index)
            .says("Pages for people")
            .or_bare(&[StatusCode::NOT_MODIFIED]),
        Route::new(None, get("/dashboard/{file}"), assets::file)
            .says("What the pages are made of")
            .or_bare(&[StatusCode::NOT_MODIFIED]),
        Route::new(Read, get("/v1/stats/series"), series::show)
            .says("What the server did within the last hour, as `/metrics` counts it")
            .asks(&["since"])
            .gives::<series::SeriesAnswer>(),
        Route::new(Read, get("/v1/browse/users"), browse::users)
            .says("Users of the store, and then those of the model's data alone, page by page")
            .asks(browse::ASKS)
            .gives::<browse::UserRows>(),
        Route::new(Read, get("/v1/browse/items"), browse::items)
            .says("Items of the store, and then those of the model's data alone, page by page")
            .asks(browse::ASKS)
            .gives::<browse::ItemRows>(),
        Route::new(Read, get("/v1/users/{user_id}/history"), history::show)
            .says("What a user did, newest first: in the model's data and in the store")
            .asks(&["n"])
            .gives::<history::HistoryAnswer>(),
        Route::new(Read, get("/v1/items/{item_id}/audience"), audience::show)
            .says("Users of the model's data, evenly chosen, who get an item, those it suits best first")
            .asks(&["n", "within", "sample"])
            .gives::<audience::AudienceAnswer>(),
        Route::new(Read, get("/v1/models/runs"), runs::show)
            .says("The models there are, with what they were made of and how their trainings went")
            .gives::<runs::RunsAnswer>(),
        Route::new(Admin, get("/v1/settings"), settings::show)
            .says("The settings of the server and of its model, with what they are for")
            .gives::<settings::SettingsAnswer>(),
        Route::new(Admin, get("/v1/failures"), failures::show)
            .says("The last requests that failed or were turned away, and warnings")
            .gives::<failures::FailuresAnswer>(),
    ]
}
