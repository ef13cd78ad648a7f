//! What each family's files mean: configuration, places of the weights, and errors that name what is wrong.

mod common;

use serde_json::{Value, json};
use t2fast_decode::load::{self, Reason, load};
use t2fast_decode::model::{Activation, Model, NormKind, RopePairs};

use common::{Named, counted, folder, llama, load_with, refused, values};

/// A llama configuration with these keys replaced (null removes one).
fn llama_with(changes: Value) -> Result<Model, load::LoadError> {
    let (mut config, tensors) = llama();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    load_with(&config, &tensors)
}

#[test]
fn llama_folder() {
    let model = llama_with(json!({})).unwrap();
    let config = &model.config;
    assert_eq!(
        (config.layers, config.width, config.heads, config.kv_heads, config.head_dim),
        (2, 8, 2, 1, 4)
    );
    assert_eq!((config.hidden, config.vocab, config.max_positions), (12, 10, 64));
    assert_eq!(
        (config.norm, config.activation, config.rope_pairs),
        (NormKind::Rms, Activation::SwiGlu, RopePairs::Halves)
    );
    assert_eq!((config.bos, &config.eos[..]), (Some(1), &[2][..]));
    assert_eq!(config.inv_freq, [1.0, 0.01]);
    assert!(!model.tied);
    let stored: usize = llama().1.iter().map(|(_, _, values)| values.len()).sum();
    assert_eq!(model.n_params, stored as u64);
    assert_eq!(values(&model.head.weight), (0..80).map(|i| 5.0 + i as f32).collect::<Vec<_>>());
}

#[test]
fn a_tied_head_is_the_embedding_and_counts_once() {
    let (mut config, mut tensors) = llama();
    config["tie_word_embeddings"] = json!(true);
    tensors.retain(|(name, ..)| name != "lm_head.weight");
    let model = load_with(&config, &tensors).unwrap();
    assert!(model.tied);
    assert_eq!(values(&model.head.weight), values(&model.embedding));
    assert_eq!(model.n_params, tensors.iter().map(|(_, _, values)| values.len() as u64).sum::<u64>());
}

#[test]
fn old_and_new_rope_keys_agree() {
    let old =
        llama_with(json!({"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 2.0}})).unwrap();
    let new = llama_with(json!({
        "rope_theta": null, "rope_parameters": {"rope_theta": 500.0, "rope_type": "linear", "factor": 2.0}
    }))
    .unwrap();
    assert_eq!(old.config.inv_freq, new.config.inv_freq);
    assert_eq!(old.config.inv_freq[0], 0.5);
}

/// Frequencies of a head of 16 made for 4,096 positions, as transformers 5.23 computes them.
#[test]
fn scaled_frequencies_are_those_of_transformers() {
    #[rustfmt::skip]
    #[expect(clippy::excessive_precision, reason = "copied as PyTorch prints them")]
    let cases: [(Value, [f32; 8], f32); 6] = [
        (json!({"rope_type": "linear", "rope_theta": 1e4, "factor": 3.0}),
         [0.3333333432674408, 0.10540925711393356, 0.03333333507180214, 0.010540925897657871, 0.003333333181217313,
          0.0010540926596149802, 0.0003333333588670939, 0.0001054092645063065], 1.0),
        (json!({"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}),
         [1.0, 0.3162277638912201, 0.10000000149011612, 0.03162277862429619, 0.009999999776482582,
          0.003162277862429619, 0.0010000000474974513, 0.0003162277862429619], 1.0),
        (json!({"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 1024}),
         [1.0, 0.193922758102417, 0.03760603070259094, 0.0013125694822520018, 0.00017677668074611574,
          3.428102354519069e-05, 6.647869668086059e-06, 1.289173155782919e-06], 1.0),
        (json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 1024}),
         [1.0, 0.3162277638912201, 0.08125000447034836, 0.019764237105846405, 0.0043750000186264515,
          0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05], 1.138629436111989),
        (json!({"rope_type": "yarn", "rope_theta": 1e6, "factor": 8.0, "original_max_position_embeddings": 512,
                "mscale": 0.7, "mscale_all_dim": 0.3, "beta_fast": 16, "beta_slow": 2, "truncate": false}),
         [1.0, 0.1704140305519104, 0.007324999663978815, 0.0007029266562312841, 0.0001250000059371814,
          2.2228492525755428e-05, 3.9528467823402025e-06, 7.029266839708725e-07], 1.0782934613857693),
        (json!({"rope_type": "yarn", "rope_theta": 1e6, "factor": 8.0, "original_max_position_embeddings": 512,
                "attention_factor": 1.25}),
         [1.0, 0.12596145272254944, 0.01317615807056427, 0.0007029266562312841, 0.0001250000059371814,
          2.2228492525755428e-05, 3.9528467823402025e-06, 7.029266839708725e-07], 1.25),
    ];
    let (mut config, mut tensors) = llama();
    config["head_dim"] = json!(16);
    config["max_position_embeddings"] = json!(4096);
    for (name, shape, values) in &mut tensors {
        let wide = |rows: &usize| rows * 4;
        if name.contains("q_proj") || name.contains("k_proj") || name.contains("v_proj") {
            shape[0] = wide(&shape[0]);
        } else if name.contains("o_proj") {
            shape[1] = wide(&shape[1]);
        }
        values.resize(shape.iter().product(), 0.0);
    }
    for (parameters, expected, scale) in cases {
        config["rope_parameters"] = parameters.clone();
        let config = load_with(&config, &tensors).unwrap().config;
        assert_eq!(config.rope_scale, scale, "{parameters}");
        for (got, want) in config.inv_freq.iter().zip(expected) {
            // One rounding apart: the power function of either side may miss the nearest f32 by one.
            assert!((got - want).abs() <= 2.0 * f32::EPSILON * want, "{parameters}: {got} {want}");
        }
    }
}

#[test]
fn generation_config_decides_where_to_stop() {
    let (config, tensors) = llama();
    let dir = tempfile::tempdir().unwrap();
    let path = folder(dir.path(), &config, &tensors);
    std::fs::write(path.join("generation_config.json"), r#"{"eos_token_id": [4, 7]}"#).unwrap();
    let model = load(&path).unwrap();
    assert_eq!((model.config.bos, &model.config.eos[..]), (Some(1), &[4, 7][..]));
}

#[test]
fn sliding_windows() {
    let window = |changes: Value| llama_with(changes).map(|model| model.config.sliding_window);
    let mistral =
        json!({"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 5});
    assert_eq!(window(mistral).unwrap(), Some(5));

    let (mut config, tensors) = qwen3();
    let mut window = |changes: Value| {
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        load_with(&config, &tensors).map(|model| model.config.sliding_window)
    };
    assert_eq!(window(json!({"sliding_window": 5, "use_sliding_window": false})).unwrap(), None);
    assert_eq!(window(json!({"use_sliding_window": true, "max_window_layers": 2})).unwrap(), None);
    assert_eq!(window(json!({"max_window_layers": 0})).unwrap(), Some(5));
    config["max_window_layers"] = json!(1);
    let mixed = load_with(&config, &tensors).unwrap();
    assert_eq!(mixed.layers.iter().map(|l| l.window).collect::<Vec<_>>(), [None, Some(5)]);
}

fn qwen3() -> (Value, Vec<Named>) {
    let (mut config, mut tensors) = llama();
    config["model_type"] = json!("qwen3");
    config["head_dim"] = json!(4); // transformers' default is 128
    config["architectures"] = json!(["Qwen3ForCausalLM"]);
    for i in 0..2 {
        for norm in ["q_norm", "k_norm"] {
            tensors.push(counted(&format!("model.layers.{i}.self_attn.{norm}.weight"), &[4], 1.0));
        }
    }
    (config, tensors)
}

#[test]
fn qwen3_normalises_each_head() {
    let (config, tensors) = qwen3();
    let model = load_with(&config, &tensors).unwrap();
    assert_eq!(model.layers[1].q_norm.as_ref().unwrap().weight, [1.0, 2.0, 3.0, 4.0]);
    assert!(model.layers[1].k_norm.as_ref().unwrap().bias.is_none());
}

#[test]
fn qwen2_needs_its_biases() {
    let (mut config, mut tensors) = llama();
    config["model_type"] = json!("qwen2");
    refused(
        load_with(&config, &tensors),
        Reason::Malformed,
        &["model.layers.0.self_attn.q_proj.bias", "missing"],
    );
    for i in 0..2 {
        for (part, rows) in [("q", 8), ("k", 4), ("v", 4)] {
            tensors.push(counted(&format!("model.layers.{i}.self_attn.{part}_proj.bias"), &[rows], 3.0));
        }
    }
    let model = load_with(&config, &tensors).unwrap();
    assert_eq!(model.layers[0].k.bias.as_deref(), Some(&[3.0, 4.0, 5.0, 6.0][..]));
    assert!(model.layers[0].o.bias.is_none());
    config["model_type"] = json!("llama");
    refused(load_with(&config, &tensors), Reason::Unsupported, &["q_proj.bias", "no bias"]);
}

fn neox() -> (Value, Vec<Named>) {
    let config = json!({
        "model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "hidden_size": 8, "num_attention_heads": 2,
        "num_hidden_layers": 1, "intermediate_size": 12, "vocab_size": 10, "max_position_embeddings": 64,
        "layer_norm_eps": 1e-5, "rotary_pct": 0.5, "rotary_emb_base": 100, "hidden_act": "gelu", "eos_token_id": 0,
    });
    let mut tensors = vec![
        counted("gpt_neox.embed_in.weight", &[10, 8], 0.0),
        counted("embed_out.weight", &[10, 8], 0.0),
        counted("gpt_neox.layers.0.attention.query_key_value.weight", &[24, 8], 0.0),
        counted("gpt_neox.layers.0.attention.query_key_value.bias", &[24], 0.0),
        counted("gpt_neox.layers.0.attention.dense.weight", &[8, 8], 0.0),
        counted("gpt_neox.layers.0.attention.dense.bias", &[8], 0.0),
        counted("gpt_neox.layers.0.mlp.dense_h_to_4h.weight", &[12, 8], 0.0),
        counted("gpt_neox.layers.0.mlp.dense_h_to_4h.bias", &[12], 0.0),
        counted("gpt_neox.layers.0.mlp.dense_4h_to_h.weight", &[8, 12], 0.0),
        counted("gpt_neox.layers.0.mlp.dense_4h_to_h.bias", &[8], 0.0),
    ];
    for norm in ["layers.0.input_layernorm", "layers.0.post_attention_layernorm", "final_layer_norm"] {
        tensors.push(counted(&format!("gpt_neox.{norm}.weight"), &[8], 1.0));
        tensors.push(counted(&format!("gpt_neox.{norm}.bias"), &[8], 0.5));
    }
    (config, tensors)
}

#[test]
fn neox_rows_are_dealt_to_queries_keys_and_values() {
    let (config, tensors) = neox();
    let model = load_with(&config, &tensors).unwrap();
    let layer = &model.layers[0];
    // Row r of the fused matrix begins with 8 r; heads are 4 wide, each with its query, key and value rows.
    let first = |linear: &t2fast_decode::model::Linear| {
        values(&linear.weight).chunks(8).map(|row| row[0] as usize / 8).collect::<Vec<_>>()
    };
    assert_eq!(first(&layer.q), [0, 1, 2, 3, 12, 13, 14, 15]);
    assert_eq!(first(&layer.k), [4, 5, 6, 7, 16, 17, 18, 19]);
    assert_eq!(first(&layer.v), [8, 9, 10, 11, 20, 21, 22, 23]);
    assert_eq!(layer.k.bias.as_deref(), Some(&[4., 5., 6., 7., 16., 17., 18., 19.][..]));
    assert_eq!((model.config.rotary_dim, &model.config.inv_freq[..]), (2, &[1.0][..]));
    assert!(model.config.parallel_residual && model.config.norm == NormKind::Layer && layer.gate.is_none());
    let stored: usize = tensors.iter().map(|(_, _, values)| values.len()).sum();
    assert_eq!(model.n_params, stored as u64);
}

#[test]
fn neox_variants() {
    let (mut config, mut tensors) = neox();
    for (name, kind) in
        [("gelu", Activation::Gelu), ("gelu_new", Activation::GeluTanh), ("gelu_fast", Activation::GeluTanh)]
    {
        config["hidden_act"] = json!(name);
        assert_eq!(load_with(&config, &tensors).unwrap().config.activation, kind);
    }
    config["hidden_act"] = json!("relu");
    refused(load_with(&config, &tensors), Reason::Unsupported, &["relu"]);
    config["hidden_act"] = json!("gelu");
    config["attention_bias"] = json!(false);
    tensors.retain(|(name, ..)| !name.starts_with("gpt_neox.layers.0.attention") || !name.ends_with("bias"));
    assert!(load_with(&config, &tensors).unwrap().layers[0].q.bias.is_none());
}

#[test]
fn what_is_not_supported_is_named() {
    refused(
        llama_with(json!({"model_type": "mamba"})),
        Reason::Unsupported,
        &["\"mamba\"", "llama", "open_lm"],
    );
    refused(llama_with(json!({"model_type": null})), Reason::Unsupported, &["model_type (none)"]);
    refused(llama_with(json!({"hidden_act": "gelu"})), Reason::Unsupported, &["gelu"]);
    refused(
        llama_with(json!({"architectures": ["LlamaForSequenceClassification"]})),
        Reason::Unsupported,
        &["LlamaForSequenceClassification"],
    );
    refused(
        llama_with(json!({"quantization_config": {"quant_method": "gptq"}})),
        Reason::Unsupported,
        &["gptq"],
    );
    refused(
        llama_with(json!({"rope_scaling": {"rope_type": "proportional"}})),
        Reason::Unsupported,
        &["proportional"],
    );
}

#[test]
fn what_contradicts_is_named() {
    let malformed = |changes: Value, words: &[&str]| refused(llama_with(changes), Reason::Malformed, words);
    malformed(json!({"vocab_size": 11}), &["model.embed_tokens.weight", "[10, 8]", "[11, 8]"]);
    malformed(json!({"num_hidden_layers": 3}), &["model.layers.2.self_attn.q_proj.weight", "missing"]);
    malformed(json!({"num_key_value_heads": 3}), &["2 query heads", "3 key heads"]);
    malformed(json!({"num_key_value_heads": 0}), &["0 key heads"]);
    malformed(json!({"num_attention_heads": 3}), &["width 8", "3 heads"]);
    malformed(json!({"hidden_size": null}), &["hidden_size is missing"]);
    malformed(json!({"hidden_size": "8"}), &["hidden_size", "whole number"]);
    malformed(json!({"rms_norm_eps": -1.0}), &["rms_norm_eps", "-1"]);
    malformed(json!({"rope_theta": 0}), &["rope_theta"]);
    malformed(json!({"eos_token_id": -1}), &["eos_token_id"]);
    malformed(json!({"head_dim": 3}), &["head"]);
    let dir = tempfile::tempdir().unwrap();
    refused(load(dir.path()), Reason::Malformed, &["has no config.json"]);
    std::fs::write(dir.path().join("config.json"), llama().0.to_string()).unwrap();
    std::fs::write(dir.path().join("pytorch_model.bin"), "").unwrap();
    refused(load(dir.path()), Reason::Malformed, &["model.safetensors", "pytorch_model.bin", "pickles"]);
}
