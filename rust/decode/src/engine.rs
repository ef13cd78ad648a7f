//! The engine's face: load a model, draw samples, score answers.

use crate::kernels::Kernel;
use crate::kernels::portable::Portable;
use crate::kernels::simd::Arith;
use crate::model::{Config, Model};
use crate::network::{Network, head_width};
use crate::pool::Pool;
use crate::request::{Drawn, Error, Observer, Request, invalid};
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

impl Options {
    /// The arithmetic and the kernels that this machine runs a model with.
    fn resolve(self) -> Result<(Precision, Kernel), Error> {
        let available = Kernel::available();
        let has = |kernel| available.contains(&kernel);
        let names = || available.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
        if let Some(kernel) = self.kernel.filter(|&kernel| !has(kernel)) {
            return invalid(format!("kernel {} is not available: this CPU has {}", kernel.name(), names()));
        }
        let bf16 = has(Kernel::Avx512Bf16) && self.kernel.is_none_or(|k| k == Kernel::Avx512Bf16);
        let precision = self.precision.unwrap_or(if bf16 { Precision::Bfloat16 } else { Precision::Float32 });
        let kernel = match precision {
            Precision::Bfloat16 if !bf16 => {
                let chosen = self.kernel.map_or(String::new(), |k| format!(" (asked for {})", k.name()));
                return invalid(format!(
                    "dtype bfloat16 needs kernel avx512_bf16{chosen}: this CPU has {}; use float32",
                    names()
                ));
            }
            Precision::Bfloat16 => Kernel::Avx512Bf16,
            // The instruction set of bfloat16 contains that of float32 on AVX-512.
            Precision::Float32 => match self.kernel {
                Some(Kernel::Avx512Bf16) => Kernel::Avx512,
                Some(kernel) => kernel,
                None => {
                    available.iter().copied().find(|&k| k != Kernel::Avx512Bf16).unwrap_or(Kernel::Portable)
                }
            },
        };
        Ok((precision, kernel))
    }
}

/// Bytes of memory that a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// All weights, as the kernels read them.
    pub weights: usize,
    /// Keys and values of one token, of a prompt or of a sample.
    pub token: usize,
}

/// What a [`Core`] of any arithmetic does.
pub(crate) trait Decoder: Send {
    fn config(&self) -> &Config;
    fn threads(&self) -> usize;
    fn weight_bytes(&self) -> usize;
    fn sample(
        &mut self,
        request: &Request,
        vocabulary: &[Vec<u8>],
        observer: &mut dyn Observer,
    ) -> Result<Drawn, Error>;
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
    notes: Vec<String>,
    /// Bytes of each token, once they have been given.
    vocabulary: Vec<Vec<u8>>,
}

impl Engine {
    /// Packs a model's weights for this machine.
    pub fn new(model: Model, options: Options) -> Result<Engine, Error> {
        let (precision, kernel) = options.resolve()?;
        let threads = match options.threads {
            Some(threads @ 1..=1024) => threads,
            Some(threads) => return invalid(format!("threads must be between 1 and 1024, not {threads}")),
            None => std::thread::available_parallelism().map_or(1, |n| n.get()),
        };
        let pool =
            Pool::new(threads).map_err(|e| Error::Invalid(format!("cannot start {threads} threads: {e}")))?;
        let (n_params, notes) = (model.n_params, model.notes.clone());
        let network = Network::new(model, precision == Precision::Bfloat16, &pool).map_err(Error::Invalid)?;
        Ok(Engine {
            decoder: decoder(kernel, network, pool)?,
            n_params,
            precision,
            kernel,
            notes,
            vocabulary: Vec::new(),
        })
    }

    /// What a model will take, before anything is packed.
    pub fn need(model: &Model, options: Options) -> Result<Need, Error> {
        let bf16 = options.resolve()?.0 == Precision::Bfloat16;
        let token = 2 * model.config.layers * model.config.kv_heads * head_width(&model.config);
        Ok(Need { weights: Network::room(model, bf16), token: token * if bf16 { 2 } else { 4 } })
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        self.decoder.config()
    }

    /// Parameters.
    pub fn n_params(&self) -> u64 {
        self.n_params
    }

    /// Where the model's files disagree or say nothing, and what was taken.
    pub fn notes(&self) -> &[String] {
        &self.notes
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

    /// Gives the bytes of each token, by which stop strings are found.
    pub fn set_vocabulary(&mut self, token_bytes: Vec<Vec<u8>>) {
        self.vocabulary = token_bytes;
    }

    /// Draws samples, ordered by problem and sample.
    pub fn sample(&mut self, request: &Request, observer: &mut dyn Observer) -> Result<Drawn, Error> {
        self.decoder.sample(request, &self.vocabulary, observer)
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

fn boxed<A: Arith>(a: A, network: Network, pool: Pool) -> Box<dyn Decoder> {
    Box::new(Core::new(a, network, pool))
}

impl<A: Arith> Decoder for Core<A> {
    fn config(&self) -> &Config {
        &self.network.config
    }
    fn threads(&self) -> usize {
        self.pool.threads()
    }
    fn weight_bytes(&self) -> usize {
        self.network.bytes()
    }
    fn sample(
        &mut self,
        request: &Request,
        vocabulary: &[Vec<u8>],
        observer: &mut dyn Observer,
    ) -> Result<Drawn, Error> {
        crate::batch::sample(self, request, vocabulary, observer)
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
