//! kube over sockets, with the stack that is built by hand and with its own.
#![allow(clippy::duplicate_mod)]

#[path = "."]
mod by_hand {
    use kube::{Client, Config};
    use tower_bearer::error::BoxError;
    use tower_bearer::{IntoTokenCache, TokenProvider};

    #[path = "cases.rs"]
    mod cases;

    fn client<P: TokenProvider>(
        config: Config,
        tokens: impl IntoTokenCache<Provider = P>,
    ) -> Result<Client, BoxError> {
        tower_bearer_clients::kubernetes::client(&config, tokens)
    }
}

#[path = "."]
mod of_default_stack {
    use tower_bearer_clients::kubernetes::client_of_default_stack as client;

    #[path = "cases.rs"]
    mod cases;
}
