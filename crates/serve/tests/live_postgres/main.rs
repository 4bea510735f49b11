//! The server from outside, on a Postgres: the same tests as `api`, each in a schema of its own.
//! `TASTEMAKER_TEST_POSTGRES=postgres://… cargo test -p tastemaker-serve --features live`.

#[path = "../api/main.rs"]
mod live_postgres;

use live_postgres::home;
