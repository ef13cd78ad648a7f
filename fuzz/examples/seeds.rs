//! Writes sound files for the targets to start from: `cargo run --example seeds`, in this folder.

use std::fs;

use t2fast_fuzz::files::{Gguf, gguf_llama, llama, safetensors};

fn main() -> std::io::Result<()> {
    let (config, tensors) = llama();
    let mut vocabulary = Gguf::new();
    vocabulary
        .string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", "smollm")
        .strings("tokenizer.ggml.tokens", &["<s>", "a", "b", "ab"])
        .strings("tokenizer.ggml.merges", &["a b"])
        .raw("tokenizer.ggml.scores", 9, &list(6, &[0.0f32, -1.0, -2.0, -3.0].map(f32::to_le_bytes)))
        .raw("tokenizer.ggml.token_type", 9, &list(5, &[3i32, 1, 1, 1].map(i32::to_le_bytes)))
        .raw("deep", 9, &[&9u32.to_le_bytes()[..], &1u64.to_le_bytes(), &list(7, &[[1], [0]])].concat())
        .u32("tokenizer.ggml.bos_token_id", 0)
        .string("tokenizer.chat_template", "{{ bos_token }}");
    for (target, bytes) in [
        ("gguf", gguf_llama().bytes()),
        ("safetensors", safetensors(&tensors)),
        ("config", config.to_string().into_bytes()),
        ("tokenizer", vocabulary.bytes()),
    ] {
        fs::create_dir_all(format!("corpus/{target}"))?;
        fs::write(format!("corpus/{target}/sound"), bytes)?;
    }
    Ok(())
}

fn list<const N: usize>(kind: u32, values: &[[u8; N]]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(values.len() as u64).to_le_bytes(), values.as_flattened()].concat()
}
