//! One entry for every model: a Hugging Face folder or a GGUF file in, a [`Model`] out.

use std::path::Path;

pub use crate::error::{LoadError, Reason};
use crate::families::{
    defaults, gemma, gpt_neox, gpt2, granite, llama, olmo, open_lm, phi3, smollm3, stablelm, starcoder2,
};
use crate::gguf;
use crate::model::Model;
use crate::safetensors;
use crate::settings::Settings;
use crate::weights::Weights;

/// What `model_type` may be in a folder's `config.json`.
pub const FOLDERS: [&str; 18] = [
    "llama",
    "mistral",
    "ministral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "olmo2",
    "olmo3",
    "granite",
    "granitemoehybrid",
    "phi3",
    "gpt2",
    "smollm3",
    "starcoder2",
    "stablelm",
    "gpt_neox",
];

/// What `general.architecture` may be in a GGUF file.
pub const GGUFS: [&str; 13] = [
    "llama",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "olmo2",
    "granite",
    "phi3",
    "gpt2",
    "smollm3",
    "starcoder2",
    "stablelm",
    "gptneox",
];

/// Loads the model at `path`: a folder with `config.json` and safetensors, or a GGUF file.
///
/// Files are memory-mapped; only norms, biases and weights whose rows must be re-ordered are read and copied.
///
/// # Errors
/// A [`LoadError`] that names the file and the key, tensor or type at fault.
pub fn load(path: &Path) -> Result<Model, LoadError> {
    let mut model = if path.is_dir() { load_folder(path) } else { load_gguf(path) }?;
    let vocab = model.config.vocab;
    let (ends, beyond) = model.config.eos.iter().partition(|&&id| (id as usize) < vocab);
    model.config.eos = ends;
    let beyond: Vec<u32> = beyond;
    if !beyond.is_empty() {
        model.notes.push(format!(
            "{}: {beyond:?} would end a sample, and cannot be drawn: the vocabulary has {vocab} tokens",
            path.display()
        ));
    }
    Ok(model)
}

/// The tensors at `path` without a model around them: a GGUF file, a safetensors file or a folder of these.
pub fn weights(path: &Path) -> Result<Weights, LoadError> {
    if path.is_dir() {
        safetensors::read_folder(path)
    } else if path.extension().is_some_and(|e| e == "safetensors") {
        safetensors::read_file(path)
    } else {
        Ok(gguf::read(path)?.1)
    }
}

fn load_folder(folder: &Path) -> Result<Model, LoadError> {
    if folder.join("adapter_config.json").exists() {
        return Err(LoadError::unsupported(folder, safetensors::ADAPTER));
    }
    if !folder.join("config.json").exists() {
        let what = safetensors::nothing_to_read(folder);
        return Err(LoadError::malformed(folder, format!("has no config.json; the folder {what}")));
    }
    let config = Settings::from_json(&folder.join("config.json"))?;
    let mut notes = Vec::new();
    let mut blocks = None;
    if let Some(quantization) = config.section("quantization_config")? {
        let bits = ["load_in_4bit", "load_in_8bit"].iter().any(|key| quantization.mentions(key));
        let unnamed = if bits { "bitsandbytes" } else { "unnamed" };
        blocks =
            quantization.numbers("weight_block_size")?.and_then(|sizes| <[f32; 2]>::try_from(sizes).ok());
        let format = quantization.text("format")?.unwrap_or("float-quantized");
        match quantization.text("quant_method")?.unwrap_or(unnamed) {
            "compressed-tensors" if !["float-quantized", "naive-quantized"].contains(&format) => {
                return Err(config.unsupported(format!(
                    "weights are quantised by compressed-tensors as {format:?}; load the unquantised model or a GGUF \
                     file of it"
                )));
            }
            // Scales beside E4M3 weights; any other type of weights is refused where it is read.
            "fp8" | "fbgemm_fp8" | "compressed-tensors" => notes.push(config.note(
                "weights in 8 bits are computed with as they are; activations are not quantised as well",
            )),
            method => {
                return Err(config.unsupported(format!(
                    "weights are quantised by {method:?}; load the unquantised model or a GGUF file of it"
                )));
            }
        }
    }
    let mut weights = safetensors::read_folder(folder)?;
    weights.blocks = blocks;
    let kind = config.text("model_type")?;
    let mut model = match kind {
        Some("openlm" | "open_lm") => open_lm::from_folder(folder, &config, &weights)?,
        // OpenLM's own configurations name no type.
        None if config.get("hidden_dim").is_some() && config.get("n_layers").is_some() => {
            open_lm::from_folder(folder, &config, &weights)?
        }
        Some("gemma3") => gemma::from_wrapper(&config, &weights)?,
        Some(kind) if FOLDERS.contains(&kind) => {
            causal(&config)?;
            let config = config.or(defaults::of_transformers(kind));
            match kind {
                "gemma2" | "gemma3_text" => gemma::from_folder(kind, &config, &weights)?,
                "gpt2" => gpt2::from_folder(&config, &weights)?,
                "gpt_neox" => gpt_neox::from_folder(&config, &weights)?,
                "granite" => granite::from_folder(&config, &weights)?,
                "granitemoehybrid" => granite::from_hybrid(&config, &weights)?,
                "olmo2" | "olmo3" => olmo::from_folder(kind, &config, &weights)?,
                "phi3" => phi3::from_folder(&config, &weights)?,
                "smollm3" => smollm3::from_folder(&config, &weights)?,
                "stablelm" => stablelm::from_folder(&config, &weights)?,
                "starcoder2" => starcoder2::from_folder(&config, &weights)?,
                _ => llama::from_folder(kind, &config, &weights)?,
            }
        }
        other => {
            return Err(config.unsupported(format!(
                "model_type {} is not supported; {}, open_lm are",
                other.map_or("(none)".into(), |o| format!("{o:?}")),
                FOLDERS.join(", ")
            )));
        }
    };
    special_tokens(folder, kind.filter(|kind| FOLDERS.contains(kind)), &config, &mut model)?;
    model.notes.extend(notes);
    model.notes.extend(unread(&weights));
    Ok(model)
}

/// Says which tensors have no part in what is computed, unless they never have.
fn unread(weights: &Weights) -> Option<String> {
    let harmless = |name: &str| {
        NEVER_READ.iter().any(|end| name.ends_with(end)) || IMAGES.iter().any(|part| name.contains(part))
    };
    let names: Vec<&str> = weights.unread().into_iter().filter(|name| !harmless(name)).collect();
    let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
    let listed: Vec<String> = names.iter().take(3).map(|name| format!("{name:?}")).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{}: tensors are stored that this architecture does not have, and are not used: {}{more}",
            weights.path().display(),
            listed.join(", ")
        )
    })
}

/// How names of tensors end that files hold without need: tables that are computed, scales of activations, and LongRoPE's
/// divisors for contexts that are not reached.
const NEVER_READ: [&str; 10] = [
    ".inv_freq",
    ".masked_bias",
    ".attn.bias",
    ".attention.bias",
    ".input_scale",
    ".activation_scale",
    ".k_scale",
    ".v_scale",
    "rope_factors_long.weight",
    "rope_freqs.weight",
];

/// Parts of names of tensors that read images.
const IMAGES: [&str; 2] = ["vision_tower.", "multi_modal_projector."];

/// A classifier of the same family has the same `model_type` and no output head, and an encoder looks ahead.
fn causal(config: &Settings) -> Result<(), LoadError> {
    if config.flag("is_causal")? == Some(false) {
        return Err(config.unsupported("is_causal is false: this model is no decoder".into()));
    }
    let Some(serde_json::Value::Array(names)) = config.get("architectures") else { return Ok(()) };
    let mut names = names.iter().filter_map(|name| name.as_str());
    match names.next() {
        Some(name) if !name.ends_with("ForCausalLM") && !name.ends_with("LMHeadModel") => {
            Err(config.unsupported(format!("architecture {name:?} is no decoder with a language-model head")))
        }
        _ => Ok(()),
    }
}

/// `generation_config.json` has the last word on when to stop, as in transformers; what it leaves out, `config.json`
/// says.
fn special_tokens(
    folder: &Path,
    kind: Option<&str>,
    config: &Settings,
    model: &mut Model,
) -> Result<(), LoadError> {
    let path = folder.join("generation_config.json");
    let generation = if path.exists() { Some(Settings::from_json(&path)?) } else { None };
    let text = config.section("text_config")?;
    let mut tokens = |key: &str| {
        let own = match config.tokens(key)? {
            None => text.as_ref().map_or(Ok(None), |text| text.tokens(key))?,
            own => own,
        };
        let generation = generation.as_ref().map_or(Ok(None), |g| g.tokens(key))?;
        if let (Some(ours), Some(theirs)) = (&own, &generation)
            && ours.iter().any(|id| !theirs.contains(id))
        {
            model.notes.push(config.note(&format!(
                "{key} is {ours:?} here and {theirs:?} in generation_config.json, which is used"
            )));
        }
        Ok(generation.or(own))
    };
    let bos = tokens("bos_token_id")?;
    let mut eos = tokens("eos_token_id")?;
    let files = [Some(config), text.as_ref(), generation.as_ref()];
    if !files.into_iter().flatten().any(|file| file.mentions("eos_token_id"))
        && let Some(id) = kind.and_then(|kind| defaults::of_transformers(kind).get("eos_token_id")?.as_u64())
    {
        model.notes.push(config.note(&format!(
            "eos_token_id is missing, here and in generation_config.json: {id} ends a sample, as transformers has it"
        )));
        eos = Some(vec![id as u32]);
    }
    model.config.bos = bos.and_then(|ids| ids.first().copied());
    model.config.eos = eos.unwrap_or_default();
    Ok(())
}

fn load_gguf(path: &Path) -> Result<Model, LoadError> {
    let (metadata, weights) = gguf::read(path)?;
    let general = Settings::from_gguf(path, &metadata, "general.");
    match general.text("type")?.unwrap_or("model") {
        "model" => {}
        other => {
            return Err(LoadError::unsupported(
                path,
                format!("holds no model but what its general.type calls {other:?}"),
            ));
        }
    }
    let architecture = general.text("architecture")?.unwrap_or("(none)");
    let config = Settings::from_gguf(path, &metadata, &format!("{architecture}."));
    if config.flag("attention.causal")? == Some(false) {
        return Err(config.unsupported("attention.causal is false: this model is no decoder".into()));
    }
    let mut model = match architecture {
        "gemma2" | "gemma3" => gemma::from_gguf(architecture, &config, &weights)?,
        "gpt2" => gpt2::from_gguf(&config, &weights)?,
        "gptneox" => gpt_neox::from_gguf(&config, &weights)?,
        "granite" => granite::from_gguf(&config, &weights)?,
        "olmo2" => olmo::from_gguf(&config, &weights)?,
        "phi3" => phi3::from_gguf(&config, &weights)?,
        "smollm3" => smollm3::from_gguf(&config, &weights)?,
        "stablelm" => stablelm::from_gguf(&config, &weights)?,
        "starcoder2" => starcoder2::from_gguf(&config, &weights)?,
        "llama" | "qwen2" | "qwen3" => llama::from_gguf(architecture, &config, &weights)?,
        other => {
            return Err(LoadError::unsupported(
                path,
                format!("architecture {other:?} is not supported in GGUF; {} are", GGUFS.join(", ")),
            ));
        }
    };
    let tokenizer = Settings::from_gguf(path, &metadata, "tokenizer.ggml.");
    let one = |key: &str| Ok(tokenizer.tokens(key)?.and_then(|ids| ids.first().copied()));
    model.config.bos = one("bos_token_id")?;
    for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
        model.config.eos.extend(one(key)?.filter(|id| !model.config.eos.contains(id)));
    }
    if let Some(gguf::Value::Array(tokens)) = metadata.get("tokenizer.ggml.tokens") {
        if tokens.is_empty() || tokens.len() > model.config.vocab {
            return Err(LoadError::malformed(
                path,
                format!(
                    "the vocabulary has {} tokens, the embedding {} rows",
                    tokens.len(),
                    model.config.vocab
                ),
            ));
        }
        model.config.vocab = tokens.len();
    }
    if config.size("pooling_type")?.is_some_and(|kind| kind > 0) {
        model.notes.push(config.note(
            "pooling_type says that this model was made to embed or rank texts: what is drawn may mean nothing",
        ));
    }
    model.notes.extend(unread(&weights));
    Ok(model)
}
