//! Worker threads for phases of microseconds.
//!
//! A step of the model is some three hundred parallel phases, each as short as a few microseconds. Workers therefore
//! spin between phases and go to sleep only when none has come for a while. Tasks are claimed one by one, so a core that
//! others use does not hold up the rest; what a task computes never depends on who runs it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pause instructions before a waiting thread offers its core to others.
const SPINS: u32 = 4_000;
/// How long a worker without work keeps its core warm.
const AWAKE: Duration = Duration::from_micros(500);

/// Called with the task's number and the worker's.
type Task<'a> = &'a (dyn Fn(usize, usize) + Sync);

struct Phase {
    /// Counts phases; a worker that sees a new number joins in.
    epoch: AtomicUsize,
    task: Mutex<Option<Task<'static>>>,
    tasks: AtomicUsize,
    next: AtomicUsize,
    /// Workers that have left the current phase.
    left: AtomicUsize,
    failed: AtomicBool,
    stop: AtomicBool,
    asleep: Mutex<usize>,
    wake: Condvar,
}

/// A fixed set of threads, the caller's among them.
pub(crate) struct Pool {
    phase: Arc<Phase>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `threads` threads, the caller's included.
    pub(crate) fn new(threads: usize) -> std::io::Result<Pool> {
        let phase = Arc::new(Phase {
            epoch: AtomicUsize::new(0),
            task: Mutex::new(None),
            tasks: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            asleep: Mutex::new(0),
            wake: Condvar::new(),
        });
        let mut pool = Pool { phase, workers: Vec::new() };
        for i in 1..threads {
            let phase = pool.phase.clone();
            let name = format!("t2fast-decode-{i}");
            pool.workers.push(std::thread::Builder::new().name(name).spawn(move || phase.work(i))?);
        }
        Ok(pool)
    }

    /// Threads, the caller's included.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(i, worker)` for every i below `tasks`, each once, on all threads; returns when all are done.
    pub(crate) fn run(&self, tasks: usize, task: Task<'_>) {
        if self.workers.is_empty() || tasks <= 1 {
            (0..tasks).for_each(|i| task(i, 0));
            return;
        }
        let phase = &*self.phase;
        // SAFETY: only the lifetime changes. Workers use the reference between the change of epoch below and their
        // increment of `left`, and this function waits for all of them before it returns or unwinds.
        let forever = unsafe { std::mem::transmute::<Task<'_>, Task<'static>>(task) };
        *lock(&phase.task) = Some(forever);
        phase.tasks.store(tasks, Ordering::Relaxed);
        phase.next.store(0, Ordering::Relaxed);
        phase.left.store(0, Ordering::Relaxed);
        phase.epoch.fetch_add(1, Ordering::SeqCst);
        {
            let asleep = lock(&phase.asleep);
            if *asleep > 0 {
                phase.wake.notify_all();
            }
        }
        phase.claim(forever, 0);
        let mut spins = 0;
        while phase.left.load(Ordering::Acquire) < self.workers.len() {
            spin(&mut spins);
        }
        assert!(!phase.failed.load(Ordering::Relaxed), "a task of the decode engine panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.phase.stop.store(true, Ordering::SeqCst);
        self.phase.epoch.fetch_add(1, Ordering::SeqCst);
        drop(lock(&self.phase.asleep));
        self.phase.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its tasks throw, so joining cannot fail.
            let _ = worker.join();
        }
    }
}

impl Phase {
    fn claim(&self, task: Task<'_>, worker: usize) {
        let tasks = self.tasks.load(Ordering::Relaxed);
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= tasks {
                return;
            }
            if catch_unwind(AssertUnwindSafe(|| task(i, worker))).is_err() {
                self.failed.store(true, Ordering::Relaxed);
            }
        }
    }

    fn work(&self, worker: usize) {
        let mut seen = 0;
        loop {
            self.wait(seen);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            seen = self.epoch.load(Ordering::SeqCst);
            let task = *lock(&self.task);
            if let Some(task) = task {
                self.claim(task, worker);
            }
            self.left.fetch_add(1, Ordering::Release);
        }
    }

    /// Returns once the epoch differs from `seen`.
    fn wait(&self, seen: usize) {
        let mut spins = 0;
        let mut since = None;
        while self.epoch.load(Ordering::Acquire) == seen {
            spin(&mut spins);
            if spins >= SPINS && since.get_or_insert_with(Instant::now).elapsed() > AWAKE {
                let mut asleep = lock(&self.asleep);
                *asleep += 1;
                while self.epoch.load(Ordering::SeqCst) == seen {
                    asleep = self.wake.wait(asleep).unwrap_or_else(|poisoned| poisoned.into_inner());
                }
                *asleep -= 1;
            }
        }
    }
}

fn spin(spins: &mut u32) {
    if *spins < SPINS {
        *spins += 1;
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads).unwrap();
            for tasks in [0, 1, 2, 7, 1000] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                for _ in 0..20 {
                    pool.run(tasks, &|i, _| {
                        counts[i].fetch_add(1, Ordering::Relaxed);
                    });
                }
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 20));
            }
        }
    }

    #[test]
    fn a_sleeping_pool_wakes() {
        let pool = Pool::new(3).unwrap();
        let count = AtomicUsize::new(0);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(5));
            pool.run(10, &|_, worker| {
                assert!(worker < 3);
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(count.load(Ordering::Relaxed), 30);
    }
}
