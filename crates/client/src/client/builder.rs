//! Putting a client together.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use draftwire_protocol::names::{CLIENT_ID_RULE, USER_ID_RULE, is_client_id, is_user_id};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::collection::fresh_id;
use super::driver::{Driver, Wish};
use super::shared::Shared;
use super::{Client, Handle};
use crate::address::Address;
use crate::link::Link;
use crate::replica::{QueueLimits, Replica};
use crate::storage::{MemoryStorage, Storage};
use crate::token::TokenSource;

const TOKEN_TIME: Duration = Duration::from_secs(30);
const CONNECT_TIME: Duration = Duration::from_secs(15);

/// Why a client could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The address, the client id or the user id is malformed: mend the caller.
    Invalid(String),
    /// The storage could not be read.
    Storage(std::io::Error),
    /// What is in the storage is no journal of this version. It was not changed.
    Journal(String),
    /// The storage belongs to another user. It was not changed.
    OtherUser,
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => out.write_str(why),
            Self::Storage(error) => write!(out, "the storage can't be read: {error}"),
            Self::Journal(why) => write!(out, "the storage holds something else: {why}"),
            Self::OtherUser => out.write_str("the storage belongs to another user"),
        }
    }
}

impl std::error::Error for OpenError {}

/// A client that is being put together.
#[must_use = "nothing happens until it is opened"]
pub struct ClientBuilder {
    url: String,
    tokens: Arc<dyn TokenSource>,
    storage: Box<dyn Storage>,
    client_id: Option<String>,
    user_id: Option<String>,
    queue_limits: QueueLimits,
    token_time: Duration,
    connect_time: Duration,
}

impl ClientBuilder {
    pub(super) fn new(url: &str, tokens: impl TokenSource) -> Self {
        Self {
            url: url.to_owned(),
            tokens: Arc::new(tokens),
            storage: Box::new(MemoryStorage::default()),
            client_id: None,
            user_id: None,
            queue_limits: QueueLimits::default(),
            token_time: TOKEN_TIME,
            connect_time: CONNECT_TIME,
        }
    }

    /// Where documents and unanswered changes survive the process; memory if this is left out.
    pub fn storage(mut self, storage: impl Storage) -> Self {
        self.storage = Box::new(storage);
        self
    }

    /// The device's name, for a storage that holds none yet; a UUIDv7 if this is left out. Two
    /// clients must not use one name.
    pub fn client_id(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned());
        self
    }

    /// Whose documents these are. Without it a new storage is bound to the user of the first
    /// connection, and with it what is written offline before is bound to him, too.
    pub fn user_id(mut self, user_id: &str) -> Self {
        self.user_id = Some(user_id.to_owned());
        self
    }

    /// How much may wait for the server.
    pub fn queue_limits(mut self, limits: QueueLimits) -> Self {
        self.queue_limits = limits;
        self
    }

    /// How long the token source may take; 30 s if this is left out.
    pub fn token_time(mut self, time: Duration) -> Self {
        self.token_time = time;
        self
    }

    /// How long a handshake may take; 15 s if this is left out.
    pub fn connect_time(mut self, time: Duration) -> Self {
        self.connect_time = time;
        self
    }

    /// Reads the storage: the client then has its last state, and is not connected. To be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Each says what to do; the storage is as it was.
    pub async fn open(self) -> Result<Client, OpenError> {
        let address = Address::parse(&self.url).map_err(OpenError::Invalid)?;
        check("the client id is", CLIENT_ID_RULE, self.client_id.as_deref(), is_client_id)?;
        check("the user id is", USER_ID_RULE, self.user_id.as_deref(), is_user_id)?;
        let mut storage = self.storage;
        let (storage, batches) = spawn_blocking(move || {
            let batches = storage.load();
            (storage, batches)
        })
        .await
        .map_err(|error| OpenError::Storage(std::io::Error::other(error)))?;
        let batches = batches.map_err(OpenError::Storage)?;
        let replica = Replica::restore(
            &batches,
            self.client_id,
            self.user_id.clone(),
            self.queue_limits,
            Box::new(fresh_id),
        )
        .map_err(|error| OpenError::Journal(error.to_string()))?;
        let stored = replica.user_id();
        if self.user_id.as_deref().is_some_and(|user| stored.is_some_and(|stored| stored != user)) {
            return Err(OpenError::OtherUser);
        }
        let shared = Arc::new(Shared::new(replica));
        let (wish, wished) = watch::channel(Wish::Disconnect);
        let driver = Driver {
            shared: Arc::clone(&shared),
            address,
            tokens: self.tokens,
            token_time: self.token_time,
            connect_time: self.connect_time,
            storage: Some(storage),
            link: Link::default(),
            started: Instant::now(),
            wish: wished,
        };
        tokio::spawn(driver.run());
        Ok(Client { handle: Arc::new(Handle { shared, wish }) })
    }
}

fn check(
    what: &str,
    rule: &str,
    name: Option<&str>,
    is_good: fn(&str) -> bool,
) -> Result<(), OpenError> {
    if name.is_none_or(is_good) {
        return Ok(());
    }
    Err(OpenError::Invalid(format!("{what} {rule}")))
}
