//! Streams of news for an application. Both are bounded: who falls behind is told so, and harms
//! nobody else.

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::replica::Change;

/// What may have changed in the documents.
#[derive(Debug)]
pub struct Changes(pub(super) Receiver<Change>);

impl Changes {
    /// The next change; [`Change::Everything`] for one who has fallen behind, so that nothing is
    /// ever missed. `None` when the client is gone.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(RecvError::Lagged(_)) => Some(Change::Everything),
            Err(RecvError::Closed) => None,
        }
    }
}

/// A frame of the application's own, published by its backend. The server keeps none: what is
/// published while a device is away does not reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The frame's type.
    pub name: String,
    /// A JSON object as text.
    pub payload: String,
}

/// The application's own frames.
#[derive(Debug)]
pub struct Messages(pub(super) Receiver<Published>);

impl Messages {
    /// The next frame; the oldest are left out for one who has fallen behind. `None` when the
    /// client is gone.
    pub async fn next(&mut self) -> Option<Published> {
        loop {
            match self.0.recv().await {
                Ok(message) => return Some(message),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
