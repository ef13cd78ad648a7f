//! Any bytes as a GGUF file.
#![no_main]

use t2fast_fuzz::{in_folder, load_and_use, put};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    in_folder(|folder| {
        put(folder, "model.gguf", bytes);
        load_and_use(&folder.join("model.gguf"));
    });
});
