//! GPT-2: LayerNorm, GELU, learned positions in place of rotation; the files of transformers store its maps inputs first.

use std::sync::Arc;

use super::build::build;
use super::layout::{Bias, FeedForward, Head, Layout, NormWeights, Qkv};
use super::shared::{base_config, embedding_rows, epsilon, per_head};
use crate::dequant::row_to_f32;
use crate::error::LoadError;
use crate::model::{Activation, Config, Model, NormKind};
use crate::rope::{Rope, Scaling, positive};
use crate::settings::Settings;
use crate::tensor::{DType, Storage, Tensor};
use crate::weights::Weights;

/// From `config.json` and safetensors.
pub(crate) fn from_folder(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let activation = match config.text("activation_function")?.unwrap_or("gelu_new") {
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
        "gelu" => Activation::Gelu,
        other => {
            return Err(config.unsupported(format!(
                "activation_function {other:?} is not supported in gpt2; gelu_new and gelu are"
            )));
        }
    };
    for key in ["scale_attn_by_inverse_layer_idx", "add_cross_attention"] {
        if config.flag(key)?.unwrap_or(false) {
            return Err(config.unsupported(format!("gpt2 with {key} is not supported")));
        }
    }
    let width = config.dimension("n_embd")?;
    let heads = config.dimension("n_head")?;
    let head_dim = per_head(config, width, heads)?;
    let mut model = Config {
        hidden: config.size("n_inner")?.unwrap_or(width.saturating_mul(4)),
        vocab: config.dimension("vocab_size")?,
        max_positions: config.dimension("n_positions")?,
        norm_eps: positive(config, "layer_norm_epsilon")?.unwrap_or(1e-5) as f32,
        activation,
        ..ours(config.dimension("n_layer")?, width, heads, head_dim)
    };
    if !config.flag("scale_attn_weights")?.unwrap_or(true) {
        model.attention_scale = 1.0;
    }
    let prefix = if weights.contains("transformer.wte.weight") { "transformer." } else { "" };
    let turned = transposed(weights, prefix, &model)?;
    let layout = Layout {
        embedding: format!("{prefix}wte"),
        rows: model.vocab,
        final_norm: format!("{prefix}ln_f"),
        head: Head::configured(config, "lm_head", true)?,
        layers: format!("{prefix}h."),
        pre_norms: [Some("ln_1"), Some("ln_2")],
        post_norms: [None, None],
        qkv: Qkv::Stacked("attn.c_attn"),
        qk_norm: None,
        o: "attn.c_proj",
        feed_forward: FeedForward::Plain("mlp.c_fc"),
        down: "mlp.c_proj",
        attention_bias: Bias::Present,
        o_bias: Bias::Present,
        ffn_bias: Bias::Present,
        norms: NormWeights::WeightAndBias,
    };
    finish(&turned, &format!("{prefix}wpe.weight"), &layout, model)
}

/// From a GGUF file of architecture `gpt2`.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let width = config.dimension("embedding_length")?;
    let heads = config.dimension("attention.head_count")?;
    let head_dim = per_head(config, width, heads)?;
    let rows = embedding_rows(weights, "token_embd.weight")?;
    let model = Config {
        hidden: config.dimension("feed_forward_length")?,
        vocab: rows,
        max_positions: config.dimension("context_length")?,
        norm_eps: epsilon(config, "attention.layer_norm_epsilon")?,
        ..ours(config.dimension("block_count")?, width, heads, head_dim)
    };
    let layout = Layout {
        qkv: Qkv::Stacked("attn_qkv"),
        feed_forward: FeedForward::Plain("ffn_up"),
        attention_bias: Bias::Present,
        o_bias: Bias::Present,
        ffn_bias: Bias::Present,
        norms: NormWeights::WeightAndBias,
        ..Layout::of_gguf(rows, weights)
    };
    finish(weights, "position_embd.weight", &layout, model)
}

fn ours(layers: usize, width: usize, heads: usize, head_dim: usize) -> Config {
    Config {
        norm: NormKind::Layer,
        activation: Activation::GeluTanh,
        rotary_dim: 0,
        ..base_config("gpt2", layers, width, heads, head_dim)
    }
}

fn finish(weights: &Weights, positions: &str, layout: &Layout, config: Config) -> Result<Model, LoadError> {
    let table = weights.matrix(positions, config.max_positions, config.width)?;
    let mut model =
        build(weights, layout, config, || Ok(Rope { dim: 0, base: 10_000.0, scaling: Scaling::None }))?;
    model.n_params += (table.rows * table.cols) as u64;
    model.positions = Some(table);
    Ok(model)
}

/// All tensors, the layers' matrices turned to outputs × inputs.
fn transposed(weights: &Weights, prefix: &str, config: &Config) -> Result<Weights, LoadError> {
    let (width, hidden) = (config.width, config.hidden);
    let mut turned = weights.clone();
    for i in 0..config.layers {
        for (part, rows, cols) in [
            ("attn.c_attn", width, width.saturating_mul(3)),
            ("attn.c_proj", width, width),
            ("mlp.c_fc", width, hidden),
            ("mlp.c_proj", hidden, width),
        ] {
            let name = format!("{prefix}h.{i}.{part}.weight");
            let tensor = weights.matrix(&name, rows, cols)?;
            turned.replace(&name, turn(&tensor));
        }
    }
    Ok(turned)
}

fn turn(tensor: &Tensor) -> Tensor {
    let (rows, cols) = (tensor.rows, tensor.cols);
    let mut row = vec![0f32; cols];
    let mut bytes = vec![0u8; 4 * rows * cols];
    for i in 0..rows {
        row_to_f32(tensor, i, &mut row);
        for (j, x) in row.iter().enumerate() {
            bytes[4 * (j * rows + i)..][..4].copy_from_slice(&x.to_le_bytes());
        }
    }
    Tensor { dtype: DType::F32, rows: cols, cols: rows, storage: Storage::Owned(Arc::new(bytes)) }
}
