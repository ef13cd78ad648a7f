//! Safetensors: a JSON header of names, types, shapes and byte ranges, then the bytes.
//!
//! Layout: u64 header length (little endian), header, data. The ranges cover the data from first to last byte
//! without hole or overlap, which is checked here. A model in several files has `model.safetensors.index.json`
//! that says which tensor lies where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::error::LoadError;
use crate::tensor::DType;
use crate::weights::{Entry, Kind, Mapped, Weights};

/// The format's own limit on its header.
const HEADER_LIMIT: u64 = 100_000_000;

/// All tensors of a Hugging Face folder: `model.safetensors`, or the shards its index names.
pub fn read_folder(folder: &Path) -> Result<Weights, LoadError> {
    let mut weights = Weights::new(folder);
    let index = folder.join("model.safetensors.index.json");
    if index.exists() {
        read_shards(folder, &index, &mut weights)?;
        return Ok(weights);
    }
    let single = folder.join("model.safetensors");
    if !single.exists() {
        return Err(LoadError::malformed(
            folder,
            "holds neither model.safetensors nor model.safetensors.index.json; \
             convert pickled checkpoints (.bin, .pt) to safetensors first",
        ));
    }
    read_into(&single, &mut weights)?;
    Ok(weights)
}

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
    if file.map.len() as u64 > HEADER_LIMIT {
        return Err(LoadError::malformed(index_path, "is larger than 100 MB"));
    }
    let index: Index =
        serde_json::from_slice(&file.map).map_err(|e| LoadError::malformed(index_path, format!("{e}")))?;
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    for shard in shards {
        let mut components = Path::new(shard).components();
        let inside = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
        // A backslash separates folders elsewhere; a shard's name never holds one.
        if !inside || shard.contains(['/', '\\', '\0']) {
            return Err(LoadError::malformed(
                index_path,
                format!("shard {shard:?} is not the name of a file here"),
            ));
        }
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
    let bytes: &[u8] = &file.map;
    let malformed = |message: String| LoadError::malformed(path, message);
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(malformed("is too short to be safetensors".into()));
    };
    let length = u64::from_le_bytes(*length);
    if length > HEADER_LIMIT || length > rest.len() as u64 {
        return Err(malformed(format!(
            "header of {length} bytes in a file of {} (is it safetensors, and complete?)",
            bytes.len()
        )));
    }
    let (header, data) = rest.split_at(length as usize);
    let header: Header = serde_json::from_slice(header).map_err(|e| malformed(format!("header: {e}")))?;
    let start = 8 + length as usize;

    let mut tensors = header.0;
    tensors.sort_by_key(|(_, t)| t.data_offsets);
    let mut end = 0;
    for (name, tensor) in tensors {
        let kind = kind(&tensor.dtype);
        let [from, to] = tensor.data_offsets;
        if from != end || to < from || to > data.len() {
            return Err(malformed(format!(
                "tensor {name:?} has bytes {from}..{to} where {end}.. should follow, in data of {} bytes",
                data.len()
            )));
        }
        end = to;
        let expected = element_bytes(&tensor.dtype).and_then(|size| {
            tensor.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).and_then(|n| n.checked_mul(size))
        });
        if expected.is_some_and(|n| n != to - from) || expected.is_none() && matches!(kind, Kind::Known(_)) {
            return Err(malformed(format!(
                "tensor {name:?} of shape {:?} and type {} does not fill bytes {from}..{to}",
                tensor.shape, tensor.dtype
            )));
        }
        let entry = Entry { kind, shape: tensor.shape, file: file.clone(), range: start + from..start + to };
        weights.insert(name, entry)?;
    }
    if end != data.len() {
        return Err(malformed(format!("{} bytes belong to no tensor", data.len() - end)));
    }
    Ok(())
}

fn kind(dtype: &str) -> Kind {
    match dtype {
        "F32" => Kind::Known(DType::F32),
        "F16" => Kind::Known(DType::F16),
        "BF16" => Kind::Known(DType::BF16),
        other => Kind::Other(other.into()),
    }
}

/// Bytes of one element; none for types that pack several into a byte or that we do not know.
fn element_bytes(dtype: &str) -> Option<usize> {
    match dtype {
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => Some(1),
        "U16" | "I16" | "F16" | "BF16" => Some(2),
        "U32" | "I32" | "F32" => Some(4),
        "U64" | "I64" | "F64" | "C64" => Some(8),
        _ => None,
    }
}

#[derive(serde::Deserialize)]
struct TensorInfo {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// The header's tensors. A name that appears twice is an error later on, so both are kept.
struct Header(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let info = map
                        .next_value::<TensorInfo>()
                        .map_err(|e| A::Error::custom(format!("tensor {name:?}: {e}")))?;
                    tensors.push((name, info));
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}
