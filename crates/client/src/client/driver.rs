//! The task behind a client: stores what was written, connects, and waits, as it is told.
//!
//! Owns the storage and the clock. It decides nothing: what to send and store is the replica's
//! business, when to connect the link's. It ends when the client is closed or all its handles are
//! gone.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::conversation::Conversation;
use super::shared::Shared;
use super::status::{Reason, Status};
use crate::address::{Address, REALTIME_PATH};
use crate::connection::Connection;
use crate::handshake::ConnectError;
use crate::link::{End, Link, Verdict};
use crate::replica::Replica;
use crate::storage::Storage;
use crate::token::TokenSource;

/// What the application wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Disconnect,
    Connect,
    Close,
}

/// Why the driver leaves what it is doing.
pub(super) enum Stop {
    /// The application wants something else.
    Wish,
    /// The storage has failed.
    Storage(String),
}

pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) address: Address,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) token_time: Duration,
    pub(super) connect_time: Duration,
    /// `None` only while it is at work on another thread.
    pub(super) storage: Option<Box<dyn Storage>>,
    pub(super) link: Link,
    pub(super) started: Instant,
    /// Dropped last: then the client is closed.
    pub(super) wish: watch::Receiver<Wish>,
}

impl Driver {
    pub(super) async fn run(mut self) {
        let failure = self.work().await;
        let reason = match failure {
            Some(why) => Reason::Storage(why),
            None => Reason::NotWanted,
        };
        self.shared.close();
        self.tell(Status::Disconnected { reason, retry: None });
    }

    /// Ends when the client is closed, or with the storage's failure.
    async fn work(&mut self) -> Option<String> {
        loop {
            let wish = *self.wish.borrow_and_update();
            let ended = match wish {
                Wish::Connect => self.stay_connected().await,
                Wish::Disconnect => {
                    self.tell(Status::Disconnected { reason: Reason::NotWanted, retry: None });
                    self.meanwhile(std::future::pending::<()>()).await
                }
                // The last that was written is stored, too.
                Wish::Close => match self.save().await {
                    Ok(()) => return None,
                    Err(stop) => Err(stop),
                },
            };
            if let Err(Stop::Storage(why)) = ended {
                return Some(why);
            }
            if self.wish.has_changed().is_err() {
                return match self.save().await {
                    Err(Stop::Storage(why)) => Some(why),
                    Ok(()) | Err(Stop::Wish) => None,
                };
            }
        }
    }

    /// Connects again and again, until the wish changes.
    async fn stay_connected(&mut self) -> Result<(), Stop> {
        self.link = Link::default();
        loop {
            self.tell(Status::Connecting);
            let (end, reason) = self.connect_once().await?;
            let too_big = end == End::Closed(draftwire_protocol::CloseCode::TooBig.code());
            self.shared.with(|replica| replica.disconnected(too_big));
            let verdict = match reason {
                Reason::OtherUser => Verdict::Stop,
                _ => self.link.ended(&end, self.now(), random()),
            };
            match verdict {
                Verdict::Retry(after) => {
                    self.tell(Status::Disconnected { reason, retry: Some(after) });
                    self.meanwhile(sleep(after)).await?;
                }
                Verdict::Stop => {
                    self.tell(Status::Disconnected { reason, retry: None });
                    self.meanwhile(std::future::pending::<()>()).await?;
                }
                Verdict::Unauthorized => {
                    self.tell(Status::Unauthorized(reason));
                    self.meanwhile(std::future::pending::<()>()).await?;
                }
            }
        }
    }

    /// From the token to the end of the connection.
    async fn connect_once(&mut self) -> Result<(End, Reason), Stop> {
        // Before the device's name is used it must be known for good.
        self.save().await?;
        let token = self.meanwhile(fetch_token(Arc::clone(&self.tokens), self.token_time)).await?;
        let token = match token {
            Ok(token) => token,
            Err(why) => return Ok((End::NoToken, Reason::NoToken(why))),
        };
        let path = self.shared.with(|replica| path(replica));
        let address = self.address.clone();
        let opening =
            timeout(
                self.connect_time,
                async move { Connection::open(&address, &path, &token).await },
            );
        let connection = match self.meanwhile(opening).await? {
            Ok(Ok(connection)) => connection,
            Ok(Err(ConnectError::Refused { status, retry_after, body })) => {
                return Ok((
                    End::Refused { status, retry_after },
                    Reason::Refused { status, body },
                ));
            }
            Ok(Err(error)) => return Ok((End::Lost, Reason::Lost(error.to_string()))),
            Err(_) => return Ok((End::Lost, Reason::Lost("the handshake took too long".into()))),
        };
        Conversation::new(self, connection).run().await
    }

    /// Waits for something, storing what is written meanwhile.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Result<F::Output, Stop> {
        let mut future = pin!(future);
        let shared = Arc::clone(&self.shared);
        loop {
            self.save().await?;
            tokio::select! {
                output = &mut future => return Ok(output),
                () = shared.wake.notified() => {}
                _ = self.wish.changed() => return Err(Stop::Wish),
            }
        }
    }

    /// Stores whatever has to be stored.
    pub(super) async fn save(&mut self) -> Result<(), Stop> {
        while let Some(batch) = self.shared.with(Replica::take_batch) {
            let (number, keys_below) = (batch.number, batch.keys_below);
            let Some(mut storage) = self.storage.take() else {
                return Err(Stop::Storage("it is gone".into()));
            };
            let stored = spawn_blocking(move || {
                let result = if batch.whole {
                    storage.replace(&batch.text)
                } else {
                    storage.append(&batch.text, batch.urgent)
                };
                (storage, result)
            });
            let (storage, result) =
                stored.await.map_err(|error| Stop::Storage(error.to_string()))?;
            self.storage = Some(storage);
            result.map_err(|error| Stop::Storage(error.to_string()))?;
            self.shared.stored(number, keys_below);
        }
        Ok(())
    }

    /// The time since this client began.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn tell(&self, status: Status) {
        self.shared.status.send_if_modified(|present| {
            let is_news = *present != status;
            if is_news {
                *present = status;
            }
            is_news
        });
    }
}

/// Asks for a token, with patience.
pub(super) async fn fetch_token(
    tokens: Arc<dyn TokenSource>,
    patience: Duration,
) -> Result<String, String> {
    match timeout(patience, tokens.token()).await {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the token source did not answer within {patience:?}")),
    }
}

/// Where to connect: the device, and the last event it has.
fn path(replica: &Replica) -> String {
    let mut path = format!("{REALTIME_PATH}?clientId={}", replica.client_id());
    if let Some(position) = replica.position() {
        path += &format!("&epoch={}&seq={}", percent_encoded(&position.epoch), position.seq);
        if let Some(at) = position.at {
            path += &format!("&at={at}");
        }
    }
    path
}

/// An epoch is opaque: any characters may stand in it.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// Evenly spread from 0 to 1. Without a source of chance it is the whole bound: late, but right.
fn random() -> f64 {
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}
