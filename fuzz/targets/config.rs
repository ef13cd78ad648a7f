//! Any bytes as the configuration of sound weights, of each family that the tests write.
#![no_main]

use t2fast_fuzz::{files, in_folder, load_and_use, put};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    in_folder(|folder| {
        put(folder, "config.json", bytes);
        put(folder, "generation_config.json", bytes);
        put(folder, "model.safetensors", &files::safetensors(&files::llama().1));
        load_and_use(folder);
    });
});
