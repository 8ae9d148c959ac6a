//! What a failed fetch says.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::error::Error;

use tower_bearer::error::FetchError;
use tower_bearer::oauth2::TokenEndpointError;

/// What a token endpoint, or who stands in for one, has to do with it.
pub(crate) fn cause(error: &FetchError) -> &TokenEndpointError {
    error.source().unwrap().downcast_ref().unwrap()
}

/// What can be printed of an error and all its sources.
pub(crate) fn everything(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text += &format!("{error}\n{error:?}\n{error:#?}\n");
        next = error.source();
    }
    text
}
