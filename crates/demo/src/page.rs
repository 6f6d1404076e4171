//! The page's files: read once at the start, then served from memory, each at its own path.
//!
//! No request ever reaches the disk, so no path can lead out of the folder. Files beyond the
//! bounds, with odd names or of unknown kinds are errors at the start and no surprises later.

use std::fs;
use std::path::Path;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

/// Files of a page.
const FILES_MAX: usize = 100;
/// Bytes of a page.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Folders within folders.
const DEPTH_MAX: usize = 4;
/// What a page may load, and talk to: only where it came from.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'";

/// Content types by the end of the name.
const TYPES: [(&str, &str); 8] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
];

/// A built page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    files: Vec<File>,
    bytes: u64,
}

#[derive(Debug)]
struct File {
    path: String,
    content_type: &'static str,
    content: Bytes,
}

impl Page {
    /// Reads a folder that holds an `index.html`.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let mut page = Self::default();
        page.add_folder(folder, "/", 0)
            .map_err(|error| format!("the page in {}: {error}", folder.display()))?;
        if page.files.iter().any(|file| file.path == "/index.html") {
            return Ok(page);
        }
        Err(format!("{} holds no index.html: build the page (make demo)", folder.display()))
    }

    fn add_folder(&mut self, folder: &Path, path: &str, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("{path} lies too deep"));
        }
        for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
            let entry = entry.map_err(|error| error.to_string())?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if !is_plain(&name) {
                return Err(format!("{path}{name} has an odd name"));
            }
            // Of the entry itself: a link is not followed.
            let kind = entry.file_type().map_err(|error| error.to_string())?;
            if kind.is_dir() {
                self.add_folder(&entry.path(), &format!("{path}{name}/"), depth + 1)?;
            } else if kind.is_file() {
                self.add_file(&entry.path(), format!("{path}{name}"))?;
            } else {
                return Err(format!("{path}{name} is no plain file"));
            }
        }
        Ok(())
    }

    fn add_file(&mut self, file: &Path, path: String) -> Result<(), String> {
        let content_type = content_type(&path).ok_or(format!("{path} is of no known kind"))?;
        self.bytes += fs::metadata(file).map_err(|error| error.to_string())?.len();
        if self.files.len() >= FILES_MAX || self.bytes > BYTES_MAX {
            return Err(format!("more than {FILES_MAX} files or {BYTES_MAX} bytes"));
        }
        let content = fs::read(file).map_err(|error| error.to_string())?.into();
        self.files.push(File { path, content_type, content });
        Ok(())
    }

    /// A route for each file, and `/` for the index.
    pub(crate) fn router(self) -> Router {
        let mut router = Router::new();
        for File { path, content_type, content } in self.files {
            // The names of assets hold a digest of their content.
            let cache = if path.starts_with("/assets/") {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            };
            let answer = move || async move { response(content, content_type, cache) };
            if path == "/index.html" {
                router = router.route("/", get(answer.clone()));
            }
            router = router.route(&path, get(answer));
        }
        router
    }
}

fn response(content: Bytes, content_type: &'static str, cache: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, content).into_response()
}

/// Names that mean the same in a file system, in an address and in a route.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

fn content_type(path: &str) -> Option<&'static str> {
    let (_, end) = path.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| *known == end).map(|(_, content_type)| *content_type)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    async fn get(router: &Router, path: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let content_type = answer.headers().get(header::CONTENT_TYPE).cloned();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let content_type = content_type.map_or(String::new(), |v| v.to_str().unwrap().into());
        (status, content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn files_have_their_content_types_and_nothing_else_is_there() {
        let folder = folder(&[("page/index.html", "hello"), ("page/assets/a-1.js", "1")]);
        fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        let router = Page::read(&folder.path().join("page")).unwrap().router();
        let html = (StatusCode::OK, "text/html; charset=utf-8".into(), "hello".into());
        assert_eq!(get(&router, "/").await, html);
        assert_eq!(get(&router, "/index.html?device=phone").await, html);
        let (status, content_type, _) = get(&router, "/assets/a-1.js").await;
        assert_eq!((status, &*content_type), (StatusCode::OK, "text/javascript; charset=utf-8"));
        let outside = [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/assets/../../secret.txt",
            "/assets",
            "/assets/",
            "//index.html",
            "/assets/%2e%2e/index.html",
        ];
        for path in outside {
            assert_eq!(get(&router, path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn odd_folders_are_refused_at_the_start() {
        assert!(Page::read(Path::new("/nowhere")).is_err());
        assert!(Page::read(folder(&[("a.js", "")]).path()).unwrap_err().contains("index.html"));
        for odd in ["{name}.js", ".env", "a b.js", "a.exe", "plain", "a/b/c/d/e/f.js"] {
            let folder = folder(&[("index.html", ""), (odd, "")]);
            assert!(Page::read(folder.path()).is_err(), "{odd}");
        }
        let folder = folder(&[("index.html", "")]);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("passwd.txt")).unwrap();
        assert!(Page::read(folder.path()).is_err());
    }
}
