//! The engine against a plain float64 model, and against itself: any number of samples, batch, order, threads, kernel.

mod chances;
mod company;
mod ends;
mod logits;
mod scores;

use crate::naive;
use crate::tensor::DType;
use crate::testing::{Numbers, Shape, model};
use crate::{Engine, Error, Finish, Kernel, Observer, Options, Precision, Request, Sample, Sampling, Silent};

fn engine(shape: &Shape, precision: Precision, kernel: Option<Kernel>, threads: usize) -> Engine {
    let options = Options { precision: Some(precision), threads: Some(threads), kernel };
    Engine::new(model(shape), options).unwrap()
}

fn request(prompts: Vec<Vec<u32>>, k: usize) -> Request {
    Request {
        keys: (0..prompts.len() as u64).map(|i| i * 0x1234_5678_9abc + 7).collect(),
        k: vec![k; prompts.len()],
        prompts,
        first_sample: 0,
        have: vec![],
        sampling: Sampling::default(),
        max_tokens: 9,
        stop_tokens: vec![],
        stop: vec![],
        max_rows: None,
        ahead: None,
        keep: true,
    }
}

fn prompt(seed: u64, len: usize) -> Vec<u32> {
    let mut numbers = Numbers::new(seed);
    (0..len).map(|_| (numbers.bits() >> 33) as u32 % 301).collect()
}

fn draw(engine: &mut Engine, request: &Request) -> Vec<Sample> {
    engine.sample(request, &mut Silent).unwrap().samples
}

fn precisions() -> Vec<(Precision, Kernel)> {
    let precision =
        |&k: &Kernel| if k == Kernel::Avx512Bf16 { Precision::Bfloat16 } else { Precision::Float32 };
    Kernel::available().iter().map(|k| (precision(k), *k)).collect()
}

fn shapes() -> Vec<Shape> {
    let quantised = |dtype| Shape {
        dtype,
        width: 64,
        heads: 2,
        kv_heads: 1,
        head_dim: 32,
        hidden: 96,
        ..Shape::default()
    };
    vec![
        Shape::default(),
        Shape { neox: true, ..Shape::default() },
        Shape { dtype: DType::F16, window: Some(5), heads: 3, kv_heads: 1, ..Shape::default() },
        Shape { dtype: DType::BF16, neox: true, heads: 5, kv_heads: 5, head_dim: 20, ..Shape::default() },
        quantised(DType::Q8_0),
        quantised(DType::Q4_0),
        quantised(DType::Q4_1),
    ]
}
