use std::rc::Rc;

use tower_bearer::{AccessToken, token_fn};

async fn read(_: Rc<str>) -> String {
    String::new()
}

fn main() {
    let _ = token_fn(|_| async {
        let path: Rc<str> = "token".into();
        Ok(AccessToken::new(&read(path).await)?)
    });
}
