//! Long work that Ctrl-C ends: it runs on its own thread while this one listens for signals.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use t2fast_core::cancel::Cancel;

/// Runs `work` without the interpreter lock; when a signal handler raises, tells `work` to stop and raises that.
pub fn cancellable<T: Send>(py: Python<'_>, work: impl FnOnce(&Cancel) -> Option<T> + Send) -> PyResult<T> {
    let cancel = Cancel::new(false);
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        // A receiver may not be shared with a section that runs without the lock; a mutex around it may.
        let receiver = Mutex::new(receiver);
        let flag = &cancel;
        let worker = scope.spawn(move || {
            let _ = sender.send(work(flag));
        });
        loop {
            let message = py.detach(|| {
                let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
                receiver.recv_timeout(Duration::from_millis(50))
            });
            match message {
                Ok(Some(result)) => return Ok(result),
                Ok(None) => return Err(PyRuntimeError::new_err("cancelled")),
                // The worker ended without an answer: it panicked. The panic's message is on stderr already.
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = worker.join();
                    return Err(PyRuntimeError::new_err("internal error in t2fast._core; please report it"));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(signal) = py.check_signals() {
                        cancel.store(true, Ordering::Relaxed);
                        return Err(signal);
                    }
                }
            }
        }
    })
}
