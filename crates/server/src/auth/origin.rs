//! Which web pages may connect: an exact allow-list, or by default the same host.
//!
//! A browser sends `Origin` (RFC 6454) with every WebSocket handshake and lets the server decide;
//! other clients send none and are let in, since the token decides there.

/// Which origins are let in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginPolicy {
    allowed: Vec<String>,
    any: bool,
}

impl OriginPolicy {
    /// Lets in the same host and these: `scheme://host[:port]`, or `*` for every page.
    pub fn new<S: AsRef<str>>(allowed: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let mut policy = Self::default();
        for origin in allowed {
            let origin = origin.as_ref();
            if origin == "*" {
                policy.any = true;
            } else if is_origin(origin) {
                policy.allowed.push(origin.to_ascii_lowercase());
            } else {
                return Err(format!(
                    "'{origin}' is not an origin: write scheme://host or scheme://host:port, \
                     without a path or a slash at the end"
                ));
            }
        }
        Ok(policy)
    }

    /// True where a page of `origin` may talk to a server that was called as `host`.
    pub fn allows(&self, origin: &str, host: Option<&str>) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.any
            || self.allowed.contains(&origin)
            || host.is_some_and(|host| is_same_host(&origin, host))
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let scheme_fits = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric());
    scheme_fits && !authority.is_empty() && !authority.contains(['/', '?', '#', '@', '*', ' '])
}

/// Compares host and port; a port that is the scheme's own may be left out on either side.
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    authority.strip_suffix(default_port).unwrap_or(authority) == host
}

#[cfg(test)]
mod tests {
    use super::OriginPolicy;

    #[test]
    fn only_exact_origins_and_the_same_host_are_let_in() {
        let policy =
            OriginPolicy::new(["https://app.example.com", "http://localhost:5173"]).unwrap();
        let table = [
            ("https://app.example.com", true),
            ("https://APP.example.com", true),
            ("https://app.example.com.evil.test", false),
            ("https://evil-app.example.com", false),
            ("https://app.example.com:8443", false),
            ("http://app.example.com", false),
            ("https://example.com", false),
            ("https://sub.app.example.com", false),
            ("http://localhost:5173", true),
            ("http://localhost:51730", false),
            ("http://localhost", false),
            ("null", false),
            ("", false),
            ("https://", false),
            ("https://drafts.test", true),
            ("http://drafts.test", true),
            ("https://drafts.test:443", true),
            ("https://drafts.test:80", false),
            ("https://drafts.test.evil.test", false),
            ("ftp://drafts.test", false),
        ];
        for (origin, expected) in table {
            assert_eq!(policy.allows(origin, Some("drafts.test")), expected, "{origin}");
        }
        assert!(policy.allows("http://127.0.0.1:3000", Some("127.0.0.1:3000")));
        assert!(!policy.allows("http://127.0.0.1:3001", Some("127.0.0.1:3000")));
        assert!(!policy.allows("https://drafts.test", None));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in ["example.com", "https://a/", "https://a/b", "https://*.a", "://a", "https://"]
        {
            assert!(OriginPolicy::new([text]).is_err(), "{text}");
        }
        assert!(OriginPolicy::new(["*"]).unwrap().allows("https://anything.test", None));
    }
}
