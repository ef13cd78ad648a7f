//! The decode engine seen from Python.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use t2fast_decode::{Engine, Error, Finish, Kernel, Observer, Options, Precision, Sample, load};

use crate::decode_request::{Asked, ModelDescription};

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
    token_bytes: usize,
    notes: Vec<String>,
}

#[pymethods]
impl DecodeEngine {
    #[new]
    #[pyo3(signature = (path, *, dtype = "auto", threads = None, kernel = None, memory = None))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        dtype: &str,
        threads: Option<usize>,
        kernel: Option<&str>,
        memory: Option<usize>,
    ) -> PyResult<Self> {
        let options = options(dtype, threads, kernel)?;
        py.detach(|| {
            let model = load::load(&path).map_err(|e| PyValueError::new_err(e.to_string()))?;
            let invalid = |e: Error| PyValueError::new_err(format!("{}: {e}", path.display()));
            let need = Engine::need(&model, options).map_err(invalid)?;
            if memory.is_some_and(|most| most < need.weights) {
                return Err(PyMemoryError::new_err(need.weights));
            }
            let engine = Engine::new(model, options).map_err(invalid)?;
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
                token_bytes: need.token,
                notes: engine.notes().to_vec(),
            };
            Ok(DecodeEngine { engine: Mutex::new(engine), facts })
        })
    }

    /// What the model is.
    #[getter]
    fn model(&self) -> ModelDescription {
        ModelDescription::of(&self.facts.config, self.facts.n_params)
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
    /// What it runs on, in words.
    #[getter]
    fn r#where(&self) -> String {
        format!("{} threads", self.facts.threads)
    }
    /// Where the model's files disagree or say nothing, and what was taken.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.facts.notes.clone()
    }
    #[getter]
    fn weight_bytes(&self) -> usize {
        self.facts.weight_bytes
    }
    #[getter]
    fn token_bytes(&self) -> usize {
        self.facts.token_bytes
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

    /// Gives the bytes of each token, by which stop strings are found.
    fn set_vocabulary(&self, py: Python<'_>, token_bytes: Vec<Vec<u8>>) {
        py.detach(|| lock(&self.engine).set_vocabulary(token_bytes));
    }

    /// Draw samples; see the Python stub for the result's keys.
    #[pyo3(signature = (request, *, on_finish = None, on_token = None, progress = None))]
    fn sample<'py>(
        &self,
        py: Python<'py>,
        request: Asked,
        on_finish: Option<Py<PyAny>>,
        on_token: Option<Py<PyAny>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let request = request.into_request(&self.facts.config);
        let watch = Watch { on_finish, on_token, progress, interruptible: true, ..Watch::default() };
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

/// How a model is to be run, by the names that Python gives.
pub(crate) fn options(dtype: &str, threads: Option<usize>, kernel: Option<&str>) -> PyResult<Options> {
    let precision = match dtype {
        "auto" => None,
        "float32" => Some(Precision::Float32),
        "bfloat16" => Some(Precision::Bfloat16),
        other => {
            let text = format!("dtype must be 'auto', 'float32' or 'bfloat16', not {other:?}");
            return Err(PyValueError::new_err(text));
        }
    };
    Ok(Options { precision, threads, kernel: kernel.map(named_kernel).transpose()? })
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
    on_token: Option<Py<PyAny>>,
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
            let logprobs = PyArray1::from_slice(py, &sample.logprobs);
            let reason = reason(sample.finish);
            let arguments = (sample.problem, sample.sample, sample.tokens.clone(), logprobs, reason);
            on_finish.bind(py).call1(arguments)?.is_truthy()
        });
        answer.map_err(|error| self.raise(error))
    }

    fn token(&mut self, sample: &Sample) -> Result<(), Error> {
        let Some(on_token) = &self.on_token else { return Ok(()) };
        let told = Python::attach(|py| {
            let last = sample.tokens.last().copied();
            on_token.bind(py).call1((sample.problem, sample.sample, last)).map(drop)
        });
        told.map_err(|error| self.raise(error))
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
