//! GGUF, versions 2 and 3: typed metadata and (quantised) tensors in one file.
//!
//! Layout, all little endian: magic, version, tensor count, metadata count; each metadata entry as key, type, value;
//! each tensor as name, dimensions (innermost first), type, offset; then, aligned, the data. Counts and lengths are
//! claims: memory is only taken for what the file really holds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::LoadError;
use crate::tensor::DType;
use crate::weights::{Entry, Kind, Mapped, Weights};

/// First bytes of every GGUF file.
pub const MAGIC: &[u8; 4] = b"GGUF";

/// Arrays may hold arrays; nobody nests them deeper than this.
const MAX_DEPTH: usize = 4;
const MAX_DIMENSIONS: usize = 4;

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any unsigned integer type.
    Unsigned(u64),
    /// Any signed integer type.
    Signed(i64),
    /// f32 (widened, exactly) or f64.
    Float(f64),
    /// Boolean.
    Bool(bool),
    /// Text.
    String(String),
    /// A list, read when iterated.
    Array(Array),
}

/// A metadata list, still in the mapped file: a vocabulary costs nothing until someone reads it.
#[derive(Clone, Debug)]
pub struct Array {
    element: u32,
    len: usize,
    map: Arc<Mmap>,
    range: Range<usize>,
}

/// All metadata of a file, by key.
pub type Metadata = BTreeMap<String, Value>;

/// The metadata of a GGUF file.
pub fn metadata(path: &Path) -> Result<Metadata, LoadError> {
    Ok(read(path)?.0)
}

/// Metadata and tensors of a GGUF file; of a model in several (`NAME-00001-of-00003.gguf`), all tensors and the first
/// file's metadata, whichever of them is named.
pub fn read(path: &Path) -> Result<(Metadata, Weights), LoadError> {
    let (metadata, weights) = read_one(path)?;
    let Some(names) = shards(path, &metadata)? else { return Ok((metadata, weights)) };
    let missing: Vec<String> =
        names.iter().filter(|p| !p.is_file()).map(|p| p.display().to_string()).collect();
    if !missing.is_empty() {
        return Err(LoadError::malformed(
            path,
            format!(
                "is one of the {} files of a model, of which {} missing: {}",
                names.len(),
                if missing.len() == 1 { "one is" } else { "some are" },
                missing.join(", ")
            ),
        ));
    }
    let (metadata, mut weights) = read_one(&names[0])?;
    for name in &names[1..] {
        weights.join(read_one(name)?.1)?;
    }
    if let Some(&Value::Signed(count)) = metadata.get("split.tensors.count")
        && count != weights.names().count() as i64
    {
        let found = weights.names().count();
        return Err(LoadError::malformed(
            &names[0],
            format!("split.tensors.count is {count}, and the files hold {found} tensors"),
        ));
    }
    Ok((metadata, weights))
}

fn read_one(path: &Path) -> Result<(Metadata, Weights), LoadError> {
    let file = Mapped::open(path)?;
    let mut reader = Reader { map: &file.map, at: 0, end: file.map.len() };
    parse(&mut reader, &file).map_err(|fault| LoadError::malformed(path, fault))
}

/// The files of a model in several, in order; none for a whole one.
fn shards(path: &Path, metadata: &Metadata) -> Result<Option<Vec<PathBuf>>, LoadError> {
    let count = match metadata.get("split.count") {
        None | Some(Value::Unsigned(0 | 1)) => return Ok(None),
        Some(&Value::Unsigned(count)) if count < 100_000 => count,
        Some(other) => {
            return Err(LoadError::malformed(
                path,
                format!("split.count is {other:?}, not a number of files"),
            ));
        }
    };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(&format!("-of-{count:05}.gguf")).and_then(|rest| {
        let (stem, number) = rest.rsplit_once('-')?;
        (number.len() == 5 && number.bytes().all(|b| b.is_ascii_digit())).then_some(stem)
    });
    let Some(stem) = stem else {
        return Err(LoadError::malformed(
            path,
            format!(
                "is one of the {count} files of a model, and is not named as such: \
                 expected NAME-00001-of-{count:05}.gguf"
            ),
        ));
    };
    Ok(Some((1..=count).map(|i| path.with_file_name(format!("{stem}-{i:05}-of-{count:05}.gguf"))).collect()))
}

impl Array {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in order; text that is not UTF-8 is an error.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value, String>> {
        let mut reader = Reader { map: &self.map, at: self.range.start, end: self.range.end };
        (0..self.len).map(move |_| reader.value(self.element, 1))
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.element == other.element
            && self.len == other.len
            && self.map[self.range.clone()] == other.map[other.range.clone()]
    }
}

fn parse(reader: &mut Reader, file: &Mapped) -> Result<(Metadata, Weights), String> {
    if reader.bytes(4)? != MAGIC {
        return Err("is not a GGUF file (a Hugging Face model is loaded by its folder)".into());
    }
    let version = reader.u32()?;
    if version.swap_bytes() == 2 || version.swap_bytes() == 3 {
        return Err("is a big-endian GGUF file; only little-endian ones are supported".into());
    }
    if version != 2 && version != 3 {
        return Err(format!("is GGUF version {version}; versions 2 and 3 are supported"));
    }
    let n_tensors = reader.u64()?;
    let n_values = reader.u64()?;

    // Each loop consumes bytes in every turn, so a false count ends in "truncated", not in a long wait.
    let mut metadata = Metadata::new();
    for _ in 0..n_values {
        let key = reader.string()?;
        let kind = reader.u32()?;
        let value = reader.value(kind, 0).map_err(|fault| format!("metadata {key:?}: {fault}"))?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(format!("metadata {key:?} appears twice"));
        }
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(&Value::Unsigned(n)) if n.is_power_of_two() && n <= 1 << 20 => n as usize,
        Some(other) => return Err(format!("general.alignment is {other:?}, not a power of two")),
    };

    let mut infos = Vec::new();
    for _ in 0..n_tensors {
        let name = reader.string()?;
        let info = reader.tensor_info(alignment).map_err(|fault| format!("tensor {name:?}: {fault}"))?;
        infos.push((name, info));
    }
    let data = reader.at.checked_next_multiple_of(alignment).ok_or("truncated")?;
    let weights = place(infos, data, file)?;
    Ok((metadata, weights))
}

/// Checks that all tensors lie in the file without sharing bytes.
fn place(mut infos: Vec<(String, TensorInfo)>, data: usize, file: &Mapped) -> Result<Weights, String> {
    infos.sort_by_key(|(_, info)| info.offset);
    let mut weights = Weights::new(&file.path);
    let mut previous: (usize, String) = (data, String::new());
    for (name, info) in infos {
        let size = info.bytes.unwrap_or(0);
        let range = data
            .checked_add(info.offset)
            .and_then(|start| Some(start..start.checked_add(size)?))
            .filter(|range| range.end <= file.map.len())
            .ok_or_else(|| {
                format!(
                    "tensor {name:?} of {size} bytes at offset {} reaches beyond the file's {} bytes (is it complete?)",
                    info.offset,
                    file.map.len()
                )
            })?;
        if range.start < previous.0 {
            return Err(format!("tensors {:?} and {name:?} overlap", previous.1));
        }
        previous = (range.end, name.clone());
        let entry = Entry { kind: info.kind, shape: info.shape, file: file.clone(), range };
        weights.insert(name, entry).map_err(|e| e.message)?;
    }
    Ok(weights)
}

struct TensorInfo {
    kind: Kind,
    shape: Vec<usize>,
    offset: usize,
    /// None for types whose size we do not know.
    bytes: Option<usize>,
}

/// Name, elements a block and bytes a block of a tensor type, by GGML's number.
fn tensor_type(id: u32) -> Option<(&'static str, usize, usize)> {
    Some(match id {
        0 => ("F32", 1, 4),
        1 => ("F16", 1, 2),
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        9 => ("Q8_1", 32, 40),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        20 => ("IQ4_NL", 32, 18),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        24 => ("I8", 1, 1),
        25 => ("I16", 1, 2),
        26 => ("I32", 1, 4),
        27 => ("I64", 1, 8),
        28 => ("F64", 1, 8),
        29 => ("IQ1_M", 256, 56),
        30 => ("BF16", 1, 2),
        34 => ("TQ1_0", 256, 54),
        35 => ("TQ2_0", 256, 66),
        39 => ("MXFP4", 32, 17),
        40 => ("NVFP4", 64, 36),
        41 => ("Q1_0", 128, 18),
        _ => return None,
    })
}

fn known(name: &str) -> Option<DType> {
    DType::ALL.into_iter().find(|dtype| dtype.name() == name)
}

/// A cursor over `map[at..end]`; every read checks that the bytes are there.
struct Reader<'a> {
    map: &'a Arc<Mmap>,
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: u64) -> Result<&'a [u8], String> {
        if n > (self.end - self.at) as u64 {
            return Err(format!(
                "truncated: {n} bytes wanted at byte {}, {} are left",
                self.at,
                self.end - self.at
            ));
        }
        let start = self.at;
        self.at += n as usize;
        Ok(&self.map[start..self.at])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.bytes(N as u64)?.try_into().expect("N bytes were read"))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn string(&mut self) -> Result<String, String> {
        let length = self.u64()?;
        let bytes = self.bytes(length)?;
        let text = std::str::from_utf8(bytes).map_err(|e| format!("text is not UTF-8: {e}"))?;
        Ok(text.into())
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value, String> {
        Ok(match kind {
            0 => Value::Unsigned(u8::from_le_bytes(self.array()?).into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()? != [0]),
            8 => Value::String(self.string()?),
            9 => {
                let (element, len) = (self.u32()?, self.u64()?);
                let start = self.at;
                self.skip(element, len, depth + 1)?;
                // Whatever was skipped is in the file, and each element takes a byte or more.
                Value::Array(Array {
                    element,
                    len: len as usize,
                    map: self.map.clone(),
                    range: start..self.at,
                })
            }
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            _ => return Err(format!("value type {kind} does not exist")),
        })
    }

    /// Passes over `len` array elements without storing them.
    fn skip(&mut self, element: u32, len: u64, depth: usize) -> Result<(), String> {
        let size = match element {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                for _ in 0..len {
                    let length = self.u64()?;
                    self.bytes(length)?;
                }
                return Ok(());
            }
            9 if depth < MAX_DEPTH => {
                for _ in 0..len {
                    let (element, len) = (self.u32()?, self.u64()?);
                    self.skip(element, len, depth + 1)?;
                }
                return Ok(());
            }
            9 => return Err(format!("arrays are nested deeper than {MAX_DEPTH}")),
            _ => return Err(format!("value type {element} does not exist")),
        };
        self.bytes(len.checked_mul(size).ok_or("truncated: the array is longer than any file")?)?;
        Ok(())
    }

    fn tensor_info(&mut self, alignment: usize) -> Result<TensorInfo, String> {
        let n_dimensions = self.u32()? as usize;
        if n_dimensions == 0 || n_dimensions > MAX_DIMENSIONS {
            return Err(format!("has {n_dimensions} dimensions, not 1 to {MAX_DIMENSIONS}"));
        }
        let mut shape = Vec::with_capacity(n_dimensions);
        for _ in 0..n_dimensions {
            shape.push(usize::try_from(self.u64()?).map_err(|e| e.to_string())?);
        }
        let (id, offset) = (self.u32()?, self.u64()?);
        let offset = usize::try_from(offset).map_err(|e| e.to_string())?;
        if !offset.is_multiple_of(alignment) {
            return Err(format!("offset {offset} is not a multiple of the alignment {alignment}"));
        }
        shape.reverse();
        let Some((name, block, block_bytes)) = tensor_type(id) else {
            return Ok(TensorInfo { kind: Kind::Other(format!("number {id}")), shape, offset, bytes: None });
        };
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(0);
        if elements == 0 {
            return Err(format!("shape {shape:?} is empty or larger than any file"));
        }
        if !shape[n_dimensions - 1].is_multiple_of(block) {
            return Err(format!(
                "rows of {} elements do not divide into {name} blocks",
                shape[n_dimensions - 1]
            ));
        }
        let bytes = (elements / block).checked_mul(block_bytes).ok_or("is larger than any file")?;
        let kind = known(name).map_or_else(|| Kind::Other(name.into()), Kind::Known);
        Ok(TensorInfo { kind, shape, offset, bytes: Some(bytes) })
    }
}
