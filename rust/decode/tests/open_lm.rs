//! OpenLM's files: configuration, places of the weights, and errors that name what is wrong.

mod common;

use serde_json::{Value, json};
use t2fast_decode::load::{Reason, load};
use t2fast_decode::model::NormKind;
use t2fast_decode::tensor::Storage;

use common::{Named, counted, folder, load_with, refused, values};

/// OpenLM: width 8, two heads, hidden width 256 by its rule, 12 rows of which 10 are tokens.
fn open_lm(prefix: &str) -> (Value, Vec<Named>) {
    let config = json!({
        "hidden_dim": 8, "n_layers": 1, "n_heads": 2, "seq_len": 64, "vocab_size": 12, "post_embed_norm": false,
        "weight_tying": false, "model_norm": "gain_only_lp_layer_norm", "qk_norm": true, "ffn_type": "swiglu_torch",
        "positional_embedding_type": "rotary",
    });
    let tensors = [
        ("tok_embeddings", &[12, 8][..]),
        ("norm", &[8]),
        ("output", &[12, 8]),
        ("layers.0.attention.in_proj", &[24, 8]),
        ("layers.0.attention.out_proj", &[8, 8]),
        ("layers.0.attention.q_norm", &[8]),
        ("layers.0.attention.k_norm", &[8]),
        ("layers.0.attention_norm", &[8]),
        ("layers.0.ffn_norm", &[8]),
        ("layers.0.feed_forward.w12", &[512, 8]),
        ("layers.0.feed_forward.w3", &[8, 256]),
    ]
    .map(|(name, shape)| counted(&format!("{prefix}{name}.weight"), shape, 0.0));
    (config, tensors.into())
}

#[test]
fn open_lm_in_its_own_and_its_wrapped_form() {
    let (config, tensors) = open_lm("");
    let model = load_with(&config, &tensors).unwrap();
    let layer = &model.layers[0];
    assert_eq!((model.config.hidden, model.config.vocab, model.config.norm), (256, 12, NormKind::Layer));
    assert!(matches!(layer.q.weight.storage, Storage::Mapped(..)), "stacked rows need no copy");
    assert_eq!(values(&layer.k.weight)[0], 64.0);
    assert_eq!(values(&layer.v.weight)[0], 128.0);
    assert_eq!((values(&layer.gate.as_ref().unwrap().weight)[0], values(&layer.up.weight)[0]), (0.0, 2048.0));
    assert_eq!(layer.q_norm.as_ref().unwrap().weight.len(), 8);
    assert!(layer.attn_norm.as_ref().is_some_and(|n| n.bias.is_none()));

    let (mut inner, tensors) = open_lm("model.");
    let inner_map = inner.as_object_mut().unwrap();
    for (key, renamed) in [("hidden_dim", "dim"), ("model_norm", "norm_type"), ("qk_norm", "apply_qk_norm")] {
        let value = inner_map.remove(key).unwrap();
        inner_map.insert(renamed.into(), value);
    }
    let wrapped = json!({"model_type": "openlm", "params_args_dict": inner});
    assert_eq!(load_with(&wrapped, &tensors).unwrap().config.hidden, 256);
}

#[test]
fn open_lm_padding_is_no_token() {
    let (config, tensors) = open_lm("");
    let dir = tempfile::tempdir().unwrap();
    let path = folder(dir.path(), &config, &tensors);
    let tokenizer = |added: u32| {
        let json =
            json!({"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": added, "content": "c"}]});
        std::fs::write(path.join("tokenizer.json"), json.to_string()).unwrap();
        load(&path)
    };
    let model = tokenizer(9).unwrap();
    assert_eq!((model.config.vocab, model.head.weight.rows), (10, 12));
    refused(tokenizer(12), Reason::Malformed, &["token 12"]);
}

/// The published size: 50,432 rows of which the GPT-NeoX tokenizer fills 50,277.
#[test]
fn open_lm_padding_without_a_tokenizer() {
    let (mut config, mut tensors) = open_lm("");
    config["vocab_size"] = json!(50_432);
    for (name, shape, values) in &mut tensors {
        if name.starts_with("tok_embeddings") || name.starts_with("output") {
            shape[0] = 50_432;
            values.resize(50_432 * 8, 0.0);
        }
    }
    assert_eq!(load_with(&config, &tensors).unwrap().config.vocab, 50_277);
}

#[test]
fn open_lm_embedding_norm_is_folded_in() {
    let (mut config, mut tensors) = open_lm("");
    config["post_embed_norm"] = json!(true);
    config["weight_tying"] = json!(true);
    tensors.retain(|(name, ..)| name != "output.weight");
    tensors.push(("post_embed_norm.weight".into(), vec![8], vec![2.0; 8]));
    let model = load_with(&config, &tensors).unwrap();
    // Every row is eight successive numbers: mean 3.5 from the first, variance 5.25.
    let expected: Vec<f32> =
        (0..8).map(|i| ((f64::from(i) - 3.5) / (5.25f64 + 1e-5).sqrt() * 2.0) as f32).collect();
    let rows = values(&model.embedding);
    assert_eq!(&rows[..8], &expected[..]);
    assert_eq!(&rows[88..], &expected[..]);
    assert_eq!(values(&model.head.weight)[88], 88.0);
    assert_eq!(model.n_params, tensors.iter().map(|(_, _, values)| values.len() as u64).sum::<u64>());
}

#[test]
fn open_lm_norms() {
    let (mut config, tensors) = open_lm("");
    let norm =
        |config: &Value, tensors: &[Named]| load_with(config, tensors).map(|m| (m.config.norm, m.final_norm));
    config.as_object_mut().unwrap().remove("qk_norm");
    assert!(
        load_with(&config, &tensors).unwrap().layers[0].q_norm.is_some(),
        "stored weights are never ignored"
    );
    config["model_norm"] = json!("rms_norm");
    assert_eq!(norm(&config, &tensors).unwrap().0, NormKind::Rms);

    config["model_norm"] = json!("no_wb_layer_norm");
    let bare: Vec<Named> = tensors.iter().filter(|(name, ..)| !name.contains("norm")).cloned().collect();
    assert_eq!(norm(&config, &bare).unwrap().1.weight, [1.0; 8]);
    let stored: usize = bare.iter().map(|(_, _, values)| values.len()).sum();
    assert_eq!(load_with(&config, &bare).unwrap().n_params, stored as u64);

    config.as_object_mut().unwrap().remove("model_norm");
    refused(load_with(&config, &tensors), Reason::Malformed, &["model_norm is missing"]);
    let mut full = tensors.clone();
    for (name, shape, _) in tensors.iter().filter(|(name, ..)| name.contains("norm")) {
        full.push(counted(&name.replace("weight", "bias"), shape, 0.5));
    }
    assert_eq!(norm(&config, &full).unwrap().1.bias.unwrap()[0], 0.5);
}

#[test]
fn open_lm_refuses_what_it_cannot_compute() {
    for (key, value) in [
        ("ffn_type", json!("gemma_geglu")),
        ("positional_embedding_type", json!("head_rotary")),
        ("moe_freq", json!(2)),
        ("model_norm", json!("batch_norm")),
    ] {
        let (mut config, tensors) = open_lm("");
        config[key] = value;
        refused(load_with(&config, &tensors), Reason::Unsupported, &[key]);
    }
}
