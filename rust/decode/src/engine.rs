//! The engine's face: load a model, draw samples, score answers.

use std::fmt;

use crate::aligned::Plain;
use crate::kernels::Kernel;
use crate::kernels::portable::Portable;
use crate::kernels::simd::Arith;
use crate::model::{Config, Model};
use crate::network::Network;
use crate::pool::Pool;
use crate::sampling::Sampling;
use crate::step::Core;

/// Arithmetic of the matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Float32 throughout; the same bits on every kernel.
    Float32,
    /// Inputs of matrix products rounded to bfloat16, sums in float32.
    Bfloat16,
}

/// How to run a model; `None` lets the machine decide.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Arithmetic; by default bfloat16 where the CPU has its instructions.
    pub precision: Option<Precision>,
    /// Threads; by default the machine's cores.
    pub threads: Option<usize>,
    /// Kernels; by default the fastest for the arithmetic.
    pub kernel: Option<Kernel>,
}

/// Why the engine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// An argument or a model that cannot be served; the text says what to change.
    Invalid(String),
    /// The observer asked to stop.
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(text) => f.write_str(text),
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}

pub(crate) fn invalid<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(text.into()))
}

/// What to draw.
#[derive(Clone, Debug)]
pub struct Request {
    /// Prompts, one a problem; an empty one stands for the beginning-of-sequence token.
    pub prompts: Vec<Vec<u32>>,
    /// Random key of each problem.
    pub keys: Vec<u64>,
    /// Samples of each problem.
    pub k: Vec<usize>,
    /// Index of each problem's first sample.
    pub first_sample: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Longest sample.
    pub max_tokens: usize,
    /// Tokens that end a sample.
    pub stop_tokens: Vec<u32>,
    /// Strings that end a sample, as bytes.
    pub stop: Vec<Vec<u8>>,
    /// Bytes of each token; needed with `stop`.
    pub token_bytes: Vec<Vec<u8>>,
    /// Most samples drawn at once; `None` for the engine's choice.
    pub max_rows: Option<usize>,
}

/// Why a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop token, by its index among the stop tokens.
    StopToken(usize),
    /// A stop string, by its index.
    StopString(usize),
    /// The longest length.
    Length,
    /// Its problem was stopped.
    Cancelled,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Index of its problem.
    pub problem: usize,
    /// Its index within the problem.
    pub sample: u32,
    /// Tokens, a stop token included.
    pub tokens: Vec<u32>,
    /// Log-probability of each token under the model's logits.
    pub logprobs: Vec<f32>,
    /// The same after temperature and filters; 0 when greedy.
    pub processed: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

impl Sample {
    /// A sample without tokens, cancelled unless it goes on.
    pub(crate) fn empty(problem: usize, sample: u32) -> Sample {
        Sample {
            problem,
            sample,
            tokens: Vec::new(),
            logprobs: Vec::new(),
            processed: Vec::new(),
            finish: Finish::Cancelled,
        }
    }
}

/// What a call drew.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// All samples asked for, ordered by problem and sample.
    pub samples: Vec<Sample>,
    /// Whether the observer interrupted the call; what had not ended is then cancelled.
    pub interrupted: bool,
}

/// Who watches a call.
pub trait Observer {
    /// A sample ended; true stops its problem's others.
    fn finished(&mut self, sample: &Sample) -> Result<bool, Error>;
    /// Called between steps with the tokens drawn since the last call.
    fn step(&mut self, tokens: usize) -> Result<(), Error>;
}

/// Watches nothing.
pub struct Silent;

impl Observer for Silent {
    fn finished(&mut self, _: &Sample) -> Result<bool, Error> {
        Ok(false)
    }
    fn step(&mut self, _: usize) -> Result<(), Error> {
        Ok(())
    }
}

/// What a [`Core`] of any arithmetic does.
pub(crate) trait Decoder: Send {
    fn config(&self) -> &Config;
    fn threads(&self) -> usize;
    fn weight_bytes(&self) -> usize;
    fn sample(&mut self, request: &Request, observer: &mut dyn Observer) -> Result<Drawn, Error>;
    fn score(
        &mut self,
        prompts: &[Vec<u32>],
        answers: &[Vec<Vec<u32>>],
        observer: &mut dyn Observer,
    ) -> Result<Vec<Vec<Vec<f32>>>, Error>;
    fn logits(&mut self, tokens: &[u32], observer: &mut dyn Observer) -> Result<Vec<f32>, Error>;
}

/// A loaded model.
pub struct Engine {
    decoder: Box<dyn Decoder>,
    n_params: u64,
    precision: Precision,
    kernel: Kernel,
}

impl Engine {
    /// Packs a model's weights for this machine.
    pub fn new(model: Model, options: Options) -> Result<Engine, Error> {
        let available = Kernel::available();
        let has = |kernel| available.contains(&kernel);
        let names = || available.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
        if let Some(kernel) = options.kernel.filter(|&kernel| !has(kernel)) {
            return invalid(format!("kernel {} is not available: this CPU has {}", kernel.name(), names()));
        }
        let bf16 = has(Kernel::Avx512Bf16) && options.kernel.is_none_or(|k| k == Kernel::Avx512Bf16);
        let precision =
            options.precision.unwrap_or(if bf16 { Precision::Bfloat16 } else { Precision::Float32 });
        let kernel = match precision {
            Precision::Bfloat16 if !bf16 => {
                let chosen = options.kernel.map_or(String::new(), |k| format!(" (asked for {})", k.name()));
                return invalid(format!(
                    "dtype bfloat16 needs kernel avx512_bf16{chosen}: this CPU has {}; use float32",
                    names()
                ));
            }
            Precision::Bfloat16 => Kernel::Avx512Bf16,
            // The instruction set of bfloat16 contains that of float32 on AVX-512.
            Precision::Float32 => match options.kernel {
                Some(Kernel::Avx512Bf16) => Kernel::Avx512,
                Some(kernel) => kernel,
                None => {
                    available.iter().copied().find(|&k| k != Kernel::Avx512Bf16).unwrap_or(Kernel::Portable)
                }
            },
        };
        let threads = match options.threads {
            Some(threads @ 1..=1024) => threads,
            Some(threads) => return invalid(format!("threads must be between 1 and 1024, not {threads}")),
            None => std::thread::available_parallelism().map_or(1, |n| n.get()),
        };
        let pool =
            Pool::new(threads).map_err(|e| Error::Invalid(format!("cannot start {threads} threads: {e}")))?;
        let n_params = model.n_params;
        let network = Network::new(model, precision == Precision::Bfloat16, &pool).map_err(Error::Invalid)?;
        Ok(Engine { decoder: decoder(kernel, network, pool)?, n_params, precision, kernel })
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        self.decoder.config()
    }

    /// Parameters.
    pub fn n_params(&self) -> u64 {
        self.n_params
    }

    /// Arithmetic in use.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Kernels in use.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Threads in use.
    pub fn threads(&self) -> usize {
        self.decoder.threads()
    }

    /// Bytes of the packed network.
    pub fn weight_bytes(&self) -> usize {
        self.decoder.weight_bytes()
    }

    /// Draws samples, ordered by problem and sample.
    pub fn sample(&mut self, request: &Request, observer: &mut dyn Observer) -> Result<Drawn, Error> {
        self.decoder.sample(request, observer)
    }

    /// Log-probability of every token of every prompt's answers.
    pub fn score(
        &mut self,
        prompts: &[Vec<u32>],
        answers: &[Vec<Vec<u32>>],
        observer: &mut dyn Observer,
    ) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        self.decoder.score(prompts, answers, observer)
    }

    /// Logits after every token, row by row.
    pub fn logits(&mut self, tokens: &[u32], observer: &mut dyn Observer) -> Result<Vec<f32>, Error> {
        self.decoder.logits(tokens, observer)
    }
}

fn decoder(kernel: Kernel, network: Network, pool: Pool) -> Result<Box<dyn Decoder>, Error> {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::kernels::{avx2::Avx2, avx512::Avx512, avx512_bf16::Avx512Bf16};
        let found: Option<Box<dyn Decoder>> = match kernel {
            Kernel::Avx512Bf16 => Avx512Bf16::new().map(|a| boxed(a, network, pool)),
            Kernel::Avx512 => Avx512::new().map(|a| boxed(a, network, pool)),
            Kernel::Avx2 => Avx2::new().map(|a| boxed(a, network, pool)),
            Kernel::Portable => Some(boxed(Portable, network, pool)),
        };
        found.ok_or_else(|| Error::Invalid(format!("kernel {} is not available", kernel.name())))
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = kernel;
        Ok(boxed(Portable, network, pool))
    }
}

fn boxed<A: Arith>(a: A, network: Network, pool: Pool) -> Box<dyn Decoder>
where
    A::X: Plain,
{
    Box::new(Core::new(a, network, pool))
}

impl<A: Arith> Decoder for Core<A>
where
    A::X: Plain,
{
    fn config(&self) -> &Config {
        &self.network.config
    }
    fn threads(&self) -> usize {
        self.pool.threads()
    }
    fn weight_bytes(&self) -> usize {
        self.network.bytes()
    }
    fn sample(&mut self, request: &Request, observer: &mut dyn Observer) -> Result<Drawn, Error> {
        crate::batch::sample(self, request, observer)
    }
    fn score(
        &mut self,
        prompts: &[Vec<u32>],
        answers: &[Vec<Vec<u32>>],
        observer: &mut dyn Observer,
    ) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        crate::score::score(self, prompts, answers, observer)
    }
    fn logits(&mut self, tokens: &[u32], observer: &mut dyn Observer) -> Result<Vec<f32>, Error> {
        crate::score::logits(self, tokens, observer)
    }
}
