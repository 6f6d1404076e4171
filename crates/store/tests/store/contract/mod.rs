//! What every store promises: functions over `&dyn Store`, each of which begins with users of its
//! own, so they may share one store.
//!
//! A second engine opens a store with [`limits`] and runs them all.

use std::time::Duration;

use draftwire_store::StoreLimits;

pub mod documents;
pub mod log;
pub mod quotas;
pub mod recovery;
pub mod retrying;

/// Small limits, so that every bound is within reach.
pub fn limits() -> StoreLimits {
    StoreLimits {
        document_bytes_max: 100,
        user_documents_max: 5,
        user_bytes_max: 300,
        user_devices_max: 3,
        device_answers_kept: 3,
        user_idempotency_keys_max: 3,
        idempotency_age: Duration::from_secs(24 * 3600),
        log_events_max: 16,
        log_bytes_max: 20_000,
        log_age_max: Duration::from_secs(7 * 24 * 3600),
        user_revoked_tokens_max: 2,
    }
}
