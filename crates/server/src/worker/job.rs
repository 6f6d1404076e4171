//! What can be asked of a worker, and what it asks of others.

use std::sync::Arc;

use bytes::Bytes;
use draftwire_protocol::{CloseCode, Timestamp};
use draftwire_websocket::WindowBits;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::socket::Socket;
use crate::admission::Seat;
use crate::auth::Identity;
use crate::delivery::{ConnectionKey, Delivery};
use crate::session::{Endpoint, Hello};

/// A connection that has passed the handshake.
pub struct Newcomer {
    /// Its socket, switched to WebSocket.
    pub socket: Socket,
    /// Bytes that came behind the handshake.
    pub leftover: Vec<u8>,
    /// What answers the handshake, where that has not been answered yet.
    pub greeting: Bytes,
    /// What it said.
    pub hello: Hello,
    /// Its place in the house.
    pub seat: Option<Seat>,
    /// Largest message it may send.
    pub message_bytes_max: usize,
    /// Most bytes that may wait for it.
    pub outbox_bytes_max: usize,
}

/// Which connections a published frame is for.
#[derive(Debug, Clone)]
pub enum Audience {
    /// All devices of a user on that endpoint.
    User(Arc<str>),
    /// Everybody on that endpoint.
    Everybody,
}

/// Which of a user's connections are meant.
pub enum Which {
    /// All of them.
    All,
    /// One.
    Connection(String),
    /// Those whose token this function covers.
    Tokens(Box<dyn Fn(&Identity) -> bool + Send>),
}

/// A connection, as an administrator sees it.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Made by the server.
    pub connection_id: Arc<str>,
    /// The device.
    pub client_id: Arc<str>,
    /// Which path.
    pub endpoint: Endpoint,
    /// When the token ends.
    pub expires_at: Option<Timestamp>,
    /// When it connected.
    pub connected_at: Timestamp,
}

/// Something for a worker to do.
pub enum Job {
    /// Carry this connection from now on.
    Register(Box<Newcomer>),
    /// The recovery that was asked for.
    Recovered {
        /// Whose.
        key: ConnectionKey,
        /// Its frames.
        frames: Vec<Bytes>,
        /// The last event in them.
        seq: u64,
        /// Memory to give back when they were taken.
        reserved: Option<OwnedSemaphorePermit>,
    },
    /// Close a connection.
    Close {
        /// Which.
        key: ConnectionKey,
        /// Why.
        code: CloseCode,
    },
    /// What a commit has brought, in order.
    Deliver(Vec<Delivery>),
    /// Send a frame without a place in the history.
    Publish {
        /// On which path.
        endpoint: Endpoint,
        /// To whom.
        audience: Audience,
        /// The frame.
        frame: Bytes,
        /// Told how many connections it went to.
        count: Option<oneshot::Sender<usize>>,
    },
    /// The user has a new epoch: every other connection must recover.
    EpochRenewed {
        /// The user.
        user: Arc<str>,
        /// The connection that already knows, if one does.
        except: Option<ConnectionKey>,
    },
    /// List a user's connections.
    List {
        /// The user.
        user: Arc<str>,
        /// Told what there is.
        connections: oneshot::Sender<Vec<ConnectionInfo>>,
    },
    /// Close connections of a user.
    Disconnect {
        /// The user.
        user: Arc<str>,
        /// Which of his.
        which: Which,
        /// Why.
        code: CloseCode,
        /// Told how many there were.
        count: oneshot::Sender<usize>,
    },
    /// Tell when the user's next event passes.
    AwaitEvent {
        /// The user.
        user: Arc<str>,
        /// Completed then.
        passed: oneshot::Sender<()>,
    },
    /// Close everything: the store has failed.
    CloseAll(CloseCode),
    /// Announce a restart and close what has been answered.
    Drain {
        /// `RECONNECT.afterMs` lies between this and twice this.
        after_ms: u64,
    },
    /// End the thread, cutting what is left.
    Stop,
}

/// What a worker asks for when a connection joins or falls behind.
pub struct RecoveryAsk {
    /// The connection.
    pub key: ConnectionKey,
    /// Its user.
    pub user: Arc<str>,
    /// At joining, what it said; later, only a page of the log is wanted.
    pub joining: Option<Box<Hello>>,
    /// The last event it was given.
    pub seq: u64,
    /// The window of the compressed messages that it has agreed on, if it has.
    pub compression: Option<WindowBits>,
}
