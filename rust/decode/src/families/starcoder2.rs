//! StarCoder2: LayerNorm, GELU without a gate, biases everywhere, rotation and grouped queries.

use super::layout::{Bias, FeedForward, Head, NormWeights};
use super::llama::{Parts, check_activation};
use crate::error::LoadError;
use crate::model::{Activation, Model, NormKind};
use crate::settings::Settings;
use crate::weights::Weights;

/// From `config.json` and safetensors.
pub(crate) fn from_folder(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    check_activation(config, "starcoder2", &["gelu_pytorch_tanh"])?;
    let mut parts = Parts::of_folder("starcoder2", config)?;
    parts.config.sliding_window = config.size("sliding_window")?;
    parts.layout.head = Head::configured(config, "lm_head", true)?;
    let bias = Bias::when(config.flag("use_bias")?.unwrap_or(true));
    (parts.layout.attention_bias, parts.layout.o_bias, parts.layout.ffn_bias) = (bias, bias, bias);
    parts.layout.feed_forward = FeedForward::Plain("mlp.c_fc");
    parts.layout.down = "mlp.c_proj";
    plain(&mut parts);
    parts.build(config, weights)
}

/// From a GGUF file of architecture `starcoder2`.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let mut parts = Parts::of_gguf("starcoder2", config, weights)?;
    parts.layout.feed_forward = FeedForward::Plain("ffn_up");
    plain(&mut parts);
    parts.build_gguf(config, weights)
}

fn plain(parts: &mut Parts) {
    parts.config.norm = NormKind::Layer;
    parts.config.activation = Activation::GeluTanh;
    parts.layout.norms = NormWeights::WeightAndBias;
}
