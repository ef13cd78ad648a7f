//! What GGUF files mean beside folders: settings, and errors that name what is not supported.

mod common;

use std::path::Path;

use t2fast_decode::load::{self, Reason, load};
use t2fast_decode::model::{Model, RopePairs};

use common::{gguf_llama, refused};

fn load_gguf(file: &common::Gguf) -> Result<Model, load::LoadError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, file.bytes()).unwrap();
    load(Path::new(&path))
}

#[test]
fn gguf_settings() {
    let model = load_gguf(&gguf_llama()).unwrap();
    assert_eq!((model.config.bos, &model.config.eos[..]), (Some(1), &[2, 3][..]));
    assert_eq!((model.config.rope_pairs, model.config.vocab, model.tied), (RopePairs::Interleaved, 5, true));

    let mut file = gguf_llama();
    file.tensor("rope_freqs.weight", &[8], 0, (1..9).flat_map(|i| (i as f32).to_le_bytes()).collect());
    let scaled = load_gguf(&file).unwrap().config.inv_freq;
    for (i, (got, plain)) in scaled.iter().zip(&model.config.inv_freq).enumerate() {
        assert_eq!(*got, plain / (i + 1) as f32);
    }

    let mut file = gguf_llama();
    file.string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 2.0);
    assert_eq!(load_gguf(&file).unwrap().config.inv_freq[0], 0.5);
}

#[test]
fn gguf_names_what_is_not_supported() {
    let mut file = gguf_llama();
    file.tensors[4].2 = 9;
    file.tensors[4].4 = vec![0; 32 * 40];
    refused(load_gguf(&file), Reason::Unsupported, &["blk.0.attn_q.weight", "Q8_1", "Q4_1", "IQ4_XS"]);
    file.tensors[4].2 = 99;
    refused(load_gguf(&file), Reason::Unsupported, &["blk.0.attn_q.weight", "99"]);

    let mut file = gguf_llama();
    file.u32("llama.expert_count", 8);
    refused(load_gguf(&file), Reason::Unsupported, &["experts"]);

    let mut file = common::Gguf::new();
    file.string("general.architecture", "mamba");
    refused(load_gguf(&file), Reason::Unsupported, &["\"mamba\"", "qwen3"]);

    let mut file = gguf_llama();
    file.metadata.remove(6);
    file.raw(
        "llama.attention.head_count_kv",
        9,
        &[&4u32.to_le_bytes()[..], &1u64.to_le_bytes(), &[1, 0, 0, 0]].concat(),
    );
    refused(load_gguf(&file), Reason::Unsupported, &["head_count_kv", "list"]);
}
