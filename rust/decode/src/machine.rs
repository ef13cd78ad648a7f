//! What this machine can do at most: the rates that the engine's speed is a fraction of.

use std::time::{Duration, Instant};

use crate::aligned::Buffer;
use crate::kernels::Kernel;
use crate::kernels::gemm::plain;
use crate::kernels::portable::Portable;
use crate::kernels::simd::{Arith, Op};
use crate::pack::BLOCK;
use crate::pool::Pool;

/// Inner dimension of the measured product: activations and weights stay in the first-level cache.
const STEPS: usize = 256;
/// Rows of the measured register tile; every kernel has room for them.
const ROWS: usize = 4;

struct Product<'a, A: Arith> {
    x: &'a [A::X],
    w: &'a [A::X],
    acc: &'a mut [f32],
    times: usize,
}

impl<A: Arith> Op<A> for Product<'_, A> {
    type Out = usize;

    #[inline(always)]
    fn run(self, a: A) -> usize {
        macro_rules! tile {
            ($m:literal) => {{
                assert!(self.x.len() >= STEPS * $m * A::STEP && self.w.len() >= STEPS * BLOCK * A::STEP);
                assert!(self.acc.len() >= $m * BLOCK);
                for _ in 0..self.times {
                    // SAFETY: lengths are checked above.
                    unsafe {
                        let (x, w) = (self.x.as_ptr(), self.w.as_ptr());
                        plain::<A, $m>(a, STEPS, x, w, self.acc.as_mut_ptr(), BLOCK);
                    }
                }
                $m
            }};
        }
        if A::MR >= 8 { tile!(8) } else { tile!(4) }
    }
}

fn rate<A: Arith>(a: A, threads: usize) -> f64 {
    let Ok(pool) = Pool::new(threads) else { return f64::NAN };
    let times = 2_000;
    let mut best = f64::INFINITY;
    let mut rows = ROWS;
    let deadline = Instant::now() + Duration::from_millis(400);
    while Instant::now() < deadline {
        let done: Vec<std::sync::Mutex<usize>> = (0..threads).map(|_| std::sync::Mutex::new(0)).collect();
        let start = Instant::now();
        pool.run(threads, &|task, _| {
            let x = Buffer::<A::X>::zeroed(STEPS * 16 * A::STEP);
            let w = Buffer::<A::X>::zeroed(STEPS * BLOCK * A::STEP);
            let mut acc = vec![0.0; 16 * BLOCK];
            let rows = a.call(Product { x: &x, w: &w, acc: &mut acc, times });
            *done[task].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = rows;
        });
        best = best.min(start.elapsed().as_secs_f64());
        rows = *done[0].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    }
    (threads * times * STEPS * A::STEP * rows * BLOCK * 2) as f64 / best
}

/// Floating-point operations a second of the register tile on operands in the first-level cache, on all threads; NaN for
/// a kernel that this CPU does not have.
pub fn product_rate(kernel: Kernel, threads: usize) -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::kernels::{avx2::Avx2, avx512::Avx512, avx512_bf16::Avx512Bf16};
        match kernel {
            Kernel::Avx512Bf16 => Avx512Bf16::new().map_or(f64::NAN, |a| rate(a, threads)),
            Kernel::Avx512 => Avx512::new().map_or(f64::NAN, |a| rate(a, threads)),
            Kernel::Avx2 => Avx2::new().map_or(f64::NAN, |a| rate(a, threads)),
            Kernel::Portable => rate(Portable, threads),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    if kernel == Kernel::Portable { rate(Portable, threads) } else { f64::NAN }
}

/// Bytes a second read from memory on all threads.
pub fn read_rate(threads: usize) -> f64 {
    let Ok(pool) = Pool::new(threads) else { return f64::NAN };
    let data = vec![1u64; 64 << 20];
    let part = data.len() / (64 * threads);
    let mut best = f64::INFINITY;
    for _ in 0..6 {
        let start = Instant::now();
        pool.run(64 * threads, &|task, _| {
            let mut sums = [0u64; 16];
            for line in data[task * part..][..part].chunks_exact(16) {
                for (sum, x) in sums.iter_mut().zip(line) {
                    *sum ^= x;
                }
            }
            std::hint::black_box(sums);
        });
        best = best.min(start.elapsed().as_secs_f64());
    }
    (64 * threads * part * 8) as f64 / best
}
