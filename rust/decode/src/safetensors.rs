//! Safetensors: a JSON header of names, types, shapes and byte ranges, then the bytes.
//!
//! The format's own crate reads the header and checks that its ranges cover the data from first to last byte without
//! hole or overlap. A model in several files has `model.safetensors.index.json` that says which tensor lies where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorInfo};

use crate::error::LoadError;
use crate::tensor::DType;
use crate::weights::{Entry, Kind, Mapped, Weights};

/// The format's own limit on its header, and ours on an index.
const HEADER_LIMIT: usize = 100_000_000;

/// All tensors of a Hugging Face folder: `model.safetensors`, as transformers prefers, or the shards its index names.
pub fn read_folder(folder: &Path) -> Result<Weights, LoadError> {
    let mut weights = Weights::new(folder);
    let [single, index] = WEIGHTS.map(|name| folder.join(name));
    if single.exists() {
        read_into(&single, &mut weights)?;
    } else if index.exists() {
        read_shards(folder, &index, &mut weights)?;
    } else {
        return Err(LoadError::malformed(folder, nothing_to_read(folder)));
    }
    Ok(weights)
}

/// Files that a model begins with.
const WEIGHTS: [&str; 2] = ["model.safetensors", "model.safetensors.index.json"];

/// What a folder without safetensors holds instead, and what to do about it.
pub(crate) fn nothing_to_read(folder: &Path) -> String {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    let first = |ends: &[&str]| names.iter().find(|name| ends.iter().any(|end| name.ends_with(end)));
    let adapter = first(&["adapter_config.json"]);
    if adapter.is_some() {
        return ADAPTER.into();
    }
    if let Some(name) = first(&[".gguf"]) {
        return format!("holds no safetensors but {name:?}: name that file");
    }
    if let Some(name) = names.iter().find(|name| WEIGHTS.contains(&name.as_str())) {
        return if folder.join(name).exists() {
            "holds weights alone".into()
        } else {
            format!("holds {name:?} as a link to a file that is not there")
        };
    }
    let missing = "holds neither model.safetensors nor model.safetensors.index.json";
    if let Some(name) = first(&[".safetensors"]) {
        return format!("{missing} but {name:?}, whose names are not those of transformers or not listed");
    }
    match first(&[".bin", ".pt", ".pth", ".ckpt"]) {
        Some(name) => format!(
            "{missing} but {name:?}: pickles may run any program and are not read; convert it with transformers, \
             AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder)"
        ),
        None => missing.into(),
    }
}

/// Why a folder with an adapter is refused.
pub(crate) const ADAPTER: &str = "holds an adapter (adapter_config.json), which would not be applied: merge it into \
                                  its model first (peft: merge_and_unload, then save_pretrained)";

/// All tensors of one file.
pub fn read_file(path: &Path) -> Result<Weights, LoadError> {
    let mut weights = Weights::new(path);
    read_into(path, &mut weights)?;
    Ok(weights)
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn read_shards(folder: &Path, index_path: &Path, weights: &mut Weights) -> Result<(), LoadError> {
    let file = Mapped::open(index_path)?;
    if file.map.len() > HEADER_LIMIT {
        return Err(LoadError::malformed(index_path, "is larger than 100 MB"));
    }
    let index: Index =
        serde_json::from_slice(&file.map).map_err(|e| LoadError::malformed(index_path, format!("{e}")))?;
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    for shard in &shards {
        let mut components = Path::new(shard).components();
        let inside = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
        // A backslash separates folders elsewhere; a shard's name never holds one.
        if !inside || shard.contains(['/', '\\', '\0']) {
            return Err(LoadError::malformed(
                index_path,
                format!("shard {shard:?} is not the name of a file here"),
            ));
        }
    }
    let missing: Vec<&str> =
        shards.iter().filter(|shard| !folder.join(shard).is_file()).map(|shard| shard.as_str()).collect();
    if !missing.is_empty() {
        let (n, all) = (missing.len(), shards.len());
        return Err(LoadError::malformed(
            index_path,
            format!(
                "names {all} files, of which {n} {}: {}",
                if n == 1 { "is missing" } else { "are missing" },
                missing.join(", ")
            ),
        ));
    }
    for shard in shards {
        read_into(&folder.join(shard), weights)?;
    }
    for (name, shard) in &index.weight_map {
        if weights.file_of(name).is_none_or(|path| path != folder.join(shard)) {
            return Err(LoadError::malformed(index_path, format!("tensor {name:?} is not in {shard:?}")));
        }
    }
    Ok(())
}

fn read_into(path: &Path, weights: &mut Weights) -> Result<(), LoadError> {
    let file = Mapped::open(path)?;
    let (length, metadata) = SafeTensors::read_metadata(&file.map)
        .map_err(|error| LoadError::malformed(path, explain(&file.map, &error)))?;
    let start = 8 + length;
    let mut tensors: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    for (name, tensor) in tensors {
        let kind = match tensor.dtype {
            Dtype::F32 => Kind::Known(DType::F32),
            Dtype::F16 => Kind::Known(DType::F16),
            Dtype::BF16 => Kind::Known(DType::BF16),
            other => Kind::Other(other.to_string()),
        };
        let (from, to) = tensor.data_offsets;
        let range = start + from..start + to;
        weights.insert(name, Entry { kind, shape: tensor.shape.clone(), file: file.clone(), range })?;
    }
    Ok(())
}

/// The crate's error, with the tensor and the value at fault where the header can be read far enough to name them.
fn explain(file: &[u8], error: &SafeTensorError) -> String {
    let Some(length) = file.first_chunk::<8>() else {
        return "is too short to be safetensors".into();
    };
    let claimed = u64::from_le_bytes(*length);
    let length = usize::try_from(claimed).ok().filter(|&n| n <= HEADER_LIMIT);
    let Some(header) = length.and_then(|n| file.get(8..8 + n)) else {
        return format!(
            "header of {claimed} bytes in a file of {} (is it safetensors, and complete?)",
            file.len()
        );
    };
    let data = file.len() - 8 - header.len();
    let Ok(serde_json::Value::Object(tensors)) = serde_json::from_slice(header) else {
        return format!("header: {error}");
    };
    let mut end = 0;
    for (name, value) in tensors.into_iter().filter(|(name, _)| name != "__metadata__") {
        let TensorInfo { dtype, shape, data_offsets: (from, to) } = match serde_json::from_value(value) {
            Ok(info) => info,
            Err(error) => return format!("header: tensor {name:?}: {error}"),
        };
        if from > to || to > data {
            return format!("header: tensor {name:?} has bytes {from}..{to} in data of {data} bytes");
        }
        let bits = shape.iter().try_fold(dtype.bitsize(), |n, &d| n.checked_mul(d));
        if bits.is_none_or(|bits| bits != 8 * (to - from)) {
            return format!(
                "header: tensor {name:?} of shape {shape:?} and type {dtype} does not fill bytes {from}..{to}"
            );
        }
        end = end.max(to);
    }
    match error {
        SafeTensorError::InvalidOffset(_) => {
            format!("header: {error}: two tensors share bytes, or some before it belong to none")
        }
        _ => format!("header: {} bytes belong to no tensor ({error})", data - end),
    }
}
