//! The decode engine seen from Python.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use t2fast_decode::{
    Engine, Error, Finish, Kernel, Observer, Options, Precision, Request, Sample, Sampling, load,
};

/// How often a running call looks for Ctrl-C and reports progress.
const POLL: Duration = Duration::from_millis(50);

/// A model ready to draw and score samples on the CPU.
#[pyclass(module = "t2fast._core", frozen)]
pub struct DecodeEngine {
    engine: Mutex<Engine>,
    /// What does not change, so that reading it need not wait for a running call.
    facts: Facts,
}

struct Facts {
    config: t2fast_decode::model::Config,
    n_params: u64,
    dtype: &'static str,
    kernel: &'static str,
    threads: usize,
    weight_bytes: usize,
}

/// One prompt's answers' log-probabilities, or k for each prompt.
#[derive(FromPyObject)]
enum OneOrMany {
    One(usize),
    Many(Vec<usize>),
}

#[pymethods]
impl DecodeEngine {
    #[new]
    #[pyo3(signature = (path, *, dtype = "auto", threads = None, kernel = None))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        dtype: &str,
        threads: Option<usize>,
        kernel: Option<&str>,
    ) -> PyResult<Self> {
        let precision = match dtype {
            "auto" => None,
            "float32" => Some(Precision::Float32),
            "bfloat16" => Some(Precision::Bfloat16),
            other => {
                let text = format!("dtype must be 'auto', 'float32' or 'bfloat16', not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        let kernel = kernel.map(named_kernel).transpose()?;
        py.detach(|| {
            let model = load::load(&path).map_err(|e| PyValueError::new_err(e.to_string()))?;
            let engine = Engine::new(model, Options { precision, threads, kernel })
                .map_err(|e| PyValueError::new_err(format!("{}: {e}", path.display())))?;
            let facts = Facts {
                config: engine.config().clone(),
                n_params: engine.n_params(),
                dtype: match engine.precision() {
                    Precision::Float32 => "float32",
                    Precision::Bfloat16 => "bfloat16",
                },
                kernel: engine.kernel().name(),
                threads: engine.threads(),
                weight_bytes: engine.weight_bytes(),
            };
            Ok(DecodeEngine { engine: Mutex::new(engine), facts })
        })
    }

    #[getter]
    fn architecture(&self) -> &str {
        &self.facts.config.architecture
    }
    #[getter]
    fn n_params(&self) -> u64 {
        self.facts.n_params
    }
    #[getter]
    fn vocab(&self) -> usize {
        self.facts.config.vocab
    }
    #[getter]
    fn width(&self) -> usize {
        self.facts.config.width
    }
    #[getter]
    fn layers(&self) -> usize {
        self.facts.config.layers
    }
    #[getter]
    fn heads(&self) -> usize {
        self.facts.config.heads
    }
    #[getter]
    fn kv_heads(&self) -> usize {
        self.facts.config.kv_heads
    }
    #[getter]
    fn head_dim(&self) -> usize {
        self.facts.config.head_dim
    }
    #[getter]
    fn max_positions(&self) -> usize {
        self.facts.config.max_positions
    }
    #[getter]
    fn bos(&self) -> Option<u32> {
        self.facts.config.bos
    }
    #[getter]
    fn eos(&self) -> Vec<u32> {
        self.facts.config.eos.clone()
    }
    #[getter]
    fn dtype(&self) -> &str {
        self.facts.dtype
    }
    #[getter]
    fn kernel(&self) -> &str {
        self.facts.kernel
    }
    #[getter]
    fn threads(&self) -> usize {
        self.facts.threads
    }
    #[getter]
    fn weight_bytes(&self) -> usize {
        self.facts.weight_bytes
    }

    /// Logits after every token, float32 (len(tokens), vocab).
    fn logits<'py>(&self, py: Python<'py>, tokens: Vec<u32>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let vocab = self.facts.config.vocab;
        let flat = self.detached(py, Watch::default(), |engine, watch| engine.logits(&tokens, watch))?;
        flat.into_pyarray(py).reshape([tokens.len(), vocab])
    }

    /// Log-probability of each token of each prompt's answers, natural log, under the model's own logits.
    fn score<'py>(
        &self,
        py: Python<'py>,
        prompts: Vec<Vec<u32>>,
        answers: Vec<Vec<Vec<u32>>>,
    ) -> PyResult<Vec<Vec<Bound<'py, PyArray1<f32>>>>> {
        let scores =
            self.detached(py, Watch::default(), |engine, watch| engine.score(&prompts, &answers, watch))?;
        let arrays =
            scores.into_iter().map(|answers| answers.into_iter().map(|one| one.into_pyarray(py)).collect());
        Ok(arrays.collect())
    }

    /// Draw samples; see the Python stub for the result's keys.
    #[pyo3(signature = (prompts, keys, k, *, first_sample = 0, temperature = 1.0, top_k = 0, top_p = 1.0,
        min_p = 0.0, max_tokens = 64, stop_tokens = None, stop = Vec::new(), token_bytes = None,
        on_finish = None, progress = None, max_rows = None))]
    #[allow(clippy::too_many_arguments)] // Python's keyword arguments
    fn sample<'py>(
        &self,
        py: Python<'py>,
        prompts: Vec<Vec<u32>>,
        keys: Vec<u64>,
        k: OneOrMany,
        first_sample: u32,
        temperature: f32,
        top_k: usize,
        top_p: f32,
        min_p: f32,
        max_tokens: usize,
        stop_tokens: Option<Vec<u32>>,
        stop: Vec<Vec<u8>>,
        token_bytes: Option<Vec<Vec<u8>>>,
        on_finish: Option<Py<PyAny>>,
        progress: Option<Py<PyAny>>,
        max_rows: Option<usize>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let k = match k {
            OneOrMany::One(k) => vec![k; prompts.len()],
            OneOrMany::Many(k) => k,
        };
        let request = Request {
            prompts,
            keys,
            k,
            first_sample,
            sampling: Sampling { temperature, top_k, top_p, min_p },
            max_tokens,
            stop_tokens: stop_tokens.unwrap_or_else(|| self.facts.config.eos.clone()),
            stop,
            token_bytes: token_bytes.unwrap_or_default(),
            max_rows,
        };
        let watch = Watch { on_finish, progress, interruptible: true, ..Watch::default() };
        let drawn = self.detached(py, watch, |engine, watch| engine.sample(&request, watch))?;
        let samples = &drawn.samples;
        let each = |f: fn(&Sample) -> i64| samples.iter().map(f).collect::<Vec<i64>>().into_pyarray(py);
        let flat = |f: fn(&Sample) -> &Vec<f32>| {
            samples.iter().flat_map(|s| f(s).iter().copied()).collect::<Vec<f32>>().into_pyarray(py)
        };
        let mut offsets = vec![0i64];
        offsets.extend(samples.iter().scan(0, |end, s| {
            *end += s.tokens.len() as i64;
            Some(*end)
        }));
        let out = PyDict::new(py);
        out.set_item("problem", each(|s| s.problem as i64))?;
        out.set_item("sample", each(|s| i64::from(s.sample)))?;
        out.set_item("offsets", offsets.into_pyarray(py))?;
        let tokens: Vec<u32> = samples.iter().flat_map(|s| s.tokens.iter().copied()).collect();
        out.set_item("tokens", tokens.into_pyarray(py))?;
        out.set_item("logprobs", flat(|s| &s.logprobs))?;
        out.set_item("processed_logprobs", flat(|s| &s.processed))?;
        out.set_item("finish_reason", samples.iter().map(|s| reason(s.finish)).collect::<Vec<_>>())?;
        let fired = |s: &Sample| if let Finish::StopString(i) = s.finish { i as i64 } else { -1 };
        out.set_item("stop_index", each(fired))?;
        out.set_item("interrupted", drawn.interrupted)?;
        Ok(out)
    }
}

fn named_kernel(name: &str) -> PyResult<Kernel> {
    let all = [Kernel::Avx512Bf16, Kernel::Avx512, Kernel::Avx2, Kernel::Portable];
    all.into_iter().find(|kernel| kernel.name() == name).ok_or_else(|| {
        let names = all.map(Kernel::name).join(", ");
        PyValueError::new_err(format!("there is no kernel {name:?}; there are {names}"))
    })
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::StopToken(_) => "stop_token",
        Finish::StopString(_) => "stop_string",
        Finish::Length => "length",
        Finish::Cancelled => "cancelled",
    }
}

impl DecodeEngine {
    /// Runs a call with the interpreter released, and turns its error into Python's.
    fn detached<T: Send>(
        &self,
        py: Python<'_>,
        mut watch: Watch,
        call: impl FnOnce(&mut Engine, &mut Watch) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let result = py.detach(|| call(&mut lock(&self.engine), &mut watch));
        match (watch.raised, result) {
            (Some(raised), _) => Err(raised),
            (None, Ok(value)) => Ok(value),
            (None, Err(error)) => Err(PyValueError::new_err(error.to_string())),
        }
    }
}

fn lock(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Passes a call's events to Python, and Python's signals to the call.
#[derive(Default)]
struct Watch {
    on_finish: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
    /// Ctrl-C ends the call with what it has, instead of an exception.
    interruptible: bool,
    drawn: usize,
    last: Option<Instant>,
    raised: Option<PyErr>,
}

impl Watch {
    /// Keeps an exception for the end of the call, which stops now.
    fn raise(&mut self, error: PyErr) -> Error {
        let interrupt =
            self.interruptible && Python::attach(|py| error.is_instance_of::<PyKeyboardInterrupt>(py));
        if !interrupt {
            self.raised = Some(error);
        }
        Error::Interrupted
    }
}

impl Observer for Watch {
    fn finished(&mut self, sample: &Sample) -> Result<bool, Error> {
        let Some(on_finish) = &self.on_finish else { return Ok(false) };
        let answer = Python::attach(|py| {
            let arguments = (sample.problem, sample.sample, sample.tokens.clone(), reason(sample.finish));
            on_finish.bind(py).call1(arguments)?.is_truthy()
        });
        answer.map_err(|error| self.raise(error))
    }

    fn step(&mut self, tokens: usize) -> Result<(), Error> {
        self.drawn += tokens;
        let now = Instant::now();
        if now.duration_since(*self.last.get_or_insert(now)) < POLL {
            return Ok(());
        }
        self.last = Some(now);
        let result = Python::attach(|py| {
            py.check_signals()?;
            match &self.progress {
                Some(progress) => progress.bind(py).call1((self.drawn,)).map(drop),
                None => Ok(()),
            }
        });
        result.map_err(|error| self.raise(error))
    }
}
