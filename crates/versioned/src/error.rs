//! Why something did not change.

use core::fmt;

/// Others were faster each time that something was tried; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict;

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("others changed the value each time; try again, or make the update shorter")
    }
}

impl core::error::Error for Conflict {}

/// Why an update of a [`Versioned`](crate::Versioned) changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateError {
    /// Others were faster each time.
    Conflict,
    /// Snapshots keep as many versions of the cell as there may be.
    TooManyVersions,
}

const TOO_MANY: &str = "snapshots keep too many versions of the cell; drop some of them first";

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => Conflict.fmt(f),
            Self::TooManyVersions => f.write_str(TOO_MANY),
        }
    }
}

impl core::error::Error for UpdateError {}

/// Why a [`transaction`](crate::transaction()) changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionError<E> {
    /// Others changed what it had read, each time.
    Conflict,
    /// Snapshots keep as many versions of a cell as there may be.
    TooManyVersions,
    /// What its body returned.
    Rejected(E),
}

impl<E: fmt::Display> fmt::Display for TransactionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => {
                f.write_str("others changed what the transaction had read, each time; try again")
            }
            Self::TooManyVersions => f.write_str(TOO_MANY),
            Self::Rejected(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for TransactionError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Rejected(error) => Some(error),
            _ => None,
        }
    }
}
