//! What a folder's configuration means where it leaves a key out: the defaults of transformers' own classes, which write
//! such files (Gemma 3 with images leaves out the number of heads, for one).

use serde_json::{Map, Value, json};

/// Keys and values of a `model_type`, as far as they are not another key's or the family's own business.
pub(crate) fn of_transformers(kind: &str) -> Map<String, Value> {
    let mut known = json!({
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "bos_token_id": 1, "eos_token_id": 2
    });
    let own = match kind {
        "mistral" => json!({"num_key_value_heads": 8, "max_position_embeddings": 131_072}),
        "ministral" => json!({"num_key_value_heads": 8, "max_position_embeddings": 131_072}),
        "qwen2" => json!({
            "num_key_value_heads": 32, "max_position_embeddings": 32_768, "bos_token_id": null, "eos_token_id": null
        }),
        "qwen3" => json!({
            "num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 32_768, "bos_token_id": null,
            "eos_token_id": null
        }),
        "gemma2" => json!({
            "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 8192, "bos_token_id": 2,
            "eos_token_id": 1
        }),
        "gemma3" | "gemma3_text" => json!({
            "vocab_size": 262_208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 131_072,
            "bos_token_id": 2, "eos_token_id": 1
        }),
        "olmo2" | "olmo3" => json!({"rms_norm_eps": 1e-5, "bos_token_id": null, "eos_token_id": 50_279}),
        "phi3" => json!({
            "max_position_embeddings": 4096, "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
            "eos_token_id": 32_000
        }),
        "gpt2" => json!({"n_positions": 1024, "bos_token_id": 50_256, "eos_token_id": 50_256}),
        "smollm3" => json!({
            "num_key_value_heads": 4, "max_position_embeddings": 32_768, "bos_token_id": 128_000,
            "eos_token_id": 128_001
        }),
        "starcoder2" => json!({
            "num_key_value_heads": 2, "max_position_embeddings": 4096, "norm_epsilon": 1e-5, "bos_token_id": 50_256,
            "eos_token_id": 50_256
        }),
        "stablelm" => json!({
            "num_key_value_heads": 32, "max_position_embeddings": 4096, "layer_norm_eps": 1e-5, "bos_token_id": 0,
            "eos_token_id": 0
        }),
        "gpt_neox" => json!({"layer_norm_eps": 1e-5, "bos_token_id": 0}),
        _ => json!({}),
    };
    let mut all = std::mem::take(known.as_object_mut().expect("an object"));
    all.extend(own.as_object().cloned().unwrap_or_default());
    all
}
