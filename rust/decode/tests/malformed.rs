//! Files that lie about themselves: always an error or a sound model, never a panic, and never more memory than the
//! file could warrant.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use t2fast_decode::model::Model;
use t2fast_decode::tensor::Tensor;
use t2fast_decode::{dequant, gguf, load};

use common::{Gguf, gguf_llama, llama, safetensors, text, with_header};

/// The system's allocator, remembering this thread's largest single request.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged; a const thread-local allocates nothing itself.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Loads, reads every weight of what loaded, and checks that no request for memory outgrew the files.
fn load_all(path: &Path, file_bytes: usize) -> Result<Model, String> {
    LARGEST.set(0);
    let result = load::load(path);
    let largest = LARGEST.get();
    assert!(
        largest <= 16 * file_bytes + 65536,
        "{largest} bytes asked for at once, from a file of {file_bytes}"
    );
    let model = result.map_err(|e| e.to_string())?;
    let mut linears = vec![&model.head];
    for layer in &model.layers {
        linears.extend([&layer.q, &layer.k, &layer.v, &layer.o, &layer.up, &layer.down]);
        linears.extend(&layer.gate);
    }
    read(&model.embedding);
    linears.iter().for_each(|linear| read(&linear.weight));
    Ok(model)
}

fn read(tensor: &Tensor) {
    let mut row = vec![0.0; tensor.cols];
    (0..tensor.rows).for_each(|i| dequant::row_to_f32(tensor, i, &mut row));
}

fn load_gguf(bytes: &[u8]) -> Result<Model, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    fs::write(&path, bytes).unwrap();
    // Reading the lists may fail, and may not panic.
    for value in gguf::metadata(&path).unwrap_or_default().values() {
        if let gguf::Value::Array(array) = value {
            let _ = array.iter().collect::<Vec<_>>();
        }
    }
    load_all(&path, bytes.len())
}

fn load_folder(config: &[u8], weights: &[u8]) -> Result<Model, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), config).unwrap();
    fs::write(dir.path().join("model.safetensors"), weights).unwrap();
    load_all(dir.path(), config.len() + weights.len())
}

fn refused(result: Result<Model, String>, because: &str) {
    match result {
        Ok(_) => panic!("loaded, where an error about {because:?} was due"),
        Err(message) => assert!(message.contains(because), "{message:?} does not mention {because:?}"),
    }
}

/// Where and by what to change a file; most changes go into the front, where the structure is.
fn changes(length: usize, front: usize) -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((prop_oneof![3 => 0..front.min(length), 1 => 0..length], any::<u8>()), 1..6)
}

/// Eight bytes at once, at the edges of integer ranges.
fn edges() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(u64::MAX / 2),
        Just(i64::MAX as u64 + 1),
        Just(u32::MAX as u64),
        Just(1 << 40),
        (0u32..64).prop_map(|bits| 1 << bits),
        any::<u64>(),
    ]
}

proptest! {
    #[test]
    fn gguf_with_changed_bytes(changes in changes(gguf_llama().bytes().len(), 1600)) {
        let mut bytes = gguf_llama().bytes();
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        let _ = load_gguf(&bytes);
    }

    #[test]
    fn gguf_with_an_absurd_number(at in 0usize..1600, value in edges()) {
        let mut bytes = gguf_llama().bytes();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        let _ = load_gguf(&bytes);
    }

    #[test]
    fn gguf_cut_short(keep in 0.0..1f64) {
        let bytes = gguf_llama().bytes();
        // The last tensor fills its blocks to the end, so that every cut loses something.
        let kept = (bytes.len() as f64 * keep) as usize;
        prop_assert!(load_gguf(&bytes[..kept]).is_err());
    }

    #[test]
    fn safetensors_with_changed_bytes(changes in changes(safetensors(&llama().1).len(), 2200)) {
        let (config, tensors) = llama();
        let mut bytes = safetensors(&tensors);
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        let _ = load_folder(config.to_string().as_bytes(), &bytes);
    }

    #[test]
    fn safetensors_cut_short(keep in 0.0..1f64) {
        let (config, tensors) = llama();
        let bytes = safetensors(&tensors);
        let kept = (bytes.len() as f64 * keep) as usize;
        prop_assert!(load_folder(config.to_string().as_bytes(), &bytes[..kept]).is_err());
    }

    #[test]
    fn config_with_changed_bytes(changes in changes(300, 300)) {
        let (config, tensors) = llama();
        let mut bytes = config.to_string().into_bytes();
        for (at, byte) in changes {
            // Digits and brackets do more harm than most bytes.
            let at = at % bytes.len();
            bytes[at] = if byte < 128 { b"0123456789-.e[]{}\",:"[byte as usize % 20] } else { byte };
        }
        let _ = load_folder(&bytes, &safetensors(&tensors));
    }

    #[test]
    fn config_with_an_absurd_number(key in 0usize..12, value in edges()) {
        let (mut config, tensors) = llama();
        let keys: Vec<String> = config.as_object().unwrap().iter().filter(|(_, v)| v.is_number()).map(|(k, _)| k.clone()).collect();
        config[&keys[key % keys.len()]] = value.into();
        let _ = load_folder(config.to_string().as_bytes(), &safetensors(&tensors));
    }
}

#[test]
fn sound_files_load() {
    let (config, tensors) = llama();
    assert_eq!(load_folder(config.to_string().as_bytes(), &safetensors(&tensors)).unwrap().config.eos, [2]);
    let mut file = gguf_llama();
    assert_eq!(load_gguf(&file.bytes()).unwrap().config.eos, [2, 3]);
    file.version = 2;
    assert!(load_gguf(&file.bytes()).is_ok());
}

#[test]
fn gguf_counts_beyond_the_file() {
    for count in [100, u64::from(u32::MAX), u64::MAX] {
        refused(load_gguf(&Gguf { n_tensors: Some(count), ..gguf_llama() }.bytes()), "");
        refused(load_gguf(&Gguf { n_values: Some(count), ..gguf_llama() }.bytes()), "");
    }
}

#[test]
fn gguf_versions() {
    for version in [0, 1, 4, u32::MAX] {
        refused(load_gguf(&Gguf { version, ..gguf_llama() }.bytes()), "version");
    }
    refused(load_gguf(&Gguf { version: 3u32.swap_bytes(), ..gguf_llama() }.bytes()), "big-endian");
    refused(load_gguf(b"GGML and more"), "not a GGUF file");
    refused(load_gguf(b""), "truncated");
}

#[test]
fn gguf_lists_longer_than_the_file() {
    for (element, len) in [(0u32, u64::MAX), (12, u64::MAX / 8 + 1), (8, 1 << 60), (9, 1 << 60), (4, 1 << 62)]
    {
        let mut file = gguf_llama();
        file.raw("long", 9, &[&element.to_le_bytes()[..], &len.to_le_bytes()].concat());
        refused(load_gguf(&file.bytes()), "long");
    }
}

#[test]
fn gguf_text_longer_than_the_file() {
    let mut file = gguf_llama();
    file.raw("long", 8, &u64::MAX.to_le_bytes());
    refused(load_gguf(&file.bytes()), "truncated");
}

#[test]
fn gguf_lists_of_lists_end() {
    let list_of_lists = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat();
    let mut file = gguf_llama();
    file.raw("deep", 9, &list_of_lists.repeat(100_000));
    refused(load_gguf(&file.bytes()), "nested");
    let mut file = gguf_llama();
    let twice = [&list_of_lists[..], &8u32.to_le_bytes(), &1u64.to_le_bytes(), &text("end")].concat();
    file.raw("shallow", 9, &twice);
    assert!(load_gguf(&file.bytes()).is_ok());
}

#[test]
fn gguf_tensors_that_share_bytes() {
    let mut file = gguf_llama();
    file.tensors[5].3 = Some(0);
    refused(load_gguf(&file.bytes()), "overlap");
}

#[test]
fn gguf_tensors_outside_the_file() {
    for offset in [1 << 20, 1 << 62, u64::MAX - 31] {
        let mut file = gguf_llama();
        file.tensors[0].3 = Some(offset);
        refused(load_gguf(&file.bytes()), "token_embd.weight");
    }
    let mut file = gguf_llama();
    file.tensors[0].3 = Some(1);
    refused(load_gguf(&file.bytes()), "alignment");
}

#[test]
fn gguf_shapes_that_overflow() {
    for dims in [&[1 << 32, 1 << 32][..], &[1 << 62, 32], &[u64::MAX, 1], &[0, 5], &[32, 5, 1, 1, 1], &[]] {
        let mut file = gguf_llama();
        file.tensors[0].1 = dims.to_vec();
        refused(load_gguf(&file.bytes()), "token_embd.weight");
    }
    let mut file = gguf_llama();
    file.tensors[0].1 = vec![33, 5];
    refused(load_gguf(&file.bytes()), "blocks");
}

#[test]
fn gguf_names_and_keys_twice() {
    let mut file = gguf_llama();
    let last = file.tensors.len() - 1;
    file.tensors[last].0 = "token_embd.weight".into();
    refused(load_gguf(&file.bytes()), "twice");
    let mut file = gguf_llama();
    file.u32("llama.block_count", 1);
    refused(load_gguf(&file.bytes()), "twice");
}

#[test]
fn gguf_alignment_that_is_none() {
    for alignment in [0, 3, 1 << 31] {
        let mut file = gguf_llama();
        file.u32("general.alignment", alignment);
        refused(load_gguf(&file.bytes()), "general.alignment");
    }
}

#[test]
fn safetensors_headers_that_lie() {
    let (config, _) = llama();
    let config = config.to_string();
    let tensor = |shape: &str, from: u64, to: u64| {
        format!(r#""x":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    for (header, because) in [
        (format!("{{{}}}", tensor("[2]", 0, 16)), "bytes 0..16"),
        (format!("{{{}}}", tensor("[2]", 4, 12)), "bytes 4..12 in data of 8"),
        (format!("{{{}}}", tensor("[2]", 0, 4)), "does not fill"),
        (format!("{{{}}}", tensor("[1]", 0, 4)), "belong to no tensor"),
        (format!("{{{}}}", tensor("[4294967296, 4294967296]", 0, 8)), "does not fill"),
        (format!("{{{}}}", tensor("[2]", 8, 0)), "bytes 8..0"),
        (format!("{{{}}}", tensor("[-2]", 0, 8)), "header"),
        (format!("{{{}}}", tensor("[2.5]", 0, 8)), "header"),
        (format!("{{{}}}", tensor("[99999999999999999999]", 0, 8)), "header"),
        (format!("{{{},{}}}", tensor("[1]", 0, 4), tensor("[1]", 4, 8)), "`x`"),
        (format!("{{{},{}}}", tensor("[2]", 0, 8), tensor("[1]", 4, 8).replace('x', "y")), "`y`"),
        ("[]".into(), "header"),
        ("{".into(), "header"),
        ("[".repeat(100_000), "header"),
        (format!("{{\"__metadata__\":{}", "{\"a\":".repeat(100_000)), "header"),
        (String::new(), "header"),
    ] {
        refused(load_folder(config.as_bytes(), &with_header(&header, &[0; 8])), because);
    }
    let mut file = with_header("{}", &[]);
    for length in [u64::MAX, 100_000_001, 3] {
        file[..8].copy_from_slice(&length.to_le_bytes());
        refused(load_folder(config.as_bytes(), &file), "header of");
    }
    refused(load_folder(config.as_bytes(), &[0; 7]), "too short");
}

#[test]
fn shards_stay_in_their_folder() {
    let (config, tensors) = llama();
    let bytes = safetensors(&tensors);
    for shard in ["../model.safetensors", "/tmp/model.safetensors", "a/b", "..", ".", "", "a\\b", "a\u{0}b"] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let index = serde_json::json!({"weight_map": {"lm_head.weight": shard}}).to_string();
        fs::write(dir.path().join("model.safetensors.index.json"), &index).unwrap();
        refused(load_all(dir.path(), bytes.len()), "not the name of a file here");
    }
}

#[test]
fn an_index_that_disagrees_with_its_shards() {
    let (config, tensors) = llama();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    fs::write(dir.path().join("a.safetensors"), safetensors(&tensors)).unwrap();
    let index = |map: serde_json::Value| {
        fs::write(
            dir.path().join("model.safetensors.index.json"),
            serde_json::json!({"weight_map": map}).to_string(),
        )
        .unwrap();
        load_all(dir.path(), 1 << 14)
    };
    assert!(index(serde_json::json!({"lm_head.weight": "a.safetensors"})).is_ok());
    refused(index(serde_json::json!({"elsewhere": "a.safetensors"})), "elsewhere");
    refused(index(serde_json::json!({"lm_head.weight": "b.safetensors"})), "b.safetensors");
    fs::write(dir.path().join("b.safetensors"), safetensors(&tensors[..1])).unwrap();
    refused(
        index(serde_json::json!({"lm_head.weight": "a.safetensors", "model.norm.weight": "b.safetensors"})),
        "twice",
    );
}
