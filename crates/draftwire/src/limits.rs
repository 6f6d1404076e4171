//! Limits of the process: every connection needs a descriptor.

/// Raises the limit on open descriptors as far as the system lets this process.
pub(crate) fn raise_descriptors() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "descriptors this process may open"),
        Err(error) => tracing::warn!(%error, "the limit on descriptors could not be raised"),
    }
}
