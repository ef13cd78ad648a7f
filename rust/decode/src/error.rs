//! Why a model could not be loaded.

use std::fmt;
use std::path::{Path, PathBuf};

/// What kind of obstacle stopped the loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The operating system would not read the file.
    Io,
    /// The file contradicts its own format or its own configuration.
    Malformed,
    /// The file is sound, but holds something this engine does not compute.
    Unsupported,
}

/// A model file that cannot be used: where, and what to do about it.
#[derive(Clone, Debug)]
pub struct LoadError {
    /// Kind of obstacle.
    pub reason: Reason,
    /// The file or folder at fault.
    pub path: PathBuf,
    /// One sentence that names the key, tensor or type.
    pub message: String,
}

impl LoadError {
    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        Self { reason: Reason::Io, path: path.into(), message: error.to_string() }
    }

    pub(crate) fn malformed(path: &Path, message: impl Into<String>) -> Self {
        Self { reason: Reason::Malformed, path: path.into(), message: message.into() }
    }

    pub(crate) fn unsupported(path: &Path, message: impl Into<String>) -> Self {
        Self { reason: Reason::Unsupported, path: path.into(), message: message.into() }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

impl std::error::Error for LoadError {}
