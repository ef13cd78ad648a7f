//! Worker threads for phases of microseconds.
//!
//! A step of the model is some three hundred parallel phases, each as short as a few microseconds. Workers therefore
//! spin between phases and go to sleep only when none has come for a while. Each has its share of the tasks, next to one
//! another as their weights are in memory, claims them one by one, and then those of others that are left: a core that
//! others use does not hold up the rest. What a task computes never depends on who runs it.

use std::cell::UnsafeCell;
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

/// Set in the state while workers may join the phase.
const OPEN: usize = 1;
/// One worker inside the phase.
const INSIDE: usize = 2;
/// One phase; the bits between count the workers inside.
const EPOCH: usize = 1 << 16;

/// On a cache line of its own: the others are written all the time.
#[repr(align(64))]
struct Share(AtomicUsize);

struct Phase {
    /// Number of the phase, workers inside it, and whether it is open, in one word: a worker joins by one exchange, and
    /// the caller waits only for those that did. One that others keep off its core holds nobody up.
    state: AtomicUsize,
    task: UnsafeCell<Option<Task<'static>>>,
    tasks: AtomicUsize,
    /// The next task of each thread's share.
    next: Vec<Share>,
    failed: AtomicBool,
    stop: AtomicBool,
    busy: AtomicBool,
    asleep: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `task` is written only by the pool's owner while the phase is closed and empty, and read only by workers inside.
unsafe impl Sync for Phase {}
// SAFETY: as above; the task itself is Sync.
unsafe impl Send for Phase {}

/// A fixed set of threads, the caller's among them.
pub(crate) struct Pool {
    phase: Arc<Phase>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `threads` threads, the caller's included.
    pub(crate) fn new(threads: usize) -> std::io::Result<Pool> {
        let phase = Arc::new(Phase {
            state: AtomicUsize::new(0),
            task: UnsafeCell::new(None),
            tasks: AtomicUsize::new(0),
            next: (0..threads).map(|_| Share(AtomicUsize::new(0))).collect(),
            failed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            asleep: AtomicUsize::new(0),
            sleep: Mutex::new(()),
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
        assert!(!phase.busy.swap(true, Ordering::Acquire), "a phase of the decode engine within a phase");
        // SAFETY: only the lifetime changes. Workers use the reference between joining and leaving; this function closes
        // the phase and waits for those inside before it returns, and nothing in between unwinds.
        let forever = unsafe { std::mem::transmute::<Task<'_>, Task<'static>>(task) };
        // SAFETY: the phase before was closed and left by all, and `busy` keeps other callers away.
        unsafe { *phase.task.get() = Some(forever) };
        phase.tasks.store(tasks, Ordering::Relaxed);
        for (share, next) in phase.next.iter().enumerate() {
            next.0.store(share * tasks / phase.next.len(), Ordering::Relaxed);
        }
        phase.state.fetch_add(EPOCH | OPEN, Ordering::SeqCst);
        if phase.asleep.load(Ordering::SeqCst) > 0 {
            drop(lock(&phase.sleep));
            phase.wake.notify_all();
        }
        phase.claim(forever, 0);
        phase.state.fetch_sub(OPEN, Ordering::SeqCst);
        let mut spins = 0;
        while phase.state.load(Ordering::Acquire) % EPOCH >= INSIDE {
            spin(&mut spins);
        }
        phase.busy.store(false, Ordering::Release);
        assert!(!phase.failed.swap(false, Ordering::Relaxed), "a task of the decode engine panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.phase.stop.store(true, Ordering::SeqCst);
        drop(lock(&self.phase.sleep));
        self.phase.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its tasks throw, so joining cannot fail.
            let _ = worker.join();
        }
    }
}

impl Phase {
    /// Runs tasks until none is left.
    fn claim(&self, task: Task<'_>, worker: usize) {
        let tasks = self.tasks.load(Ordering::Relaxed);
        let shares = self.next.len();
        for share in (worker..shares).chain(0..worker) {
            loop {
                let i = self.next[share].0.fetch_add(1, Ordering::Relaxed);
                if i >= (share + 1) * tasks / shares {
                    break;
                }
                if catch_unwind(AssertUnwindSafe(|| task(i, worker))).is_err() {
                    self.failed.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    fn work(&self, worker: usize) {
        let mut seen = 0;
        let mut spins = 0;
        let mut idle = None;
        while !self.stop.load(Ordering::Relaxed) {
            let state = self.state.load(Ordering::SeqCst);
            if state & OPEN == 0 || state / EPOCH == seen {
                spin(&mut spins);
                if spins >= SPINS && idle.get_or_insert_with(Instant::now).elapsed() > AWAKE {
                    self.rest(seen);
                    spins = 0;
                    idle = None;
                }
                continue;
            }
            let joined = self
                .state
                .compare_exchange(state, state + INSIDE, Ordering::SeqCst, Ordering::Relaxed)
                .is_ok();
            if !joined {
                continue;
            }
            seen = state / EPOCH;
            // SAFETY: this worker is inside, so the task is set and stays until it leaves.
            if let Some(task) = unsafe { *self.task.get() } {
                self.claim(task, worker);
            }
            self.state.fetch_sub(INSIDE, Ordering::Release);
            spins = 0;
            idle = None;
        }
    }

    /// Sleeps until a phase other than `seen` is open, or the pool goes.
    fn rest(&self, seen: usize) {
        let mut guard = lock(&self.sleep);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        loop {
            let state = self.state.load(Ordering::SeqCst);
            let open = state & OPEN != 0 && state / EPOCH != seen;
            if open || self.stop.load(Ordering::SeqCst) {
                break;
            }
            guard = self.wake.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
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
