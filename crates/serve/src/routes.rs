//! The list of routes, to be read at a glance. The router, the scopes, the metrics and the `OpenAPI` document all come from it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::{MethodFilter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use tastemaker_store::Scope;
use tower_http::compression::CompressionLayer;

use crate::api::{
    chat, events, explain, health, items, models, openai, recommend, rerank, similar, users,
};
use crate::call::{Answer, Call};
use crate::jobs::api as jobs;
use crate::live::App;
use crate::metrics::RouteMetrics;
use crate::{Error, audit, dashboard, door, experiments, gorse, mcp, openapi};

type Outcome = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;
type Handle = Box<dyn Fn(Call) -> Outcome + Send + Sync>;
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One method of one path.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// What a key must be allowed to; `None` needs no key.
    pub(crate) scope: Option<Scope>,
    pub(crate) summary: &'static str,
    /// What may stand behind the question mark.
    pub(crate) query: &'static [&'static str],
    pub(crate) takes: Option<SchemaOf>,
    pub(crate) gives: Option<SchemaOf>,
    /// The status of an answer that gives it.
    pub(crate) status: StatusCode,
    /// Statuses of answers that give nothing and are no failures.
    pub(crate) bare: &'static [StatusCode],
    /// It erases something, and who did it is noted.
    erases: bool,
    pub(crate) handle: Handle,
}

impl Route {
    pub(crate) fn new<F>(
        scope: impl Into<Option<Scope>>,
        at: (Method, &'static str),
        handle: fn(Call) -> F,
    ) -> Self
    where
        F: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        Self {
            method: at.0,
            path: at.1,
            scope: scope.into(),
            summary: "",
            query: &[],
            takes: None,
            gives: None,
            status: StatusCode::OK,
            bare: &[],
            erases: false,
            handle: Box::new(move |call| Box::pin(handle(call))),
        }
    }

    pub(crate) fn says(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    pub(crate) fn asks(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn or_bare(self, bare: &'static [StatusCode]) -> Self {
        Self { bare, ..self }
    }

    /// Tells whether the document names a status that is no failure.
    pub(crate) fn may_answer(&self, status: StatusCode) -> bool {
        status == self.status || self.bare.contains(&status)
    }

    fn erases(self) -> Self {
        Self { erases: true, ..self }
    }

    /// Tells whether it is noted who did it.
    pub(crate) fn is_noted(&self) -> bool {
        self.erases || (self.scope == Some(Scope::Admin) && self.method != Method::GET)
    }

    pub(crate) fn takes<T: JsonSchema>(self) -> Self {
        Self { takes: Some(SchemaGenerator::subschema_for::<T>), ..self }
    }

    pub(crate) fn gives<T: JsonSchema>(self) -> Self {
        Self { gives: Some(SchemaGenerator::subschema_for::<T>), ..self }
    }
}

const fn get(path: &'static str) -> (Method, &'static str) {
    (Method::GET, path)
}

const fn post(path: &'static str) -> (Method, &'static str) {
    (Method::POST, path)
}

const fn put(path: &'static str) -> (Method, &'static str) {
    (Method::PUT, path)
}

const fn patch(path: &'static str) -> (Method, &'static str) {
    (Method::PATCH, path)
}

const fn delete(path: &'static str) -> (Method, &'static str) {
    (Method::DELETE, path)
}

/// What may stand behind the question mark of a page.
const PAGE: &[&str] = &["n", "cursor"];

fn own() -> Vec<Route> {
    use Scope::{Admin, Read, Write};
    vec![
        Route::new(Read, post("/v1/recommend"), recommend::by_body)
            .says("A list for a user, a session, or a taste in words")
            .takes::<recommend::RecommendRequest>()
            .gives::<recommend::RecommendAnswer<'_>>(),
        Route::new(Read, get("/v1/recommend"), recommend::by_address)
            .says("The same, asked in the address; `history` and `exclude` are separated by commas")
            .asks(&["user_id", "history", "words", "n", "filter", "scenario", "exclude", "explain"])
            .gives::<recommend::RecommendAnswer<'_>>(),
        Route::new(Read, get("/v1/similar/{item_id}"), similar::answer)
            .says("Items like an item")
            .asks(&["n"])
            .gives::<similar::SimilarAnswer>(),
        Route::new(Read, post("/v1/chat"), chat::answer)
            .says("A turn of a talk in which items are recommended")
            .takes::<chat::ChatRequest>()
            .gives::<chat::ChatAnswer>(),
        Route::new(Read, get("/v1/explain/{recommendation_id}"), explain::answer)
            .says("A list that was shown, and the same question asked again with reasons")
            .gives::<explain::ExplainAnswer>(),
        Route::new(Write, post("/v1/events"), events::post)
            .says("One event or many; answered when they are on disk")
            .takes::<events::EventsRequest>()
            .gives::<events::EventsAnswer>(),
        Route::new(Read, get("/v1/events"), events::list)
            .says("Events, page by page")
            .asks(&["n", "cursor", "user_id", "item_id", "event_type"])
            .gives::<events::EventsPage>(),
        Route::new(Write, post("/v1/items"), items::post)
            .says("Many items")
            .takes::<items::ItemsRequest>()
            .gives::<items::ItemsAnswer>(),
        Route::new(Read, get("/v1/items"), items::list)
            .says("Items of the store, page by page")
            .asks(PAGE)
            .gives::<items::ItemsPage>(),
        Route::new(Write, put("/v1/items/{item_id}"), items::put)
            .says("One item, new or changed")
            .takes::<items::ItemIn>()
            .gives::<items::ItemReception>(),
        Route::new(Read, get("/v1/items/{item_id}"), items::show)
            .says("One item")
            .gives::<items::ItemOut>(),
        Route::new(Write, delete("/v1/items/{item_id}"), items::delete)
            .says("Removes an item with its events")
            .erases()
            .gives::<Value>(),
        Route::new(Read, get("/v1/search"), items::search)
            .says("Items whose title or text holds all words of `q`")
            .asks(&["q", "n"])
            .gives::<items::ItemsFound>(),
        Route::new(Read, get("/v1/models"), models::list)
            .says("The models: serving, previous, encoder")
            .gives::<models::ModelsAnswer>(),
        Route::new(Admin, post("/v1/models/promote"), models::promote)
            .says("Lets another model answer")
            .takes::<models::PromoteRequest>()
            .gives::<models::ModelOut>(),
        Route::new(Admin, post("/v1/models/rollback"), models::roll_back)
            .says("Goes back to the model before")
            .gives::<models::ModelOut>(),
        Route::new(Read, get("/v1/stats"), models::stats)
            .says("How much there is")
            .gives::<Value>(),
    ]
}

fn of_users() -> Vec<Route> {
    use Scope::{Read, Write};
    vec![
        Route::new(Write, post("/v1/users"), users::post)
            .says("Many users")
            .takes::<users::UsersRequest>()
            .gives::<users::UsersAnswer>(),
        Route::new(Read, get("/v1/users"), users::list)
            .says("Users of the store, page by page")
            .asks(PAGE)
            .gives::<users::UsersPage>(),
        Route::new(Write, put("/v1/users/{user_id}"), users::put)
            .says("One user, new or changed")
            .takes::<users::UserIn>()
            .gives::<users::UserOut>(),
        Route::new(Read, get("/v1/users/{user_id}"), users::show)
            .says("One user")
            .gives::<users::UserOut>(),
        Route::new(Write, delete("/v1/users/{user_id}"), users::delete)
            .says("Erases a user, and says what remains")
            .erases()
            .gives::<users::Erasure>(),
    ]
}

/// What clients and assistants of others ask for.
fn of_others() -> Vec<Route> {
    use Scope::Read;
    vec![
        Route::new(Read, post("/v1/embeddings"), openai::embeddings)
            .says("Texts to vectors, as OpenAI's clients ask for it")
            .takes::<openai::EmbeddingsRequest>()
            .gives::<openai::EmbeddingsAnswer>(),
        Route::new(Read, post("/v1/rerank"), rerank::answer)
            .says("Documents in order, as Cohere's and Jina's clients ask for it")
            .takes::<rerank::RerankRequest>()
            .gives::<rerank::RerankAnswer>(),
        Route::new(Read, post("/mcp"), mcp::http::post)
            .says("The Model Context Protocol: recommend, similar, explain, search_items, record_feedback as tools")
            .takes::<Value>()
            .gives::<Value>()
            .or_bare(&[StatusCode::ACCEPTED]),
    ]
}

fn long() -> Vec<Route> {
    use Scope::Admin;
    vec![
        Route::new(Admin, get("/v1/jobs"), jobs::list)
            .says("Trainings, newest first")
            .gives::<jobs::JobsAnswer>(),
        Route::new(Admin, post("/v1/jobs"), jobs::post)
            .says("Trains the model anew on what is known now, in a process beside this one")
            .takes::<jobs::JobRequest>()
            .gives::<jobs::Job>()
            .with_status(StatusCode::ACCEPTED),
        Route::new(Admin, get("/v1/jobs/{job_id}"), jobs::show)
            .says("One training")
            .gives::<jobs::Job>(),
        Route::new(Admin, delete("/v1/jobs/{job_id}"), jobs::cancel)
            .says("Ends a training")
            .gives::<jobs::Job>(),
        Route::new(Admin, get("/v1/audit"), audit::list)
            .says("Who changed what, newest first: acts of administrators, and erasures")
            .asks(PAGE)
            .gives::<audit::ActsPage>(),
    ]
}

fn experiments() -> Vec<Route> {
    use Scope::{Admin, Read};
    use experiments::{api, off_policy};
    vec![
        Route::new(Read, get("/v1/experiments"), api::list)
            .says("Experiments, the one that began last first")
            .asks(&["n"])
            .gives::<api::ExperimentsAnswer>(),
        Route::new(Admin, post("/v1/experiments"), api::post)
            .says("Draws users into arms with models and pipelines of their own from now on")
            .takes::<api::Definition>()
            .gives::<api::ExperimentOut>(),
        Route::new(Read, get("/v1/experiments/{name}"), api::show)
            .says("One experiment with its results, which may be looked at any time")
            .gives::<api::ExperimentOut>(),
        Route::new(Admin, post("/v1/experiments/{name}/stop"), api::stop)
            .says("Ends an experiment and writes its results down")
            .gives::<api::ExperimentOut>(),
        Route::new(Admin, post("/v1/off-policy"), off_policy::post)
            .says("What a policy would be worth that was not shown, from lists whose places were drawn")
            .takes::<off_policy::OffPolicyRequest>()
            .gives::<off_policy::OffPolicyAnswer>(),
    ]
}

fn watching() -> Vec<Route> {
    vec![
        Route::new(None, get("/health/live"), health::live)
            .says("The process answers")
            .gives::<Value>(),
        Route::new(None, get("/health/ready"), health::ready_to_answer)
            .says("The store answers too")
            .gives::<Value>(),
        // Gorse's clients look for health inside its prefix.
        Route::new(None, get("/api/health/live"), health::live)
            .says("The process answers")
            .gives::<Value>(),
        Route::new(None, get("/api/health/ready"), health::ready_to_answer)
            .says("The store answers too")
            .gives::<Value>(),
        Route::new(None, get("/metrics"), health::metrics)
            .says("What happened since the start, for Prometheus"),
        Route::new(None, get("/openapi.json"), openapi::show)
            .says("This document")
            .gives::<Value>(),
    ]
}

fn gorse_catalogue() -> Vec<Route> {
    use Scope::{Read, Write};
    use gorse::{Feedback, GorseItem, GorseUser, ItemPatch, RowAffected, UserPatch};
    use gorse::{feedback, items, users};
    vec![
        Route::new(Write, post("/api/user"), users::post)
            .takes::<GorseUser>()
            .gives::<RowAffected>(),
        Route::new(Write, post("/api/users"), users::post_many)
            .takes::<Vec<GorseUser>>()
            .gives::<RowAffected>(),
        Route::new(Read, get("/api/users"), users::list).asks(PAGE).gives::<Value>(),
        Route::new(Read, get("/api/user/{id}"), users::show).gives::<GorseUser>(),
        Route::new(Write, patch("/api/user/{id}"), users::patch)
            .takes::<UserPatch>()
            .gives::<RowAffected>(),
        Route::new(Write, delete("/api/user/{id}"), users::delete).erases().gives::<RowAffected>(),
        Route::new(Read, get("/api/user/{id}/feedback"), feedback::of_user)
            .gives::<Vec<Feedback>>(),
        Route::new(Read, get("/api/user/{id}/feedback/{kind}"), feedback::of_user)
            .gives::<Vec<Feedback>>(),
        Route::new(Write, post("/api/item"), items::post)
            .takes::<GorseItem>()
            .gives::<RowAffected>(),
        Route::new(Write, post("/api/items"), items::post_many)
            .takes::<Vec<GorseItem>>()
            .gives::<RowAffected>(),
        Route::new(Read, get("/api/items"), items::list)
            .asks(&["n", "cursor", "q"])
            .gives::<Value>(),
        Route::new(Read, get("/api/item/{id}"), items::show).gives::<GorseItem>(),
        Route::new(Write, patch("/api/item/{id}"), items::patch)
            .takes::<ItemPatch>()
            .gives::<RowAffected>(),
        Route::new(Write, delete("/api/item/{id}"), items::delete).erases().gives::<RowAffected>(),
        Route::new(Write, put("/api/item/{id}/category/{category}"), items::add_category)
            .gives::<RowAffected>(),
        Route::new(Write, delete("/api/item/{id}/category/{category}"), items::drop_category)
            .gives::<RowAffected>(),
        Route::new(Read, get("/api/item/{id}/feedback"), feedback::of_item)
            .gives::<Vec<Feedback>>(),
        Route::new(Read, get("/api/item/{id}/feedback/{kind}"), feedback::of_item)
            .gives::<Vec<Feedback>>(),
    ]
}

fn gorse_feedback() -> Vec<Route> {
    use Scope::{Read, Write};
    use gorse::{Feedback, RowAffected, feedback};
    vec![
        Route::new(Write, post("/api/feedback"), feedback::insert)
            .takes::<Vec<Feedback>>()
            .gives::<RowAffected>(),
        Route::new(Write, put("/api/feedback"), feedback::overwrite)
            .takes::<Vec<Feedback>>()
            .gives::<RowAffected>(),
        Route::new(Read, get("/api/feedback"), feedback::list).asks(PAGE).gives::<Value>(),
        Route::new(Read, get("/api/feedback/{a}"), feedback::list).asks(PAGE).gives::<Value>(),
        Route::new(Read, get("/api/feedback/{a}/{b}"), feedback::of_both).gives::<Vec<Feedback>>(),
        Route::new(Write, delete("/api/feedback/{a}/{b}"), feedback::drop_both)
            .gives::<RowAffected>(),
        Route::new(Read, get("/api/feedback/{a}/{b}/{c}"), feedback::show).gives::<Feedback>(),
        Route::new(Write, delete("/api/feedback/{a}/{b}/{c}"), feedback::delete)
            .gives::<RowAffected>(),
    ]
}

/// Clients put a category into the path or behind the question mark; in the path they end it with a stroke where there is none.
const LISTS: [[&str; 3]; 5] = [
    ["/api/recommend/{id}", "/api/recommend/{id}/", "/api/recommend/{id}/{category}"],
    ["/api/latest", "/api/latest/", "/api/latest/{category}"],
    ["/api/popular", "/api/popular/", "/api/popular/{category}"],
    [
        "/api/item/{id}/neighbors",
        "/api/item/{id}/neighbors/",
        "/api/item/{id}/neighbors/{category}",
    ],
    ["/api/session/recommend", "/api/session/recommend/", "/api/session/recommend/{category}"],
];

fn gorse_lists() -> Vec<Route> {
    use Scope::Read;
    use gorse::{Feedback, lists};
    const PART: &[&str] = &["n", "offset", "category"];
    let [recommend, latest, popular, neighbors, session] = LISTS;
    let mut routes = vec![
        Route::new(Read, get("/api/item-to-item/{name}/{id}"), lists::item_to_item),
        Route::new(Read, get("/api/non-personalized/{name}"), lists::non_personalized),
    ];
    routes.extend(latest.map(|path| Route::new(Read, get(path), lists::latest)));
    routes.extend(popular.map(|path| Route::new(Read, get(path), lists::popular)));
    routes.extend(neighbors.map(|path| Route::new(Read, get(path), lists::neighbors)));
    routes.extend(
        session.map(|path| Route::new(Read, post(path), lists::session).takes::<Vec<Feedback>>()),
    );
    let mut routes: Vec<Route> = routes.into_iter().map(|route| route.asks(PART)).collect();
    routes.extend(recommend.map(|path| {
        Route::new(Read, get(path), lists::recommend).asks(&[
            "n",
            "offset",
            "category",
            "write-back-type",
            "write-back-delay",
        ])
    }));
    routes.into_iter().map(Route::gives::<Value>).collect()
}

/// All routes; their order is that of the counts.
pub(crate) fn all() -> Vec<Route> {
    let gorse = gorse_catalogue().into_iter().chain(gorse_feedback()).chain(gorse_lists());
    let gorse = gorse.map(|route| route.says("As in Gorse"));
    let own = own()
        .into_iter()
        .chain(of_users())
        .chain(of_others())
        .chain(long())
        .chain(experiments())
        .chain(watching());
    own.chain(dashboard::routes()).chain(gorse).collect()
}

/// Makes a counter for every route.
pub(crate) fn counted() -> Vec<((String, &'static str), RouteMetrics)> {
    let counter = |route: Route| ((route.method.to_string(), route.path), RouteMetrics::default());
    all().into_iter().map(counter).collect()
}

/// Makes the router: for tests without a socket, and for [`run`](crate::run).
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (number, route) in all().into_iter().enumerate() {
        let route = Arc::new(route);
        let filter =
            MethodFilter::try_from(route.method.clone()).expect("routes have plain methods");
        let path = route.path;
        let handler = move |State(app): State<Arc<App>>, parts: door::Parts, request: Request| {
            door::pass(app, (number, route.clone()), parts, request)
        };
        router = router.route(path, on(filter, handler));
    }
    let refuse = |error: fn() -> Error| {
        move |State(app): State<Arc<App>>, headers: HeaderMap| async move {
            door::refuse(&app, &headers, error())
        }
    };
    router
        .fallback(refuse(|| Error::NoRoute))
        .method_not_allowed_fallback(refuse(|| Error::Method))
        .layer(CompressionLayer::new().gzip(true).zstd(true))
        .with_state(app)
}
