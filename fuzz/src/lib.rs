//! What the targets share: bytes become a file, a model that loads is read whole and asked for logits.

use std::fs;
use std::path::Path;

use t2fast_decode::load::{LoadError, load};
use t2fast_decode::model::Model;
use t2fast_decode::{Engine, Options, Silent, dequant, tensor::Tensor};

#[path = "../../rust/decode/tests/common/mod.rs"]
pub mod files;

/// Calls `read` with a folder that is in memory where the system has such, and gone afterwards.
pub fn in_folder(read: impl FnOnce(&Path)) {
    let shm = Path::new("/dev/shm");
    let folder = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
    read(folder.expect("a folder can be made").path());
}

/// Writes a file into the folder.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) {
    fs::write(folder.join(name), bytes).expect("a file can be written");
}

/// Loads what is at `path`; a model must be sound to its last weight and compute, an error must be one line that names
/// the file.
pub fn load_and_use(path: &Path) {
    match load(path) {
        Err(error) => one_line(&error, path),
        Ok(model) => use_all(model),
    }
}

fn one_line(error: &LoadError, path: &Path) {
    let text = error.to_string();
    assert!(!text.contains('\n'), "more than a line: {text:?}");
    assert!(text.contains(&path.display().to_string()), "no file: {text:?}");
}

fn use_all(model: Model) {
    let mut linears = vec![&model.head];
    for layer in &model.layers {
        linears.extend([&layer.q, &layer.k, &layer.v, &layer.o, &layer.up, &layer.down]);
        linears.extend(&layer.gate);
    }
    read(&model.embedding);
    linears.iter().for_each(|linear| read(&linear.weight));
    if let Ok(mut engine) = Engine::new(model, Options { threads: Some(1), ..Options::default() }) {
        let _ = engine.logits(&[0, 1, 2], &mut Silent);
    }
}

fn read(tensor: &Tensor) {
    let mut row = vec![0.0; tensor.cols];
    (0..tensor.rows).for_each(|i| dequant::row_to_f32(tensor, i, &mut row));
}
