//! The suite of the store on a Postgres: `TASTEMAKER_TEST_POSTGRES=postgres://… cargo test -p tastemaker-store --features live`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod suite;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the address of a database under test is no setting")]
async fn live_postgres_keeps_the_contract() {
    let address = std::env::var("TASTEMAKER_TEST_POSTGRES")
        .expect("TASTEMAKER_TEST_POSTGRES holds the URL of a database");
    suite::keeps_the_contract(&address).await;
}
