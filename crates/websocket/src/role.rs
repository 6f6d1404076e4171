//! Which end of a connection the bytes come from.

/// Which end of the connection decodes, and so whether the frames must be masked (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The frames come from a client: every one must be masked.
    Server,
    /// The frames come from a server: none may be masked.
    Client,
}
