//! Any bytes as the weights of a sound configuration.
#![no_main]

use t2fast_fuzz::{files, in_folder, load_and_use, put};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    in_folder(|folder| {
        put(folder, "config.json", files::llama().0.to_string().as_bytes());
        put(folder, "model.safetensors", bytes);
        load_and_use(folder);
    });
});
