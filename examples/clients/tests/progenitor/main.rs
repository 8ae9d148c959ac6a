//! Generated clients over sockets: with the layer below their hooks, and with the handle in them.
#![allow(clippy::duplicate_mod)]

#[path = "."]
mod by_handle {
    use tower_bearer_clients::notes::by_handle as sdk;

    #[path = "cases.rs"]
    mod cases;
    #[path = "failures.rs"]
    mod failures;
    #[path = "hooks.rs"]
    mod hooks;
}

#[path = "."]
mod by_layer {
    use tower_bearer_clients::notes::by_layer as sdk;

    #[path = "cases.rs"]
    mod cases;
    #[path = "failures.rs"]
    mod failures;
}
