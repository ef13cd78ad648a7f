//! The tensors of a model by name, whichever files they lie in.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use crate::dequant;
use crate::error::LoadError;
use crate::tensor::{DType, Storage, Tensor};

/// One file, mapped into memory.
#[derive(Clone)]
pub(crate) struct Mapped {
    pub path: Arc<Path>,
    pub map: Arc<Mmap>,
}

impl Mapped {
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let file = File::open(path).map_err(|e| LoadError::io(path, e))?;
        if !file.metadata().map_err(|e| LoadError::io(path, e))?.is_file() {
            return Err(LoadError::malformed(path, "is not a file"));
        }
        // SAFETY: the mapping is private and read-only. A file cut short by another process while a model is in use
        // ends this process with SIGBUS, as with every memory-mapped reader; weights are not edited in place.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| LoadError::io(path, e))?;
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
pub(crate) struct Entry {
    pub kind: Kind,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    pub file: Mapped,
    pub range: Range<usize>,
}

/// Every tensor of a model.
pub struct Weights {
    /// The folder or file, for errors about tensors that are not there.
    path: PathBuf,
    entries: HashMap<String, Entry>,
}

impl Weights {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.into(), entries: HashMap::new() }
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

    /// A tensor of any shape, its leading dimensions joined into rows.
    pub fn tensor(&self, name: &str) -> Result<Tensor, LoadError> {
        let entry = self.entry(name)?;
        let dtype = match &entry.kind {
            Kind::Known(dtype) => *dtype,
            Kind::Other(kind) => {
                return Err(LoadError::unsupported(
                    &entry.file.path,
                    format!(
                        "tensor {name:?} has type {kind}; supported are F32, F16, BF16, Q8_0, Q4_0 and Q4_1"
                    ),
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

    fn entry(&self, name: &str) -> Result<&Entry, LoadError> {
        self.entries
            .get(name)
            .ok_or_else(|| LoadError::malformed(&self.path, format!("tensor {name:?} is missing")))
    }

    fn expect_shape(&self, name: &str, expected: &[usize]) -> Result<(), LoadError> {
        let entry = self.entry(name)?;
        if entry.shape == expected {
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
