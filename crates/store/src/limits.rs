//! How much a store keeps: named, with the unit last.

use std::time::Duration;

use draftwire_protocol::limits::{DOCUMENT_BYTES_DEFAULT, IN_FLIGHT_DEFAULT};

/// Quotas per user, and how far the log reaches back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLimits {
    /// Largest `data` of one document, in bytes of JSON text.
    pub document_bytes_max: usize,
    /// Documents of one user, both collections together.
    pub user_documents_max: u64,
    /// Bytes of `data` of one user's documents together.
    pub user_bytes_max: u64,
    /// Devices (`clientId`s that have sent a `mutationId`) of one user.
    pub user_devices_max: u64,
    /// Answers kept for each device: as many as it may have unanswered.
    pub device_answers_kept: usize,
    /// `Idempotency-Key`s of one user that are remembered at a time.
    pub user_idempotency_keys_max: u64,
    /// How long an `Idempotency-Key` is remembered.
    pub idempotency_age: Duration,
    /// Events kept per user.
    pub log_events_max: u64,
    /// Bytes of events kept per user; wins over the two others.
    pub log_bytes_max: u64,
    /// Age up to which events are kept.
    pub log_age_max: Duration,
    /// Single tokens (`jti`) of one user that may be revoked.
    pub user_revoked_tokens_max: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            document_bytes_max: DOCUMENT_BYTES_DEFAULT,
            user_documents_max: 20_000,
            user_bytes_max: 64 * 1024 * 1024,
            user_devices_max: 256,
            device_answers_kept: IN_FLIGHT_DEFAULT,
            user_idempotency_keys_max: 10_000,
            idempotency_age: Duration::from_secs(24 * 3600),
            log_events_max: 1_000,
            log_bytes_max: 8 * 1024 * 1024,
            log_age_max: Duration::from_secs(7 * 24 * 3600),
            user_revoked_tokens_max: 1_000,
        }
    }
}
