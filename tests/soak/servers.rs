//! A token endpoint and an API that do badly, as often as is said here.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::oracle::Oracle;
use crate::round::Weather;
use crate::socket_support::{Conn, RawServer, answer};

pub(crate) type Random = Arc<Mutex<fastrand::Rng>>;

/// What a token endpoint does, and with which probability.
#[derive(Clone, Copy)]
enum Deed {
    /// Answers within so many milliseconds.
    Slowly(u64),
    ByteByByte,
    AndCloses,
    /// With a status of 500 or 503.
    Refuses,
    Resets,
    ResetsWithin,
    /// For longer than a fetch may take.
    Hangs,
}

const MILD: &[(f64, Deed)] = &[
    (0.2, Deed::Slowly(60)),
    (0.1, Deed::ByteByByte),
    (0.1, Deed::AndCloses),
];

const HARSH: &[(f64, Deed)] = &[
    (0.15, Deed::Slowly(150)),
    (0.05, Deed::ByteByByte),
    (0.05, Deed::AndCloses),
    (0.08, Deed::Refuses),
    (0.03, Deed::Resets),
    (0.03, Deed::ResetsWithin),
    (0.03, Deed::Hangs),
];

/// With which probability the API of harsh weather resets a connection.
const RESET: f64 = 0.002;

/// How long it is from one revocation to the next in harsh weather, at most.
const REVOCATION: Duration = Duration::from_millis(1500);

fn deed(weather: Weather, random: &Random) -> Option<Deed> {
    let deeds = match weather {
        Weather::Mild => MILD,
        Weather::Harsh => HARSH,
    };
    let mut drawn = random.lock().unwrap().f64();
    for (probability, deed) in deeds {
        if drawn < *probability {
            return Some(*deed);
        }
        drawn -= probability;
    }
    None
}

fn below(random: &Random, limit: u64) -> Duration {
    Duration::from_millis(random.lock().unwrap().u64(0..=limit))
}

pub(crate) fn token_endpoint(weather: Weather, oracle: Oracle, random: Random) -> RawServer {
    RawServer::acting(move |conn| issue(conn, weather, oracle.clone(), Arc::clone(&random)))
}

async fn issue(mut conn: Conn, weather: Weather, oracle: Oracle, random: Random) -> Option<Conn> {
    let request = conn.request().await?;
    let fetch: usize = request.header("x-fetch").unwrap().parse().unwrap();
    let deed = deed(weather, &random);
    match deed {
        Some(Deed::Slowly(limit)) => sleep(below(&random, limit)).await,
        Some(Deed::Refuses) => {
            let line = ["500 No", "503 No"][fetch % 2];
            // An echo of what must not be seen.
            let body = String::from_utf8(request.body).unwrap();
            conn.send(&answer(line, "", &body)).await.ok()?;
            return Some(conn);
        }
        Some(Deed::Resets) => {
            conn.reset();
            return None;
        }
        Some(Deed::ResetsWithin) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":\"soak-";
            conn.send(head.as_bytes()).await.ok()?;
            conn.reset();
            return None;
        }
        Some(Deed::Hangs) => {
            conn.closed().await;
            return None;
        }
        Some(Deed::ByteByByte | Deed::AndCloses) | None => {}
    }
    let token = format!("soak-{fetch}");
    let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":1}}"#);
    oracle.issue(fetch, token);
    let closes = matches!(deed, Some(Deed::AndCloses));
    let header = if closes { "connection: close\r\n" } else { "" };
    let answer = answer("200 OK", header, &body);
    if let Some(Deed::ByteByByte) = deed {
        for byte in answer {
            conn.send(&[byte]).await.ok()?;
        }
    } else {
        conn.send(&answer).await.ok()?;
    }
    oracle.answered(fetch);
    (!closes).then_some(conn)
}

pub(crate) fn api(weather: Weather, oracle: Oracle, random: Random) -> RawServer {
    let next = Arc::new(Mutex::new(Instant::now() + below(&random, 500)));
    RawServer::acting(move |conn| {
        serve(
            conn,
            weather,
            oracle.clone(),
            Arc::clone(&random),
            Arc::clone(&next),
        )
    })
}

async fn serve(
    mut conn: Conn,
    weather: Weather,
    oracle: Oracle,
    random: Random,
    next_revocation: Arc<Mutex<Instant>>,
) -> Option<Conn> {
    let request = conn.request().await?;
    let number = request.header("x-request").unwrap().parse().unwrap();
    let token = request.bearer();
    if let Weather::Harsh = weather {
        if random.lock().unwrap().f64() < RESET {
            oracle.spoil(number);
            conn.reset();
            return None;
        }
        let mut next = next_revocation.lock().unwrap();
        if *next <= Instant::now() && oracle.is_good(token) {
            oracle.revoke(token);
            *next = Instant::now() + below(&random, REVOCATION.as_millis() as u64);
        }
    }
    let answer = match oracle.is_good(token) {
        true => answer("200 OK", "", "welcome"),
        false => {
            // Late, so that the token may have been replaced by then.
            sleep(below(&random, 50)).await;
            answer("401 No", "www-authenticate: Bearer\r\n", "no")
        }
    };
    conn.send(&answer).await.ok()?;
    Some(conn)
}
