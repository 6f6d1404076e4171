//! What a write returns at once: its document's id, and the server's answer as a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use draftwire_protocol::reply::Rejection;
use tokio::sync::{oneshot, watch};

use crate::replica::{Accepted, Settled};

/// Why a change was not applied, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotApplied {
    /// The server has refused it for good: code, message, and the server's document where it sent
    /// one. It stands on the list of rejected changes.
    Rejected(Rejection),
    /// It was dealt with, applied or refused, so long ago that the server no longer knows which.
    Unknown,
    /// The client was closed before the answer came. What was saved is sent by the next client on
    /// the same storage.
    Interrupted,
}

impl fmt::Display for NotApplied {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => {
                write!(out, "{}: {}", rejection.code.name(), rejection.message)
            }
            Self::Unknown => out.write_str("the answer is no longer known"),
            Self::Interrupted => out.write_str("the client was closed before the answer came"),
        }
    }
}

impl std::error::Error for NotApplied {}

/// A change on its way. Completes when the server has answered, however long that takes; may be
/// dropped: the change goes its way all the same.
#[derive(Debug)]
pub struct Ticket {
    pub(super) id: String,
    pub(super) key: u64,
    pub(super) answer: oneshot::Receiver<Settled>,
    /// All changes with a lower key are stored.
    pub(super) saved: watch::Receiver<u64>,
}

impl Ticket {
    /// The document's id; for a conversion the pending order's.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Completes when the change is stored: from then on it survives the process, and is sent
    /// sooner or later.
    ///
    /// # Errors
    ///
    /// Where the client was closed, or its storage failed, before.
    pub async fn saved(&self) -> Result<(), NotApplied> {
        let mut saved = self.saved.clone();
        let stored = saved.wait_for(|below| *below > self.key).await;
        stored.map(drop).map_err(|_| NotApplied::Interrupted)
    }
}

impl Future for Ticket {
    type Output = Result<Accepted, NotApplied>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|settled| match settled {
            Ok(Settled::Accepted(accepted)) => Ok(accepted),
            Ok(Settled::Rejected(rejection)) => Err(NotApplied::Rejected(rejection)),
            Ok(Settled::Unknown) => Err(NotApplied::Unknown),
            Err(_) => Err(NotApplied::Interrupted),
        })
    }
}
