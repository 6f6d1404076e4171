//! Where a server is: `ws://host:port` with an optional path before the server's own.

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `host:port`, as it stands in `Host`.
    pub authority: String,
    /// What stands before `/ws/…` and `/api/…`; empty or with a leading slash and none behind.
    pub prefix: String,
}

impl Address {
    /// Reads `ws://host:port` or `http://host:port`, with or without a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("ws://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or_else(|| format!("'{text}' must begin with ws:// or http:// (no TLS here)"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() || authority.contains(['@', '?', '#', ' ']) {
            return Err(format!("'{text}' names no host"));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { authority, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_are_read_with_port_and_path() {
        let table = [
            ("ws://localhost:3000", "localhost:3000", ""),
            ("http://localhost:3000/", "localhost:3000", ""),
            ("ws://[::1]:3000/a/b/", "[::1]:3000", "/a/b"),
            ("ws://example.com", "example.com:80", ""),
        ];
        for (text, authority, prefix) in table {
            let address = Address::parse(text).unwrap();
            assert_eq!((&*address.authority, &*address.prefix), (authority, prefix), "{text}");
        }
        for text in ["wss://a", "localhost:3000", "ws://", "ws:///x"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
