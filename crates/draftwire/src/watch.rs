//! `draftwire watch`: one device on a terminal, a line for each frame that arrives.

use std::process::ExitCode;

use draftwire_client::{Address, Connection, Message};
use draftwire_server::http::REALTIME_PATH;

use crate::flags::WatchFlags;

pub(crate) async fn run(flags: &WatchFlags) -> Result<ExitCode, String> {
    let address = Address::parse(&flags.url)?;
    let mut connection = Connection::open(&address, REALTIME_PATH, &flags.token)
        .await
        .map_err(|error| error.to_string())?;
    loop {
        match connection.next().await {
            Ok(Some(Message::Text(frame))) => println!("{frame}"),
            Ok(Some(Message::Closed(code, reason))) => {
                eprintln!("the server closed the connection: {code} {reason}");
                return Ok(ExitCode::SUCCESS);
            }
            Ok(None) => return Err("the connection was lost".into()),
            Err(error) => return Err(format!("the connection failed: {error}")),
        }
    }
}
