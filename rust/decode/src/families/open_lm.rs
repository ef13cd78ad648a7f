//! OpenLM, the library the T² paper's checkpoints were trained with (arXiv 2604.01411, section on checkpoints):
//! SwiGLU, LayerNorm without bias, norms of queries and keys over all heads, a vocabulary padded to 50,432.
//!
//! The configuration is OpenLM's own (`hidden_dim`, `n_layers`, …) or its Hugging Face wrapper's (`dim`, and all of it
//! under `params_args_dict`); the weights are its state dict, saved as safetensors.

use std::path::Path;
use std::sync::Arc;

use super::build::{build, read_norm};
use super::layout::{Bias, FeedForward, Head, Layout, NormWeights, Over, Qkv};
use super::shared::{base_config, embedding_rows, per_head};
use crate::dequant;
use crate::error::LoadError;
use crate::model::{Activation, Config, Model, Norm, NormKind, RopePairs};
use crate::rope::{self, Rope, Scaling};
use crate::settings::{Settings, read_json};
use crate::tensor::{DType, Storage, Tensor};
use crate::weights::Weights;

/// OpenLM's vocabulary size and, of these, the tokens of the GPT-NeoX tokenizer it is padded from.
const PADDED_VOCABULARY: (usize, usize) = (50_432, 50_277);

/// tokenizer.json of large vocabularies is some tens of MB.
const TOKENIZER_LIMIT: usize = 128 << 20;

/// From a folder with OpenLM's configuration and its state dict as safetensors.
pub(crate) fn from_folder(folder: &Path, config: &Settings, weights: &Weights) -> Result<Model, LoadError> {
    let inner = config.section("params_args_dict")?;
    let config = inner.as_ref().unwrap_or(config);
    let either = |a: &'static str, b: &'static str| if config.get(a).is_some() { a } else { b };

    let width = config.dimension(either("hidden_dim", "dim"))?;
    let heads = config.dimension("n_heads")?;
    let head_dim = per_head(config, width, heads)?;
    if config.size("moe_freq")?.is_some_and(|n| n > 0) {
        return Err(config.unsupported("OpenLM with experts (moe_freq) is not supported".into()));
    }
    let prefix = ["", "model.", "module."]
        .into_iter()
        .find(|prefix| weights.contains(&format!("{prefix}tok_embeddings.weight")))
        .unwrap_or("");
    let rows = embedding_rows(weights, &format!("{prefix}tok_embeddings.weight"))?;
    let (norm, norms) = norm_kind(config, either("model_norm", "norm_type"), weights, prefix)?;
    let (feed_forward, down, hidden, activation) = match config.text("ffn_type")?.unwrap_or("swiglu") {
        "swiglu" | "swiglu_torch" => (
            FeedForward::Stacked("feed_forward.w12"),
            "feed_forward.w3",
            swiglu_width(width),
            Activation::SwiGlu,
        ),
        "gelu" => (FeedForward::Plain("_ff_w1"), "_ff_w2", width.saturating_mul(4), Activation::Gelu),
        other => {
            return Err(config.unsupported(format!(
                "ffn_type {other:?} is not supported in OpenLM; swiglu, swiglu_torch and gelu are"
            )));
        }
    };
    let rope_pairs = match config.text("positional_embedding_type")?.unwrap_or("rotary") {
        "rotary" => RopePairs::Halves,
        "llama_rotary" => RopePairs::Interleaved,
        other => {
            return Err(config.unsupported(format!(
                "positional_embedding_type {other:?} is not supported; rotary and llama_rotary are"
            )));
        }
    };
    let model = Config {
        hidden,
        vocab: real_vocabulary(folder, config.dimension("vocab_size")?, rows)?,
        max_positions: config.dimension("seq_len")?,
        norm,
        norm_eps: rope::positive(config, "norm_eps")?.unwrap_or(1e-5) as f32,
        activation,
        rope_pairs,
        ..base_config("open_lm", config.dimension("n_layers")?, width, heads, head_dim)
    };
    let qk_norm = config
        .flag(either("qk_norm", "apply_qk_norm"))?
        .unwrap_or_else(|| weights.contains(&format!("{prefix}layers.0.attention.q_norm.weight")));
    let tied = config.flag("weight_tying")?.unwrap_or(false);
    let layout = Layout {
        embedding: format!("{prefix}tok_embeddings"),
        rows,
        final_norm: format!("{prefix}norm"),
        head: if tied { Head::Tied(None) } else { Head::Own(format!("{prefix}output")) },
        layers: format!("{prefix}layers."),
        pre_norms: [Some("attention_norm"), Some("ffn_norm")],
        post_norms: [None, None],
        qkv: Qkv::Stacked("attention.in_proj"),
        qk_norm: qk_norm.then_some(("attention.q_norm", "attention.k_norm", Over::Row)),
        o: "attention.out_proj",
        feed_forward,
        down,
        attention_bias: Bias::Absent,
        o_bias: Bias::Absent,
        ffn_bias: Bias::Absent,
        norms,
    };
    let mut model = build(weights, &layout, model, || {
        Ok(Rope { dim: head_dim, base: 10_000.0, scaling: Scaling::None })
    })?;
    if config.flag("post_embed_norm")?.unwrap_or(false) {
        let norm = read_norm(weights, &format!("{prefix}post_embed_norm"), width, norms)?;
        if !matches!(norms, NormWeights::Nothing) {
            model.n_params += (norm.weight.len() + norm.bias.as_ref().map_or(0, Vec::len)) as u64;
        }
        fold_embedding_norm(&mut model, &norm);
    }
    Ok(model)
}

/// Hidden width of OpenLM's SwiGLU: 8/3 of the width, rounded up to a multiple of 256.
fn swiglu_width(width: usize) -> usize {
    (width.saturating_mul(8) / 3).div_ceil(256).saturating_mul(256)
}

/// The configuration may leave the norm to a command-line option that is not stored; the weights then tell.
fn norm_kind(
    config: &Settings,
    key: &str,
    weights: &Weights,
    prefix: &str,
) -> Result<(NormKind, NormWeights), LoadError> {
    Ok(match config.text(key)? {
        Some("default_layer_norm" | "lp_layer_norm") => (NormKind::Layer, NormWeights::WeightAndBias),
        Some("gain_only_layer_norm" | "gain_only_lp_layer_norm") => (NormKind::Layer, NormWeights::Weight),
        Some("no_wb_layer_norm") => (NormKind::Layer, NormWeights::Nothing),
        Some("rms_norm") => (NormKind::Rms, NormWeights::Weight),
        Some(other) => return Err(config.unsupported(format!("{key} {other:?} is not supported in OpenLM"))),
        None if weights.contains(&format!("{prefix}norm.bias")) => {
            (NormKind::Layer, NormWeights::WeightAndBias)
        }
        // A gain alone may be LayerNorm's or RMSNorm's.
        None => {
            return Err(config.malformed(
                "model_norm is missing, and these weights fit gain_only_layer_norm as well as rms_norm: add it".into(),
            ));
        }
    })
}

/// How many of the output rows are tokens: what `tokenizer.json` beside the weights says, or OpenLM's own padding.
fn real_vocabulary(folder: &Path, size: usize, rows: usize) -> Result<usize, LoadError> {
    if size > rows {
        return Err(LoadError::malformed(
            folder,
            format!("vocab_size is {size}, the embedding has {rows} rows"),
        ));
    }
    let path = folder.join("tokenizer.json");
    if !path.exists() {
        return Ok(if size == PADDED_VOCABULARY.0 { PADDED_VOCABULARY.1 } else { size });
    }
    let tokenizer = read_json(&path, TOKENIZER_LIMIT)?;
    let vocabulary = tokenizer["model"]["vocab"].as_object();
    let ids = vocabulary.into_iter().flat_map(|v| v.values()).filter_map(|id| id.as_u64());
    let added = tokenizer["added_tokens"].as_array();
    let added = added.into_iter().flatten().filter_map(|token| token["id"].as_u64());
    match ids.chain(added).max() {
        None => Err(LoadError::malformed(&path, "holds no vocabulary")),
        Some(id) if id >= size as u64 => Err(LoadError::malformed(
            &path,
            format!("token {id} is outside the model's vocabulary of {size}"),
        )),
        Some(id) => Ok(id as usize + 1),
    }
}

/// OpenLM may normalise embeddings before the first layer. That depends on the token alone, so it is done once, here;
/// the head, where it shares the matrix, keeps the plain one.
fn fold_embedding_norm(model: &mut Model, norm: &Norm) {
    let (rows, cols) = (model.embedding.rows, model.embedding.cols);
    let mut row = vec![0f32; cols];
    let mut bytes = Vec::with_capacity(rows * cols * 4);
    for i in 0..rows {
        dequant::row_to_f32(&model.embedding, i, &mut row);
        normalise(&mut row, norm, model.config.norm, f64::from(model.config.norm_eps));
        bytes.extend(row.iter().flat_map(|x| x.to_le_bytes()));
    }
    model.embedding = Tensor { dtype: DType::F32, rows, cols, storage: Storage::Owned(Arc::new(bytes)) };
    model.tied = false;
}

fn normalise(row: &mut [f32], norm: &Norm, kind: NormKind, epsilon: f64) {
    let n = row.len() as f64;
    let mean = match kind {
        NormKind::Layer => row.iter().map(|&x| f64::from(x)).sum::<f64>() / n,
        NormKind::Rms => 0.0,
    };
    let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for (i, x) in row.iter_mut().enumerate() {
        let shift = norm.bias.as_ref().map_or(0.0, |bias| f64::from(bias[i]));
        *x = ((f64::from(*x) - mean) * scale * f64::from(norm.weight[i]) + shift) as f32;
    }
}
