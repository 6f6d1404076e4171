//! draftwire inside an axum application that is there already: it has its own routes, its own
//! `/healthz` and its own listener, and takes only the pieces it wants.
//!
//! `cargo run -p draftwire-server --example embed -- 127.0.0.1:3100 shop.secret data`

use std::env;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use draftwire_server::auth::{ClaimRules, Hs256};
use draftwire_server::{Realtime, Settings, WebSocketMessage, http};

/// The shop's own state; the handle to draftwire is one field of it.
#[derive(Clone)]
struct Shop {
    realtime: Realtime,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, secret, folder] = &arguments[..] else {
        return Err("give an address, a secret file and a data folder".into());
    };
    let secret = std::fs::read(secret)?;
    let secret = secret.strip_suffix(b"\n").unwrap_or(&secret);
    let verifier = Hs256::new(secret, ClaimRules::default())?;
    let realtime = Realtime::builder(Settings::default(), verifier).sqlite(folder).start()?;

    let shop = Router::new()
        .route("/healthz", get(|| async { "the shop is open" }))
        .route("/prices-changed", post(prices_changed))
        .with_state(Shop { realtime: realtime.clone() });
    let application = shop
        .merge(http::realtime_router(realtime.clone()))
        .nest("/drafts-service", http::documents_router(realtime));

    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, application).await?;
    Ok(())
}

/// Tells every device of every user.
async fn prices_changed(State(shop): State<Shop>) -> Result<String, String> {
    let message = WebSocketMessage::new("PRICES_CHANGED", r#"{"season":"winter"}"#)
        .map_err(|error| error.to_string())?;
    shop.realtime.broadcast_to_all(&message).map_err(|error| error.to_string())?;
    Ok(format!("{} connections\n", shop.realtime.stats().total_connections))
}
