//! What SQLite's errors mean for the store: wait, give this command up, or trust nothing more.

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_DATA;

use crate::contract::StoreError;

/// A failure inside the SQLite store.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite's own.
    Sqlite(rusqlite::Error),
    /// The folder or file can't be used, and the text says why.
    Refused(String),
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    /// True where only the statement failed (a constraint, a value too large): the command is
    /// given up, the rest of its batch goes on.
    pub(super) fn concerns_one_command(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        match error.sqlite_error_code() {
            Some(code) => matches!(
                code,
                ErrorCode::ConstraintViolation
                    | ErrorCode::TooBig
                    | ErrorCode::TypeMismatch
                    | ErrorCode::ParameterOutOfRange
            ),
            // Not from SQLite but from reading a row: a value of a type we did not write.
            None => true,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(why) => Self::Unavailable(why),
            Failure::Sqlite(rusqlite::Error::SqliteFailure(error, _))
                if error.extended_code == SQLITE_IOERR_DATA =>
            {
                Self::Poisoned("a page of the data file is damaged: restore a backup".into())
            }
            Failure::Sqlite(error) => match error.sqlite_error_code() {
                Some(
                    ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::OutOfMemory,
                ) => Self::Unavailable(error.to_string()),
                _ => Self::Poisoned(error.to_string()),
            },
        }
    }
}
