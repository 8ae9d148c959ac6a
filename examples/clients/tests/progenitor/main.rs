//! Generated clients over sockets.

#[path = "."]
mod by_handle {
    use tower_bearer_clients::notes::by_handle as sdk;

    #[path = "cases.rs"]
    mod cases;
    #[path = "failures.rs"]
    mod failures;
}
