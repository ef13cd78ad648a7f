//! Prints what this machine can do at most: matrix-product rate of each kernel, and memory read rate.

use t2fast_decode::{Kernel, machine};

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    for threads in [1, cores] {
        for kernel in Kernel::available() {
            let rate = machine::product_rate(kernel, threads) / 1e9;
            println!("{threads} threads, {:12} {rate:8.0} GFLOP/s", kernel.name());
        }
        println!("{threads} threads, memory read  {:8.1} GB/s", machine::read_rate(threads) / 1e9);
    }
}
