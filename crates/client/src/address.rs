//! Where a server is: `ws://host:port` or `wss://host:port`, with an optional path before the
//! server's own.

/// Where a server takes devices.
pub const REALTIME_PATH: &str = "/ws/realtime";

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `host:port`, as it stands in `Host`.
    pub authority: String,
    /// What stands before `/ws/…` and `/api/…`; empty or with a leading slash and none behind.
    pub prefix: String,
    /// True for TLS.
    pub secure: bool,
}

impl Address {
    /// Reads `ws://host:port` or `http://host:port`, with or without a path; with the feature
    /// `tls` also `wss://` and `https://`. Without a port it is 80, with TLS 443.
    ///
    /// # Errors
    ///
    /// Where the text is no such address, with a sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (secure, port) = match scheme {
            "ws" | "http" => (false, 80),
            "wss" | "https" if cfg!(feature = "tls") => (true, 443),
            "wss" | "https" => return Err(format!("'{text}': this program was built without TLS")),
            _ => return Err(format!("'{text}' must begin with ws:// or wss://")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_odd = |c: char| matches!(c, '@' | '?' | '#' | ' ') || c.is_control();
        if authority.is_empty() || authority.contains(is_odd) {
            return Err(format!("'{text}' names no host"));
        }
        if path.contains(is_odd) {
            return Err(format!("'{text}': the path can't hold '@', '?', '#' or spaces"));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { authority, prefix, secure })
    }

    /// The host without port and brackets.
    #[cfg(feature = "tls")]
    pub(crate) fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':').map_or(&*self.authority, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
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
            assert!(!address.secure);
        }
        for text in ["ftp://a", "localhost:3000", "ws://", "ws:///x", "ws://a/b c", "ws://a/b?c"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn secure_addresses_have_a_port_of_their_own_and_a_host_to_check() {
        for (text, authority, host) in [
            ("wss://example.com", "example.com:443", "example.com"),
            ("https://example.com:8443/x", "example.com:8443", "example.com"),
            ("wss://[::1]:3000", "[::1]:3000", "::1"),
        ] {
            let address = Address::parse(text).unwrap();
            assert!(address.secure);
            assert_eq!((&*address.authority, address.host()), (authority, host), "{text}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_tls_a_secure_address_is_refused_with_the_reason() {
        assert!(Address::parse("wss://example.com").unwrap_err().contains("without TLS"));
    }
}
