//! Every setting of the server: its name, unit, default.
//!
//! The binary fills this from flags and environment; an embedding application fills it by hand.
//! Nothing else in the server holds a default.

use std::time::Duration;

use draftwire_protocol::Limits;

use ipnet::IpNet;

use crate::auth::OriginPolicy;
use crate::rate::Rate;

/// How the server behaves. `Settings::default()` is right for most.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What `WELCOME` tells about frames, documents and commands in flight.
    pub limits: Limits,
    /// Interval of WebSocket pings; silence of two of them ends a connection.
    pub heartbeat: Duration,
    /// How long a graceful shutdown may take before what is left is cut.
    pub drain: Duration,
    /// Threads that carry connections; users are spread over them.
    pub workers: usize,
    /// Bytes queued for a device (recovery not counted) before it is closed with 4001.
    pub outbox_bytes_max: usize,
    /// Bytes of snapshots and deltas in memory at a time, over all connections.
    pub recovery_bytes_max: usize,
    /// Bytes of one page of the log while a connection catches up.
    pub catch_up_page_bytes: usize,
    /// Commands waiting for the store, over all connections.
    pub queue_commands_max: usize,
    /// Bytes of documents in those commands.
    pub queue_bytes_max: usize,
    /// Frames waiting for one worker from library and HTTP publishers.
    pub publish_queue_max: usize,
    /// WebSocket connections (and waiting `GET /api/sync` calls) of one user.
    pub user_connections_max: usize,
    /// The same of all users.
    pub connections_max: usize,
    /// WebSocket connections from one address (an IPv6 network of 64 bits counts as one); 0 for any
    /// number. Limits per address are not for this machine's own (loopback), nor where a host that
    /// embeds the routers does not tell addresses (`ConnectInfo`).
    pub address_connections_max: usize,
    /// WebSocket handshakes from one address, accepted or not.
    pub address_handshakes: Rate,
    /// WebSocket handshakes of one user.
    pub user_handshakes: Rate,
    /// Commands on one connection; over it they are `RATE_LIMITED`.
    pub connection_commands: Rate,
    /// Commands of one user, over WebSocket and HTTP together.
    pub user_commands: Rate,
    /// Frames on one connection that are no command (pings, pongs, `PING`, `AUTH`, what can't be
    /// read), and commands that never reach the store (malformed ones, those to a relay, those that
    /// were `RATE_LIMITED`); over it the connection is closed with 4002.
    pub connection_frames: Rate,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long the other side may take to answer a close frame.
    pub close_wait: Duration,
    /// How long a client may take to send its request's head.
    pub handshake_time_max: Duration,
    /// How long a client may take to send a request's body.
    pub body_time_max: Duration,
    /// Bytes of the body of `POST /api/commands`.
    pub batch_bytes_max: usize,
    /// Jobs whose progress is remembered.
    pub progress_jobs_max: usize,
    /// Silence after which a job is forgotten.
    pub progress_silence_max: Duration,
    /// True where `/ws/sync` lets clients in that bring no token.
    pub progress_anonymous: bool,
    /// True where connections may agree on compressed messages (permessage-deflate, RFC 7692).
    pub compression: bool,
    /// Which web pages may connect and call.
    pub origins: OriginPolicy,
    /// `RECONNECT.afterMs` lies between this and twice this, so that clients come back spread out.
    pub reconnect_after: Duration,
    /// What 503 answers as `Retry-After`.
    pub retry_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            heartbeat: Duration::from_secs(25),
            drain: Duration::from_secs(10),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            outbox_bytes_max: 1024 * 1024,
            recovery_bytes_max: 256 * 1024 * 1024,
            catch_up_page_bytes: 256 * 1024,
            queue_commands_max: 65_536,
            queue_bytes_max: 64 * 1024 * 1024,
            publish_queue_max: 65_536,
            user_connections_max: 100,
            connections_max: 1_000_000,
            address_connections_max: 10_000,
            address_handshakes: Rate::new(100, 2_000),
            user_handshakes: Rate::new(10, 200),
            connection_commands: Rate::new(200, 2_000),
            user_commands: Rate::new(500, 5_000),
            connection_frames: Rate::new(100, 1_000),
            trusted_proxies: Vec::new(),
            close_wait: Duration::from_secs(5),
            handshake_time_max: Duration::from_secs(10),
            body_time_max: Duration::from_secs(30),
            batch_bytes_max: 8 * 1024 * 1024,
            progress_jobs_max: 1_000,
            progress_silence_max: Duration::from_secs(3600),
            progress_anonymous: false,
            compression: false,
            origins: OriginPolicy::default(),
            reconnect_after: Duration::from_secs(1),
            retry_after: Duration::from_secs(2),
        }
    }
}

impl Settings {
    /// Settings that contradict each other are refused with the sentence that says what to do.
    pub fn check(&self) -> Result<(), String> {
        let Limits { frame_bytes, document_bytes, in_flight } = self.limits;
        if frame_bytes < 2 * document_bytes {
            return Err(format!(
                "the frame limit ({frame_bytes} bytes) must be at least twice the document limit \
                 ({document_bytes} bytes)"
            ));
        }
        if self.outbox_bytes_max < frame_bytes {
            return Err(format!(
                "the outbox limit ({} bytes) must be at least the frame limit ({frame_bytes} bytes)",
                self.outbox_bytes_max
            ));
        }
        if in_flight == 0 || self.workers == 0 || self.heartbeat.is_zero() {
            return Err("in-flight commands, workers and heartbeat must be above zero".into());
        }
        Ok(())
    }
}
