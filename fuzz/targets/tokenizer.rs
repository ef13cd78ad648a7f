//! Any bytes as the metadata of a GGUF file: lists are read to their end, as the tokenizer reads its tokens and merges.
#![no_main]

use t2fast_decode::gguf::{self, Value};
use t2fast_fuzz::{in_folder, put};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    in_folder(|folder| {
        let path = folder.join("vocabulary.gguf");
        put(folder, "vocabulary.gguf", bytes);
        match gguf::metadata(&path) {
            Ok(metadata) => metadata.values().for_each(|value| read(value, bytes.len())),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains('\n') && text.contains("vocabulary.gguf"), "{text:?}");
            }
        }
    });
});

fn read(value: &Value, size: usize) {
    if let Value::Array(list) = value {
        // Every element takes at least a byte of the file.
        assert!(list.len() <= size, "{} elements in {size} bytes", list.len());
        list.iter().filter_map(Result::ok).for_each(|element| read(&element, size));
    }
}
