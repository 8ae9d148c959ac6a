use tower_bearer::token_fn;

fn main() {
    let _ = token_fn(|_| async { Ok("abc".to_owned()) });
}
