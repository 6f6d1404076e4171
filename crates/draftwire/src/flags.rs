//! Every flag with its environment variable and default, and what the server makes of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use draftwire_protocol::Limits;
use draftwire_protocol::limits::{DOCUMENT_BYTES_DEFAULT, FRAME_BYTES_DEFAULT, IN_FLIGHT_DEFAULT};
use draftwire_server::Settings;
use draftwire_server::auth::{ClaimRules, OriginPolicy};
use draftwire_server::rate::Rate;
use draftwire_store::StoreLimits;
use draftwire_store::sqlite::{Durability, SqliteOptions};
use ipnet::IpNet;

use crate::logging::LogFormat;

/// Keeps each user's drafts and pending orders, and every device of that user in step.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    Serve(Box<ServeFlags>),
    /// Sign a token with the server's secret.
    Token(TokenFlags),
    /// Replay real orders against a server and check what every device has at the end.
    Replay(ReplayFlags),
    /// Connect as one device and print every frame.
    Watch(WatchFlags),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DurabilityFlag {
    PowerCut,
    ProcessCrash,
}

#[derive(Debug, Args)]
pub(crate) struct ServeFlags {
    /// Address to listen on.
    #[arg(long, env = "DRAFTWIRE_LISTEN", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,
    /// Folder of the embedded store.
    #[arg(long, env = "DRAFTWIRE_DATA", value_name = "DIR", default_value = "draftwire-data")]
    pub(crate) data: PathBuf,
    /// What an acknowledged command survives: `power-cut` (each commit waits for the disk) or
    /// `process-crash` (faster; a power cut may take the latest).
    #[arg(long, env = "DRAFTWIRE_DURABILITY", value_enum, default_value = "power-cut")]
    durability: DurabilityFlag,
    /// File with the secret (HS256) that signs the tokens; at least 32 bytes.
    #[arg(long, env = "DRAFTWIRE_JWT_SECRET_FILE", value_name = "FILE")]
    pub(crate) jwt_secret_file: Option<PathBuf>,
    /// `iss` that tokens must have.
    #[arg(long, env = "DRAFTWIRE_JWT_ISSUER", value_name = "TEXT")]
    jwt_issuer: Option<String>,
    /// `aud` that tokens must name.
    #[arg(long, env = "DRAFTWIRE_JWT_AUDIENCE", value_name = "TEXT")]
    jwt_audience: Option<String>,
    /// Claim that is "admin" for administrators (its plural may be an array that holds it).
    #[arg(long, env = "DRAFTWIRE_JWT_ROLE_CLAIM", value_name = "NAME", default_value = "role")]
    jwt_role_claim: String,
    /// How log lines look.
    #[arg(long, env = "DRAFTWIRE_LOG_FORMAT", value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Interval of WebSocket pings; two of silence end a connection.
    #[arg(long, env = "DRAFTWIRE_HEARTBEAT", value_parser = duration, default_value = "25s")]
    heartbeat: Duration,
    /// How long a graceful shutdown may take.
    #[arg(long, env = "DRAFTWIRE_DRAIN", value_parser = duration, default_value = "10s")]
    drain: Duration,
    /// Keep nothing: the backend keeps the documents and publishes the events.
    #[arg(long, env = "DRAFTWIRE_RELAY", value_parser = switch())]
    pub(crate) relay: bool,
    /// Page origins that may connect besides the server's own host; can be given several times.
    #[arg(long, env = "DRAFTWIRE_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', num_args = 1..)]
    allow_origin: Vec<String>,
    /// Proxies whose X-Forwarded-For is believed: addresses or networks such as 10.0.0.0/8; can be
    /// given several times.
    #[arg(long, env = "DRAFTWIRE_TRUSTED_PROXY", value_name = "NETWORK", value_delimiter = ',', num_args = 1.., value_parser = network)]
    trusted_proxy: Vec<IpNet>,
    /// Second listener that echoes every message, for conformance suites.
    #[arg(long, env = "DRAFTWIRE_CONFORMANCE_ECHO", value_name = "ADDR")]
    pub(crate) conformance_echo: Option<SocketAddr>,
    /// Try things out: a throw-away secret, and a token printed at the start.
    #[arg(long, env = "DRAFTWIRE_DEV", value_parser = switch())]
    pub(crate) dev: bool,
    /// Compress messages (permessage-deflate) for clients that offer it.
    #[arg(long, env = "DRAFTWIRE_COMPRESSION", value_parser = switch())]
    compression: bool,
    /// Let clients without a token in on /ws/sync.
    #[arg(long, env = "DRAFTWIRE_SYNC_ANONYMOUS", value_parser = switch())]
    sync_anonymous: bool,
    #[command(flatten, next_help_heading = "Limits")]
    limits: LimitFlags,
}

#[derive(Debug, Args)]
struct LimitFlags {
    /// Largest frame a client may send, in bytes (at least twice --document-bytes).
    #[arg(long, env = "DRAFTWIRE_FRAME_BYTES", value_name = "N", default_value_t = FRAME_BYTES_DEFAULT)]
    frame_bytes: usize,
    /// Largest document, in bytes of its JSON.
    #[arg(long, env = "DRAFTWIRE_DOCUMENT_BYTES", value_name = "N", default_value_t = DOCUMENT_BYTES_DEFAULT)]
    document_bytes: usize,
    /// Unanswered commands of a device.
    #[arg(long, env = "DRAFTWIRE_IN_FLIGHT", value_name = "N", default_value_t = IN_FLIGHT_DEFAULT)]
    in_flight: usize,
    /// Bytes queued for a device before it is closed with 4001.
    #[arg(long, env = "DRAFTWIRE_OUTBOX_BYTES", value_name = "N", default_value_t = Settings::default().outbox_bytes_max)]
    outbox_bytes: usize,
    /// Bytes of snapshots and deltas in memory at a time.
    #[arg(long, env = "DRAFTWIRE_RECOVERY_BYTES", value_name = "N", default_value_t = Settings::default().recovery_bytes_max)]
    recovery_bytes: usize,
    /// Commands waiting for the store.
    #[arg(long, env = "DRAFTWIRE_QUEUE_COMMANDS", value_name = "N", default_value_t = Settings::default().queue_commands_max)]
    queue_commands: usize,
    /// Bytes of documents in those commands.
    #[arg(long, env = "DRAFTWIRE_QUEUE_BYTES", value_name = "N", default_value_t = Settings::default().queue_bytes_max)]
    queue_bytes: usize,
    /// Frames that may wait for one worker from publishers.
    #[arg(long, env = "DRAFTWIRE_PUBLISH_QUEUE", value_name = "N", default_value_t = Settings::default().publish_queue_max)]
    publish_queue: usize,
    /// Connections of one user.
    #[arg(long, env = "DRAFTWIRE_USER_CONNECTIONS", value_name = "N", default_value_t = Settings::default().user_connections_max)]
    user_connections: usize,
    /// Connections of all users.
    #[arg(long, env = "DRAFTWIRE_CONNECTIONS", value_name = "N", default_value_t = Settings::default().connections_max)]
    connections: usize,
    /// Connections from one address; 0 for any number.
    #[arg(long, env = "DRAFTWIRE_ADDRESS_CONNECTIONS", value_name = "N", default_value_t = Settings::default().address_connections_max)]
    address_connections: usize,
    /// Handshakes from one address, a second and at once; 0 for no limit (so with all rates).
    #[arg(long, env = "DRAFTWIRE_ADDRESS_HANDSHAKES", value_name = "RATE", default_value_t = Settings::default().address_handshakes)]
    address_handshakes: Rate,
    /// Handshakes of one user.
    #[arg(long, env = "DRAFTWIRE_USER_HANDSHAKES", value_name = "RATE", default_value_t = Settings::default().user_handshakes)]
    user_handshakes: Rate,
    /// Commands on one connection.
    #[arg(long, env = "DRAFTWIRE_CONNECTION_COMMANDS", value_name = "RATE", default_value_t = Settings::default().connection_commands)]
    connection_commands: Rate,
    /// Commands of one user.
    #[arg(long, env = "DRAFTWIRE_USER_COMMANDS", value_name = "RATE", default_value_t = Settings::default().user_commands)]
    user_commands: Rate,
    /// Frames on one connection that are no command, before it is closed with 4002.
    #[arg(long, env = "DRAFTWIRE_CONNECTION_FRAMES", value_name = "RATE", default_value_t = Settings::default().connection_frames)]
    connection_frames: Rate,
    /// Documents of one user.
    #[arg(long, env = "DRAFTWIRE_USER_DOCUMENTS", value_name = "N", default_value_t = StoreLimits::default().user_documents_max)]
    user_documents: u64,
    /// Bytes of one user's documents.
    #[arg(long, env = "DRAFTWIRE_USER_BYTES", value_name = "N", default_value_t = StoreLimits::default().user_bytes_max)]
    user_bytes: u64,
    /// Devices of one user.
    #[arg(long, env = "DRAFTWIRE_USER_DEVICES", value_name = "N", default_value_t = StoreLimits::default().user_devices_max)]
    user_devices: u64,
    /// Idempotency-Keys of one user remembered for a day.
    #[arg(long, env = "DRAFTWIRE_USER_IDEMPOTENCY_KEYS", value_name = "N", default_value_t = StoreLimits::default().user_idempotency_keys_max)]
    user_idempotency_keys: u64,
    /// Events kept per user.
    #[arg(long, env = "DRAFTWIRE_LOG_EVENTS", value_name = "N", default_value_t = StoreLimits::default().log_events_max)]
    log_events: u64,
    /// Bytes of events kept per user; wins over the two others.
    #[arg(long, env = "DRAFTWIRE_LOG_BYTES", value_name = "N", default_value_t = StoreLimits::default().log_bytes_max)]
    log_bytes: u64,
    /// How long events are kept.
    #[arg(long, env = "DRAFTWIRE_LOG_AGE", value_parser = duration, default_value = "168h")]
    log_age: Duration,
    /// How long a client may take to send a request's head.
    #[arg(long, env = "DRAFTWIRE_HANDSHAKE_TIME", value_parser = duration, default_value = "10s")]
    handshake_time: Duration,
    /// How long a client may take to send a request's body.
    #[arg(long, env = "DRAFTWIRE_BODY_TIME", value_parser = duration, default_value = "30s")]
    body_time: Duration,
    /// Bytes of the body of POST /api/commands.
    #[arg(long, env = "DRAFTWIRE_BATCH_BYTES", value_name = "N", default_value_t = Settings::default().batch_bytes_max)]
    batch_bytes: usize,
    /// Jobs whose progress is shown on /ws/sync.
    #[arg(long, env = "DRAFTWIRE_PROGRESS_JOBS", value_name = "N", default_value_t = Settings::default().progress_jobs_max)]
    progress_jobs: usize,
    /// Silence after which a job is forgotten.
    #[arg(long, env = "DRAFTWIRE_PROGRESS_SILENCE", value_parser = duration, default_value = "1h")]
    progress_silence: Duration,
    /// How long an Idempotency-Key is remembered.
    #[arg(long, env = "DRAFTWIRE_IDEMPOTENCY_AGE", value_parser = duration, default_value = "24h")]
    idempotency_age: Duration,
    /// Single tokens of one user that may be revoked.
    #[arg(long, env = "DRAFTWIRE_USER_REVOKED_TOKENS", value_name = "N", default_value_t = StoreLimits::default().user_revoked_tokens_max)]
    user_revoked_tokens: usize,
    /// How long the other side may take to answer a close frame.
    #[arg(long, env = "DRAFTWIRE_CLOSE_WAIT", value_parser = duration, default_value = "5s")]
    close_wait: Duration,
    /// Threads that carry connections; 0 for one a core.
    #[arg(long, env = "DRAFTWIRE_WORKERS", value_name = "N", default_value_t = 0)]
    workers: usize,
}

#[derive(Debug, Args)]
pub(crate) struct TokenFlags {
    /// File with the server's secret.
    #[arg(long, env = "DRAFTWIRE_JWT_SECRET_FILE", value_name = "FILE")]
    pub(crate) jwt_secret_file: PathBuf,
    /// Whose token.
    #[arg(long, value_name = "ID")]
    pub(crate) user: String,
    /// With the admin role.
    #[arg(long)]
    pub(crate) admin: bool,
    /// How long it is good.
    #[arg(long, value_parser = duration, default_value = "8h")]
    pub(crate) ttl: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayFlags {
    /// The server: ws://host:port or wss://host:port.
    #[arg(long, env = "DRAFTWIRE_URL", default_value = "ws://127.0.0.1:3000")]
    pub(crate) url: String,
    /// File with the server's secret, to sign the customers' tokens.
    #[arg(long, env = "DRAFTWIRE_JWT_SECRET_FILE", value_name = "FILE")]
    pub(crate) jwt_secret_file: PathBuf,
    /// Orders: a CSV file (or .csv.gz) with the columns of data/README.md.
    #[arg(long, value_name = "FILE", default_value = "data/orders.csv.gz")]
    pub(crate) orders: PathBuf,
    /// Replay only the first so many orders.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Customers who write at the same time.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) customers_at_once: usize,
    /// Commands a device sends before it waits for the first answer.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) ahead: usize,
    /// Stands before the customers' numbers in the names of users: another one replays anew.
    #[arg(long, value_name = "TEXT", default_value = "customer-")]
    pub(crate) user_prefix: String,
}

#[derive(Debug, Args)]
pub(crate) struct WatchFlags {
    /// The server: ws://host:port or wss://host:port.
    #[arg(long, env = "DRAFTWIRE_URL", default_value = "ws://127.0.0.1:3000")]
    pub(crate) url: String,
    /// The user's token.
    #[arg(long, env = "DRAFTWIRE_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
}

/// A switch's environment variable: on unless it is empty, 0, no, off or false.
fn switch() -> FalseyValueParser {
    FalseyValueParser::new()
}

/// `10.0.0.0/8`, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let network =
        text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    network
        .ok_or_else(|| "write an address or a network such as 10.0.0.0/8 or 2001:db8::/32".into())
}

/// `25s`, `500ms`, `8h`, `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<jiff::SignedDuration> = text.parse().ok();
    let duration = parsed.and_then(|duration| Duration::try_from(duration).ok());
    duration.ok_or_else(|| "write a duration such as 500ms, 25s, 10m or 8h".into())
}

impl ServeFlags {
    /// Which claims tokens must have.
    pub(crate) fn claim_rules(&self) -> ClaimRules {
        ClaimRules {
            issuer: self.jwt_issuer.clone(),
            audience: self.jwt_audience.clone(),
            role_claim: self.jwt_role_claim.clone(),
        }
    }

    /// The server's settings.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        let limits = &self.limits;
        let defaults = Settings::default();
        Ok(Settings {
            limits: Limits {
                frame_bytes: limits.frame_bytes,
                document_bytes: limits.document_bytes,
                in_flight: limits.in_flight,
            },
            heartbeat: self.heartbeat,
            drain: self.drain,
            workers: if limits.workers == 0 { defaults.workers } else { limits.workers },
            outbox_bytes_max: limits.outbox_bytes,
            recovery_bytes_max: limits.recovery_bytes,
            queue_commands_max: limits.queue_commands,
            queue_bytes_max: limits.queue_bytes,
            publish_queue_max: limits.publish_queue,
            user_connections_max: limits.user_connections,
            connections_max: limits.connections,
            address_connections_max: limits.address_connections,
            address_handshakes: limits.address_handshakes,
            user_handshakes: limits.user_handshakes,
            connection_commands: limits.connection_commands,
            user_commands: limits.user_commands,
            connection_frames: limits.connection_frames,
            trusted_proxies: self.trusted_proxy.clone(),
            close_wait: limits.close_wait,
            handshake_time_max: limits.handshake_time,
            body_time_max: limits.body_time,
            batch_bytes_max: limits.batch_bytes,
            progress_jobs_max: limits.progress_jobs,
            progress_silence_max: limits.progress_silence,
            progress_anonymous: self.sync_anonymous,
            compression: self.compression,
            origins: OriginPolicy::new(&self.allow_origin)?,
            ..defaults
        })
    }

    /// How the embedded store is opened.
    pub(crate) fn store(&self) -> SqliteOptions {
        let durability = match self.durability {
            DurabilityFlag::PowerCut => Durability::PowerCut,
            DurabilityFlag::ProcessCrash => Durability::ProcessCrash,
        };
        SqliteOptions { durability, ..SqliteOptions::new(&self.data, self.store_limits()) }
    }

    /// The store's quotas.
    fn store_limits(&self) -> StoreLimits {
        let limits = &self.limits;
        StoreLimits {
            document_bytes_max: limits.document_bytes,
            device_answers_kept: limits.in_flight,
            user_documents_max: limits.user_documents,
            user_bytes_max: limits.user_bytes,
            user_devices_max: limits.user_devices,
            user_idempotency_keys_max: limits.user_idempotency_keys,
            idempotency_age: limits.idempotency_age,
            user_revoked_tokens_max: limits.user_revoked_tokens,
            log_events_max: limits.log_events,
            log_bytes_max: limits.log_bytes,
            log_age_max: limits.log_age,
        }
    }
}
