//! A model file seen from Python: its configuration and tensors, for back ends that compute elsewhere.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use t2fast_decode::model::{Activation, Layer, Linear, Model, Norm, NormKind, RopePairs, Rotation};
use t2fast_decode::tensor::{DType, Tensor};
use t2fast_decode::{Engine, Error, load, logits_tokens, score_prompts};

use crate::decode::options;
use crate::decode_files::{to_array, value_error};
use crate::decode_request::{Asked, ModelDescription};

/// A model as its file describes it, whatever its family and format.
#[pyclass(module = "t2fast._core", frozen)]
pub struct ModelFile {
    model: Model,
}

/// One tensor of a model.
enum Part<'m> {
    Matrix(&'m Tensor),
    Vector(&'m [f32]),
}

#[pymethods]
impl ModelFile {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| {
            let model = load::load(&path).map_err(value_error)?;
            model.check().map_err(|e| PyValueError::new_err(format!("{}: {e}", path.display())))?;
            Ok(ModelFile { model })
        })
    }

    /// Everything that is not a weight; see the Python stub for the keys.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let c = &self.model.config;
        let out = PyDict::new(py);
        out.set_item("architecture", &c.architecture)?;
        out.set_item("layers", c.layers)?;
        out.set_item("width", c.width)?;
        out.set_item("heads", c.heads)?;
        out.set_item("kv_heads", c.kv_heads)?;
        out.set_item("head_dim", c.head_dim)?;
        out.set_item("hidden", c.hidden)?;
        out.set_item("vocab", c.vocab)?;
        out.set_item("max_positions", c.max_positions)?;
        out.set_item("layer_norm", c.norm == NormKind::Layer)?;
        out.set_item("eps", c.norm_eps)?;
        let activation = match c.activation {
            Activation::SwiGlu => "swiglu",
            Activation::GeGluTanh => "geglu_tanh",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
        };
        out.set_item("activation", activation)?;
        out.set_item("parallel", c.parallel_residual)?;
        out.set_item("rotary_dim", c.rotary_dim)?;
        out.set_item("interleaved", c.rope_pairs == RopePairs::Interleaved)?;
        out.set_item("inv_freq", c.inv_freq.clone().into_pyarray(py))?;
        out.set_item("rope_scale", c.rope_scale)?;
        out.set_item("window", c.sliding_window)?;
        let layers = &self.model.layers;
        out.set_item("windows", layers.iter().map(|l| l.window).collect::<Vec<_>>())?;
        let rotation = |l: &Layer| match l.rotation {
            Rotation::Global => "global",
            Rotation::Local => "local",
            Rotation::Absent => "absent",
        };
        out.set_item("rotations", layers.iter().map(rotation).collect::<Vec<_>>())?;
        out.set_item("local_inv_freq", c.local_inv_freq.clone().into_pyarray(py))?;
        out.set_item("embedding_scale", c.embedding_scale)?;
        out.set_item("residual_scale", c.residual_scale)?;
        out.set_item("attention_scale", c.attention_scale)?;
        out.set_item("attention_cap", c.attention_softcap)?;
        out.set_item("logit_scale", c.logit_scale)?;
        out.set_item("logit_cap", c.logit_softcap)?;
        out.set_item("own_head_norms", c.own_head_norms)?;
        out.set_item("bos", c.bos)?;
        out.set_item("eos", c.eos.clone())?;
        Ok(out)
    }

    /// Where the files disagree or say nothing, and what was taken.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.model.notes.clone()
    }

    /// Bytes that its weights and each token's keys and values take on the CPU.
    #[pyo3(signature = (dtype = "auto", kernel = None))]
    fn need(&self, dtype: &str, kernel: Option<&str>) -> PyResult<(usize, usize)> {
        let need = Engine::need(&self.model, options(dtype, None, kernel)?).map_err(invalid)?;
        Ok((need.weights, need.token))
    }

    /// What the model is.
    #[getter]
    fn model(&self) -> ModelDescription {
        ModelDescription::of(&self.model.config, self.model.n_params)
    }

    #[getter]
    fn n_params(&self) -> u64 {
        self.model.n_params
    }

    #[getter]
    fn tied(&self) -> bool {
        self.model.tied
    }

    /// One tensor as float32; None where the model has no such bias, norm or gate.
    fn tensor<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyArrayDyn<f32>>>> {
        Ok(match self.part(name)? {
            None => None,
            Some(Part::Matrix(t)) => Some(to_array(py, t, vec![t.rows, t.cols])?),
            Some(Part::Vector(v)) => Some(v.to_vec().into_pyarray(py).to_dyn().clone()),
        })
    }

    /// How a tensor is stored; None where there is none.
    fn tensor_dtype(&self, name: &str) -> PyResult<Option<String>> {
        Ok(self.part(name)?.map(|part| match part {
            // Norms and biases are read as float32, whatever their file holds.
            Part::Vector(_) => "float32".into(),
            Part::Matrix(tensor) => match tensor.dtype {
                DType::F32 => "float32".into(),
                DType::F16 => "float16".into(),
                DType::BF16 => "bfloat16".into(),
                quantised => quantised.name().to_lowercase(),
            },
        }))
    }

    /// Checks a request for this model and a vocabulary of so many tokens; returns its prompts as the model reads
    /// them.
    fn sample_prompts(&self, py: Python<'_>, request: Asked, vocabulary: usize) -> PyResult<Vec<Vec<u32>>> {
        let config = &self.model.config;
        py.detach(|| request.into_request(config).check(config, vocabulary)).map_err(invalid)
    }

    /// Checks the arguments of `DecodeEngine.score`; returns the prompts as the model reads them.
    fn score_prompts(
        &self,
        py: Python<'_>,
        prompts: Vec<Vec<u32>>,
        answers: Vec<Vec<Vec<u32>>>,
    ) -> PyResult<Vec<Vec<u32>>> {
        py.detach(|| score_prompts(&self.model.config, &prompts, &answers)).map_err(invalid)
    }

    /// Checks the argument of `DecodeEngine.logits`.
    fn logits_tokens(&self, tokens: Vec<u32>) -> PyResult<Vec<u32>> {
        logits_tokens(&self.model.config, &tokens).map_err(invalid)
    }
}

impl ModelFile {
    /// The tensor of a canonical name, none where the model does without.
    fn part(&self, name: &str) -> PyResult<Option<Part<'_>>> {
        let model = &self.model;
        let found = match name.split('.').collect::<Vec<_>>()[..] {
            ["embedding"] => Some(Some(Part::Matrix(&model.embedding))),
            ["positions"] => Some(model.positions.as_ref().map(Part::Matrix)),
            ["head", field] => of_linear(Some(&model.head), field),
            ["norm", field] => of_norm(Some(&model.final_norm), field),
            ["layers", i, part, field] => {
                let layer = i.parse::<usize>().ok().and_then(|i| model.layers.get(i));
                layer.and_then(|layer| of_layer(layer, part, field))
            }
            _ => None,
        };
        found.ok_or_else(|| PyKeyError::new_err(format!("a model has no tensor {name:?}")))
    }
}

fn of_layer<'m>(layer: &'m Layer, part: &str, field: &str) -> Option<Option<Part<'m>>> {
    match part {
        "attn_norm" => of_norm(layer.attn_norm.as_ref(), field),
        "q" => of_linear(Some(&layer.q), field),
        "k" => of_linear(Some(&layer.k), field),
        "v" => of_linear(Some(&layer.v), field),
        "q_norm" => of_norm(layer.q_norm.as_ref(), field),
        "k_norm" => of_norm(layer.k_norm.as_ref(), field),
        "o" => of_linear(Some(&layer.o), field),
        "ffn_norm" => of_norm(layer.ffn_norm.as_ref(), field),
        "post_attn_norm" => of_norm(layer.post_attn_norm.as_ref(), field),
        "post_ffn_norm" => of_norm(layer.post_ffn_norm.as_ref(), field),
        "gate" => of_linear(layer.gate.as_ref(), field),
        "up" => of_linear(Some(&layer.up), field),
        "down" => of_linear(Some(&layer.down), field),
        _ => None,
    }
}

fn of_linear<'m>(linear: Option<&'m Linear>, field: &str) -> Option<Option<Part<'m>>> {
    match field {
        "weight" => Some(linear.map(|l| Part::Matrix(&l.weight))),
        "bias" => Some(linear.and_then(|l| l.bias.as_deref()).map(Part::Vector)),
        _ => None,
    }
}

fn of_norm<'m>(norm: Option<&'m Norm>, field: &str) -> Option<Option<Part<'m>>> {
    match field {
        "weight" => Some(norm.map(|n| Part::Vector(&n.weight))),
        "bias" => Some(norm.and_then(|n| n.bias.as_deref()).map(Part::Vector)),
        _ => None,
    }
}

fn invalid(error: Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}
