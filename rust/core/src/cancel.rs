//! How long work is ended early from outside.

use std::sync::atomic::AtomicBool;

/// Raised from outside: work that was given it then ends, without a result.
pub type Cancel = AtomicBool;
