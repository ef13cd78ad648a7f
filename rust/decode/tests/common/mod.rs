//! Small model files written byte by byte, so that every byte can be wrong on purpose.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use t2fast_decode::dequant::row_to_f32;
use t2fast_decode::load::{LoadError, Reason, load};
use t2fast_decode::model::Model;
use t2fast_decode::tensor::Tensor;

/// A tensor by name, shape (outermost first) and values.
pub type Named = (String, Vec<usize>, Vec<f32>);

/// Values that differ from place to place: the place itself, and a constant by which to tell tensors apart.
pub fn counted(name: &str, shape: &[usize], start: f32) -> Named {
    let n: usize = shape.iter().product();
    (name.into(), shape.to_vec(), (0..n).map(|i| start + i as f32).collect())
}

/// A safetensors file of F32 tensors.
pub fn safetensors(tensors: &[Named]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        header.insert(
            name.clone(),
            json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}),
        );
    }
    with_header(&Value::Object(header).to_string(), &data)
}

/// A safetensors file with this header, true or not.
pub fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// Writes `config` and `tensors` as a Hugging Face folder.
pub fn folder(path: &Path, config: &Value, tensors: &[Named]) -> PathBuf {
    fs::create_dir_all(path).unwrap();
    fs::write(path.join("config.json"), config.to_string()).unwrap();
    fs::write(path.join("model.safetensors"), safetensors(tensors)).unwrap();
    path.into()
}

/// Two layers of width 8 with two heads, one key head, hidden width 12 and 10 tokens.
pub fn llama() -> (Value, Vec<Named>) {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "num_attention_heads": 2,
        "num_key_value_heads": 1, "num_hidden_layers": 2, "intermediate_size": 12, "vocab_size": 10,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
    });
    let mut tensors = vec![
        counted("model.embed_tokens.weight", &[10, 8], 0.0),
        counted("model.norm.weight", &[8], 1.0),
        counted("lm_head.weight", &[10, 8], 5.0),
    ];
    for i in 0..2 {
        for (name, shape) in [
            ("input_layernorm", &[8][..]),
            ("post_attention_layernorm", &[8]),
            ("self_attn.q_proj", &[8, 8]),
            ("self_attn.k_proj", &[4, 8]),
            ("self_attn.v_proj", &[4, 8]),
            ("self_attn.o_proj", &[8, 8]),
            ("mlp.gate_proj", &[12, 8]),
            ("mlp.up_proj", &[12, 8]),
            ("mlp.down_proj", &[8, 12]),
        ] {
            tensors.push(counted(&format!("model.layers.{i}.{name}.weight"), shape, i as f32));
        }
    }
    (config, tensors)
}

/// Name, dimensions innermost first, type, offset (none: where it belongs), bytes.
pub type GgufTensor = (String, Vec<u64>, u32, Option<u64>, Vec<u8>);

/// A GGUF file in the making.
#[derive(Clone)]
pub struct Gguf {
    pub version: u32,
    pub metadata: Vec<Vec<u8>>,
    pub tensors: Vec<GgufTensor>,
    pub n_tensors: Option<u64>,
    pub n_values: Option<u64>,
}

pub fn text(s: &str) -> Vec<u8> {
    let mut bytes = (s.len() as u64).to_le_bytes().to_vec();
    bytes.extend(s.as_bytes());
    bytes
}

impl Gguf {
    pub fn new() -> Self {
        Self { version: 3, metadata: Vec::new(), tensors: Vec::new(), n_tensors: None, n_values: None }
    }

    pub fn raw(&mut self, key: &str, kind: u32, value: &[u8]) -> &mut Self {
        self.metadata.push([&text(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    pub fn u32(&mut self, key: &str, value: u32) -> &mut Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    pub fn f32(&mut self, key: &str, value: f32) -> &mut Self {
        self.raw(key, 6, &value.to_le_bytes())
    }

    pub fn string(&mut self, key: &str, value: &str) -> &mut Self {
        self.raw(key, 8, &text(value))
    }

    pub fn strings(&mut self, key: &str, values: &[&str]) -> &mut Self {
        let mut value = [&8u32.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
        value.extend(values.iter().flat_map(|s| text(s)));
        self.raw(key, 9, &value)
    }

    pub fn tensor(&mut self, name: &str, dims: &[u64], kind: u32, data: Vec<u8>) -> &mut Self {
        self.tensors.push((name.into(), dims.to_vec(), kind, None, data));
        self
    }

    pub fn f32_tensor(&mut self, name: &str, dims: &[u64]) -> &mut Self {
        let n: u64 = dims.iter().product();
        let data = (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect();
        self.tensor(name, dims, 0, data)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend(self.n_tensors.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        file.extend(self.n_values.unwrap_or(self.metadata.len() as u64).to_le_bytes());
        file.extend(self.metadata.concat());
        let mut data = Vec::new();
        for (name, dims, kind, offset, bytes) in &self.tensors {
            file.extend(text(name));
            file.extend((dims.len() as u32).to_le_bytes());
            file.extend(dims.iter().flat_map(|d| d.to_le_bytes()));
            file.extend(kind.to_le_bytes());
            file.extend(offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(bytes);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(data);
        file
    }
}

/// One layer of GGUF llama: width 32, two heads, one key head, hidden width 64, 5 tokens; projections in Q8_0, Q4_0
/// and Q4_1, norms F32.
pub fn gguf_llama() -> Gguf {
    let mut file = Gguf::new();
    file.string("general.architecture", "llama")
        .u32("llama.block_count", 1)
        .u32("llama.context_length", 64)
        .u32("llama.embedding_length", 32)
        .u32("llama.feed_forward_length", 64)
        .u32("llama.attention.head_count", 2)
        .u32("llama.attention.head_count_kv", 1)
        .u32("llama.rope.dimension_count", 16)
        .f32("llama.rope.freq_base", 10000.0)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .strings("tokenizer.ggml.tokens", &["a", "b", "c", "d", "e"])
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
        .u32("tokenizer.ggml.eot_token_id", 3);
    let blocks = |kind: u32, n: usize| {
        let size = [18, 20, 34][[2, 3, 8].iter().position(|&k| k == kind).unwrap()];
        (0..n * size).map(|i| (i * 37 % 101) as u8 & 0x3f).collect::<Vec<u8>>()
    };
    file.tensor("token_embd.weight", &[32, 5], 8, blocks(8, 5))
        .f32_tensor("output_norm.weight", &[32])
        .f32_tensor("blk.0.attn_norm.weight", &[32])
        .f32_tensor("blk.0.ffn_norm.weight", &[32])
        .tensor("blk.0.attn_q.weight", &[32, 32], 2, blocks(2, 32))
        .tensor("blk.0.attn_k.weight", &[32, 16], 3, blocks(3, 16))
        .tensor("blk.0.attn_v.weight", &[32, 16], 3, blocks(3, 16))
        .tensor("blk.0.attn_output.weight", &[32, 32], 2, blocks(2, 32))
        .tensor("blk.0.ffn_gate.weight", &[32, 64], 8, blocks(8, 64))
        .tensor("blk.0.ffn_up.weight", &[32, 64], 2, blocks(2, 64))
        .tensor("blk.0.ffn_down.weight", &[64, 32], 3, blocks(3, 64));
    file
}

/// The model of a folder with this configuration and these tensors.
pub fn load_with(config: &Value, tensors: &[Named]) -> Result<Model, LoadError> {
    let dir = tempfile::tempdir().unwrap();
    load(&folder(dir.path(), config, tensors))
}

/// Requires an error of this kind that has these words.
pub fn refused(result: Result<Model, LoadError>, reason: Reason, words: &[&str]) {
    let error = result.err().expect("an error was due");
    assert_eq!(error.reason, reason, "{error}");
    words.iter().for_each(|word| assert!(error.to_string().contains(word), "{error} lacks {word:?}"));
}

/// A tensor's values, row by row.
pub fn values(tensor: &Tensor) -> Vec<f32> {
    let mut out = vec![0.0; tensor.rows * tensor.cols];
    out.chunks_exact_mut(tensor.cols).enumerate().for_each(|(i, row)| row_to_f32(tensor, i, row));
    out
}
