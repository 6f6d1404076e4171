//! An order pad on a terminal that works without a network: type a symbol, and it is a draft on
//! all of the user's devices, now or when the server is there again.
//!
//! ```sh
//! draftwire serve --dev                     # prints a token
//! DRAFTWIRE_TOKEN=… cargo run -p draftwire-client --example order_pad
//! ```

use draftwire_client::{Client, FileStorage, Status, TokenError};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Here an application asks its own backend, each time anew.
async fn fetch_token() -> Result<String, TokenError> {
    Ok(std::env::var("DRAFTWIRE_TOKEN")?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DRAFTWIRE_URL").unwrap_or("ws://127.0.0.1:3000".into());
    let storage = FileStorage::open("order-pad.journal")?;
    let client = Client::builder(&url, fetch_token).storage(storage).open().await?;
    client.connect();

    let (mut status, mut changes) = (client.status(), client.changes());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line?.as_deref().map(str::trim) {
                None | Some("quit") => break,
                Some(symbol) if symbol.chars().all(char::is_alphanumeric) => {
                    drop(client.drafts().create(None, &format!(r#"{{"symbol":"{symbol}"}}"#))?);
                }
                Some(_) => println!("letters and digits, please"),
            },
            Some(_) = changes.next() => {
                for draft in client.drafts().list() {
                    println!("{} {}{}", draft.id, draft.data, if draft.unsaved { " …" } else { "" });
                }
            }
            Ok(()) = status.changed() => match &*status.borrow_and_update() {
                Status::Connected => println!("connected"),
                Status::Connecting => println!("connecting …"),
                Status::Disconnected { reason, .. } | Status::Unauthorized(reason) => println!("{reason}"),
            },
        }
    }
    client.close().await;
    Ok(())
}
