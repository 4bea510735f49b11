//! Pages for people, and what they ask for beside the API. The pages themselves lie in `crates/serve/dashboard` and are part of the
//! program.

mod assets;
mod audience;
mod browse;
mod course;
mod failures;
mod history;
mod routes;
mod runs;
mod series;
mod settings;

pub(crate) use failures::Failures;
pub(crate) use routes::routes;
pub(crate) use series::Series;
