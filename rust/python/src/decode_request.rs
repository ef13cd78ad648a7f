//! What crosses the border of the decode engines: a request inwards, a model's description outwards.

use pyo3::prelude::*;
use t2fast_decode::model::Config;
use t2fast_decode::{Request, Sampling};

/// `t2fast.decode.request.Sampling`.
#[derive(FromPyObject)]
struct Rules {
    temperature: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    max_tokens: usize,
    stop: Vec<String>,
    stop_tokens: Option<Vec<u32>>,
}

/// `t2fast.decode.request.Request`.
#[derive(FromPyObject)]
pub(crate) struct Asked {
    prompts: Vec<Vec<u32>>,
    keys: Vec<u64>,
    k: Vec<usize>,
    sampling: Rules,
    first_sample: u32,
    have: Vec<Vec<u32>>,
    max_rows: Option<usize>,
    ahead: Option<usize>,
    keep: bool,
}

impl Asked {
    /// The same for the engine; without stop tokens, the model's own end a sample.
    pub(crate) fn into_request(self, config: &Config) -> Request {
        let Rules { temperature, top_k, top_p, min_p, max_tokens, stop, stop_tokens } = self.sampling;
        Request {
            prompts: self.prompts,
            keys: self.keys,
            k: self.k,
            first_sample: self.first_sample,
            have: self.have,
            sampling: Sampling { temperature, top_k, top_p, min_p },
            max_tokens,
            stop_tokens: stop_tokens.unwrap_or_else(|| config.eos.clone()),
            stop: stop.into_iter().map(String::into_bytes).collect(),
            max_rows: self.max_rows,
            ahead: self.ahead,
            keep: self.keep,
        }
    }
}

/// A model in numbers.
#[pyclass(module = "t2fast._core", frozen, get_all, skip_from_py_object)]
#[derive(Clone)]
pub struct ModelDescription {
    architecture: String,
    n_params: u64,
    vocab: usize,
    width: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    max_positions: usize,
    bos: Option<u32>,
    eos: Vec<u32>,
}

impl ModelDescription {
    pub(crate) fn of(config: &Config, n_params: u64) -> Self {
        Self {
            architecture: config.architecture.clone(),
            n_params,
            vocab: config.vocab,
            width: config.width,
            layers: config.layers,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            max_positions: config.max_positions,
            bos: config.bos,
            eos: config.eos.clone(),
        }
    }
}
