//! GPT-NeoX (Pythia): LayerNorm with bias, GELU, rotary embedding of part of each head, parallel residual.

use super::build::build;
use super::layout::{Bias, FeedForward, Head, Layout, NormWeights, Qkv};
use super::shared::{base_config, embedding_rows, epsilon, gguf_rope, per_head, rope_section, served};
use crate::error::LoadError;
use crate::model::{Activation, Config, Model, NormKind};
use crate::rope::{self, Rope, Scaling};
use crate::settings::Settings;
use crate::weights::Weights;

/// From `config.json` and safetensors in the names transformers gives them.
pub(crate) fn from_folder(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let width = config.dimension("hidden_size")?;
    let heads = config.dimension("num_attention_heads")?;
    let head_dim = per_head(config, width, heads)?;
    let mut notes = Vec::new();
    let rope = rope_section(config, &mut notes)?;
    let parameter = |key: &str, old_key: &str| {
        let inner = rope.as_ref().map_or(Ok(None), |section| rope::positive(section, key))?;
        if inner.is_some() { Ok(inner) } else { rope::positive(config, old_key) }
    };
    let rotated = parameter("partial_rotary_factor", "rotary_pct")?.unwrap_or(0.25);
    let activation = match config.text("hidden_act")?.unwrap_or("gelu") {
        "gelu" | "gelu_python" => Activation::Gelu,
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Activation::GeluTanh,
        other => {
            return Err(
                config.unsupported(format!("hidden_act {other:?} is not supported in gpt_neox; gelu is"))
            );
        }
    };
    let mut model = Config {
        hidden: config.dimension("intermediate_size")?,
        vocab: config.dimension("vocab_size")?,
        max_positions: config.dimension("max_position_embeddings")?,
        norm: NormKind::Layer,
        norm_eps: epsilon(config, "layer_norm_eps")?,
        activation,
        parallel_residual: config.flag("use_parallel_residual")?.unwrap_or(true),
        rotary_dim: (head_dim as f64 * rotated) as usize,
        ..base_config("gpt_neox", config.dimension("num_hidden_layers")?, width, heads, head_dim)
    };
    let bias = Bias::when(config.flag("attention_bias")?.unwrap_or(true));
    let layout = Layout {
        embedding: "gpt_neox.embed_in".into(),
        rows: model.vocab,
        final_norm: "gpt_neox.final_layer_norm".into(),
        head: Head::configured(config, "embed_out", false)?,
        layers: "gpt_neox.layers.".into(),
        pre_norms: [Some("input_layernorm"), Some("post_attention_layernorm")],
        post_norms: [None, None],
        qkv: Qkv::ByHead("attention.query_key_value"),
        qk_norm: None,
        o: "attention.dense",
        feed_forward: FeedForward::Plain("mlp.dense_h_to_4h"),
        down: "mlp.dense_4h_to_h",
        attention_bias: bias,
        o_bias: bias,
        ffn_bias: Bias::Present,
        norms: NormWeights::WeightAndBias,
    };
    let (dim, positions) = (model.rotary_dim, model.max_positions);
    model.max_positions = served(config, rope.as_ref(), positions, &mut notes)?;
    let mut model = build(weights, &layout, model, || {
        Ok(Rope {
            dim,
            base: parameter("rope_theta", "rotary_emb_base")?.unwrap_or(10_000.0),
            scaling: rope
                .as_ref()
                .map_or(Ok(Scaling::None), |r| rope::scaling_from_json(config, r, positions))?,
        })
    })?;
    model.notes.extend(notes);
    Ok(model)
}

/// From a GGUF file of architecture `gptneox`, which stores all query rows, then all key rows, then all value rows.
///
/// The file does not say which GELU the model was trained with; every published GPT-NeoX uses the exact one.
pub(crate) fn from_gguf(config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let width = config.dimension("embedding_length")?;
    let heads = config.dimension("attention.head_count")?;
    let head_dim = per_head(config, width, heads)?;
    let rows = embedding_rows(weights, "token_embd.weight")?;
    let model = Config {
        hidden: config.dimension("feed_forward_length")?,
        vocab: rows,
        max_positions: config.dimension("context_length")?,
        norm: NormKind::Layer,
        norm_eps: epsilon(config, "attention.layer_norm_epsilon")?,
        activation: Activation::Gelu,
        parallel_residual: config.flag("use_parallel_residual")?.unwrap_or(true),
        rotary_dim: config.size("rope.dimension_count")?.unwrap_or(head_dim),
        ..base_config("gptneox", config.dimension("block_count")?, width, heads, head_dim)
    };
    let layout = Layout {
        qkv: Qkv::Stacked("attn_qkv"),
        feed_forward: FeedForward::Plain("ffn_up"),
        norms: NormWeights::WeightAndBias,
        ..Layout::of_gguf(rows, weights)
    };
    let (dim, positions) = (model.rotary_dim, model.max_positions);
    build(weights, &layout, model, || gguf_rope(config, weights, dim, positions))
}
