//! The tensors of a model by name, whichever files they lie in.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::Mmap;

use crate::dequant;
use crate::error::LoadError;
use crate::tensor::{DType, Scales, Storage, Tensor};

/// Elements that share one of `n` scales along a dimension: 128 where that fits, as files have it, else another power of
/// two, else equal parts.
fn block_size(elements: usize, n: usize) -> Option<usize> {
    if n == 1 {
        return Some(elements.max(1));
    }
    let usual = [128, 64, 32, 16, 256, 512].into_iter().find(|&size| elements.div_ceil(size) == n);
    usual.or((n > 0 && elements.is_multiple_of(n)).then(|| elements / n))
}

/// What stands in a matrix's place where it was quantised or is being trained, and what to do about it.
const INSTEAD: [(&str, &str); 4] = [
    ("qweight", "weights are quantised (GPTQ or AWQ); load the unquantised model or a GGUF file of it"),
    (
        "weight_packed",
        "weights are quantised (compressed-tensors); load the unquantised model or a GGUF file of it",
    ),
    ("base_layer.weight", "an adapter was saved with its model; merge it first (peft: merge_and_unload)"),
    ("linear.weight", "a wrapper was saved with the model; save the model itself"),
];

/// safetensors' name of eight-bit floats.
const E4M3: &str = "F8_E4M3";

/// One file, mapped into memory.
#[derive(Clone)]
pub(crate) struct Mapped {
    pub path: Arc<Path>,
    pub map: Arc<Mmap>,
}

/// How a file begins that a clone without Git LFS has in place of a large one.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/";

impl Mapped {
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let file = File::open(path).map_err(|e| LoadError::io(path, e))?;
        if !file.metadata().map_err(|e| LoadError::io(path, e))?.is_file() {
            return Err(LoadError::malformed(path, "is not a file"));
        }
        // SAFETY: the mapping is private and read-only. A file cut short by another process while a model is in use
        // ends this process with SIGBUS, as with every memory-mapped reader; weights are not edited in place.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| LoadError::io(path, e))?;
        if map.starts_with(LFS_POINTER) {
            return Err(LoadError::malformed(
                path,
                "is a pointer that Git LFS left in place of the file: fetch it (git lfs pull)",
            ));
        }
        Ok(Self { path: path.into(), map: Arc::new(map) })
    }
}

/// Element type of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One that can be computed with.
    Known(DType),
    /// Any other, by the name its format gives it.
    Other(String),
}

/// One tensor as its file describes it; the bytes are checked to lie inside the file.
#[derive(Clone)]
pub(crate) struct Entry {
    pub kind: Kind,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    pub file: Mapped,
    pub range: Range<usize>,
}

/// Every tensor of a model.
#[derive(Clone)]
pub struct Weights {
    /// The folder or file, for errors about tensors that are not there.
    path: PathBuf,
    entries: HashMap<String, Entry>,
    /// Tensors that a family has rearranged; these go before their entries.
    replaced: HashMap<String, Tensor>,
    /// Rows and columns that share a scale, where the configuration says so.
    pub(crate) blocks: Option<[f32; 2]>,
    /// Names of what was read, shared among copies.
    read: Arc<Mutex<HashSet<String>>>,
}

impl Weights {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            entries: HashMap::new(),
            replaced: HashMap::new(),
            blocks: None,
            read: Arc::default(),
        }
    }

    pub(crate) fn insert(&mut self, name: String, entry: Entry) -> Result<(), LoadError> {
        let path = entry.file.path.clone();
        match self.entries.entry(name) {
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(entry);
                Ok(())
            }
            std::collections::hash_map::Entry::Occupied(slot) => {
                Err(LoadError::malformed(&path, format!("tensor {:?} appears twice", slot.key())))
            }
        }
    }

    /// Takes another file's tensors, too.
    pub(crate) fn join(&mut self, other: Weights) -> Result<(), LoadError> {
        other.entries.into_iter().try_for_each(|(name, entry)| self.insert(name, entry))
    }

    /// Where the tensors came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a tensor of that name is stored.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The file that stores a tensor.
    pub(crate) fn file_of(&self, name: &str) -> Option<&Path> {
        self.entries.get(name).map(|entry| &*entry.file.path)
    }

    /// Names of all stored tensors, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Stored shape, outermost dimension first.
    pub fn shape(&self, name: &str) -> Result<&[usize], LoadError> {
        Ok(&self.entry(name)?.shape)
    }

    /// Whether two stored tensors have the same type, shape and bytes.
    pub(crate) fn equal(&self, a: &str, b: &str) -> Result<bool, LoadError> {
        let (a, b) = (self.entry(a)?, self.entry(b)?);
        let same = a.file.map[a.range.clone()] == b.file.map[b.range.clone()];
        Ok(a.kind == b.kind && a.shape == b.shape && same)
    }

    /// Puts a rearranged tensor in the place of a stored one.
    pub(crate) fn replace(&mut self, name: &str, tensor: Tensor) {
        self.replaced.insert(name.into(), tensor);
    }

    /// A tensor of any shape, its leading dimensions joined into rows.
    pub fn tensor(&self, name: &str) -> Result<Tensor, LoadError> {
        let entry = self.entry(name)?;
        if let Some(tensor) = self.replaced.get(name) {
            return Ok(tensor.clone());
        }
        let dtype = match &entry.kind {
            Kind::Known(dtype) => *dtype,
            Kind::Other(kind) if kind == E4M3 => return self.scaled(name, entry),
            Kind::Other(kind) => {
                let path = &entry.file.path;
                let supported = if path.extension().is_some_and(|e| e == "safetensors") {
                    format!("F32, F16, BF16 and, with scales, {E4M3}")
                } else {
                    DType::ALL.map(DType::name).join(", ")
                };
                return Err(LoadError::unsupported(
                    path,
                    format!("tensor {name:?} has type {kind}; supported are {supported}"),
                ));
            }
        };
        let (&cols, outer) = entry.shape.split_last().unwrap_or((&1, &[]));
        Ok(Tensor {
            dtype,
            rows: outer.iter().product(),
            cols,
            storage: Storage::Mapped(entry.file.map.clone(), entry.range.clone()),
        })
    }

    /// Eight-bit floats times their scale, which is stored beside them: one number, one for each row, or one for each
    /// block of rows and columns.
    fn scaled(&self, name: &str, entry: &Entry) -> Result<Tensor, LoadError> {
        let malformed = |message: String| LoadError::malformed(&entry.file.path, message);
        let (&cols, outer) = entry.shape.split_last().unwrap_or((&1, &[]));
        let rows = outer.iter().product::<usize>();
        let stem = name.strip_suffix(".weight").unwrap_or(name);
        let found = ["weight_scale_inv", "weight_scale"].map(|part| format!("{stem}.{part}"));
        let Some(scale_name) = found.iter().find(|scale| self.contains(scale)) else {
            return Err(malformed(format!(
                "tensor {name:?} has type {E4M3} and no {:?} beside it",
                found[1]
            )));
        };
        let scale = self.tensor(scale_name)?;
        let mut scales = vec![0f32; scale.rows * scale.cols];
        for (i, row) in scales.chunks_exact_mut(scale.cols.max(1)).enumerate() {
            dequant::row_to_f32(&scale, i, row);
        }
        let (down, across) = match self.shape(scale_name)? {
            [] | [1] | [1, 1] => (1, 1),
            [n] | [n, 1] if *n == rows => (rows, 1),
            &[m, n] if (1..=rows).contains(&m) && (1..=cols).contains(&n) => (m, n),
            other => {
                return Err(malformed(format!(
                    "tensor {scale_name:?} of shape {other:?} does not divide {name:?} of {:?}",
                    entry.shape
                )));
            }
        };
        let said = self.blocks.filter(|_| (down, across) != (1, 1) && (down, across) != (rows, 1));
        let one = |axis: usize, elements: usize, n: usize| match said {
            None => block_size(elements, n),
            Some(sizes) => {
                Some(sizes[axis] as usize).filter(|&size| size > 0 && elements.div_ceil(size) == n)
            }
        };
        let (Some(height), Some(width)) = (one(0, rows, down), one(1, cols, across)) else {
            return Err(malformed(format!(
                "tensor {scale_name:?} has {down} × {across} scales, which are no blocks of {name:?}, {rows} × {cols}"
            )));
        };
        let scales = Scales { factors: Arc::new(scales), across, height, width, first: 0 };
        let storage = Storage::Scaled(entry.file.map.clone(), entry.range.clone(), scales);
        Ok(Tensor { dtype: DType::F32, rows, cols, storage })
    }

    /// A matrix of exactly this shape.
    pub fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Tensor, LoadError> {
        self.expect_shape(name, &[rows, cols])?;
        self.tensor(name)
    }

    /// A vector of exactly this length, as f32.
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, LoadError> {
        self.expect_shape(name, &[length])?;
        let tensor = self.tensor(name)?;
        let mut out = vec![0.0; length];
        dequant::row_to_f32(&tensor, 0, &mut out);
        Ok(out)
    }

    /// Names of tensors that are stored and were not read, in order.
    pub(crate) fn unread(&self) -> Vec<&str> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<&str> = self.names().filter(|name| !read.contains(*name)).collect();
        names.sort_unstable();
        names
    }

    fn entry(&self, name: &str) -> Result<&Entry, LoadError> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into());
        self.entries.get(name).ok_or_else(|| {
            let stem = name.strip_suffix(".weight").unwrap_or(name);
            let mut instead = INSTEAD.iter().map(|(part, what)| (format!("{stem}.{part}"), what));
            let why = match instead.find(|(stored, _)| self.contains(stored)) {
                None => String::new(),
                Some((stored, what)) => format!("; {stored:?} is there: {what}"),
            };
            LoadError::malformed(&self.path, format!("tensor {name:?} is missing{why}"))
        })
    }

    fn expect_shape(&self, name: &str, expected: &[usize]) -> Result<(), LoadError> {
        let entry = self.entry(name)?;
        let replaced = self.replaced.get(name).map(|tensor| vec![tensor.rows, tensor.cols]);
        if replaced.as_ref().unwrap_or(&entry.shape) == expected {
            return Ok(());
        }
        Err(LoadError::malformed(
            &entry.file.path,
            format!(
                "tensor {name:?} has shape {:?} where the configuration asks for {expected:?}",
                entry.shape
            ),
        ))
    }
}
