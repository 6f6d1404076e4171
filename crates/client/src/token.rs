//! Where tokens come from: the application's backend, asked again and again.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

/// Why there is no token. It is shown to the application and never looked at.
pub type TokenError = Box<dyn Error + Send + Sync>;

/// A token that is on its way.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// Brings a token that is good now. It is asked before each connection and before the token in use
/// ends, so a token that was kept must not be given out when it is about to end. It may fail, and
/// it may hang: both are met with a timeout, a back-off and another try.
///
/// Every closure `Fn() -> impl Future<Output = Result<String, TokenError>>` is one.
pub trait TokenSource: Send + Sync + 'static {
    /// A fresh token.
    fn token(&self) -> TokenFuture;
}

impl<F, T> TokenSource for F
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = Result<String, TokenError>> + Send + 'static,
{
    fn token(&self) -> TokenFuture {
        Box::pin(self())
    }
}
