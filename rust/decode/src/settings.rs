//! Typed access to a model's configuration, from `config.json` or from GGUF metadata.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::LoadError;
use crate::gguf;
use crate::weights::Mapped;

/// Configuration files are kilobytes; a larger one is not a configuration.
const LIMIT: usize = 16 << 20;

/// A list with an entry for each layer is shorter.
const LONGEST_LIST: usize = 1024;

/// Keys and values, with the file they came from for errors. A null counts as absent.
pub(crate) struct Settings {
    path: PathBuf,
    map: Map<String, Value>,
}

impl Settings {
    pub fn from_json(path: &Path) -> Result<Self, LoadError> {
        match read_json(path, LIMIT)? {
            Value::Object(map) => Ok(Self { path: path.into(), map }),
            _ => Err(LoadError::malformed(path, "is not a JSON object")),
        }
    }

    /// The entries of `metadata` under `prefix`. Lists that are too long to say something of layers become empty.
    pub fn from_gguf(path: &Path, metadata: &gguf::Metadata, prefix: &str) -> Self {
        let map = metadata
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), from_gguf(value))))
            .collect();
        Self { path: path.into(), map }
    }

    /// The object under `key` as settings of its own.
    pub fn section(&self, key: &str) -> Result<Option<Settings>, LoadError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { path: self.path.clone(), map: map.clone() })),
            Some(other) => Err(self.wrong(key, "an object", other)),
        }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// These, where the other does not say otherwise.
    pub fn changed_by(mut self, other: &Settings) -> Self {
        self.map.extend(other.map.clone());
        self
    }

    /// These, and of `defaults` the keys that they do not mention.
    pub fn or(&self, mut defaults: Map<String, Value>) -> Self {
        defaults.extend(self.map.clone());
        Self { path: self.path.clone(), map: defaults }
    }

    /// Whether both say the same.
    pub fn same(&self, other: &Settings) -> bool {
        self.map == other.map
    }

    /// Whether the key is given, be it as null.
    pub fn mentions(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// A sentence about this file.
    pub fn note(&self, message: &str) -> String {
        format!("{}: {message}", self.path.display())
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub fn size(&self, key: &str) -> Result<Option<usize>, LoadError> {
        self.typed(key, "a whole number", |v| v.as_u64().and_then(|n| usize::try_from(n).ok()))
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>, LoadError> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, LoadError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub fn text(&self, key: &str) -> Result<Option<&str>, LoadError> {
        self.typed(key, "text", Value::as_str)
    }

    /// A size that must be there and positive.
    pub fn dimension(&self, key: &str) -> Result<usize, LoadError> {
        match self.size(key)? {
            Some(0) => Err(self.malformed(format!("{key} is 0"))),
            Some(n) => Ok(n),
            None => Err(self.malformed(format!("{key} is missing"))),
        }
    }

    /// A token id, or a list of them.
    pub fn tokens(&self, key: &str) -> Result<Option<Vec<u32>>, LoadError> {
        let id = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
        self.typed(key, "a token id or a list of them", |v| match v {
            Value::Array(ids) => ids.iter().map(id).collect(),
            v => Some(vec![id(v)?]),
        })
    }

    /// A list of positive numbers.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f32>>, LoadError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let one = |v: &Value| v.as_f64().map(|x| x as f32).filter(|x| x.is_finite() && *x > 0.0);
        let found = value.as_array().and_then(|list| list.iter().map(one).collect());
        found.map(Some).ok_or_else(|| self.malformed(format!("{key} is not a list of positive numbers")))
    }

    pub fn malformed(&self, message: String) -> LoadError {
        LoadError::malformed(&self.path, message)
    }

    pub fn unsupported(&self, message: String) -> LoadError {
        LoadError::unsupported(&self.path, message)
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, LoadError> {
        self.get(key).map(|value| read(value).ok_or_else(|| self.wrong(key, what, value))).transpose()
    }

    fn wrong(&self, key: &str, what: &str, value: &Value) -> LoadError {
        match value {
            Value::Array(_) => self.unsupported(format!("{key} is a list where {what} is supported")),
            value => self.malformed(format!("{key} is {value} where {what} is expected")),
        }
    }
}

fn from_gguf(value: &gguf::Value) -> Value {
    match value {
        gguf::Value::Unsigned(n) => Value::from(*n),
        gguf::Value::Signed(n) => Value::from(*n),
        // JSON has no NaN; as text it is caught where a number is expected.
        gguf::Value::Float(x) => {
            serde_json::Number::from_f64(*x).map_or_else(|| Value::from(x.to_string()), Value::Number)
        }
        gguf::Value::Bool(b) => Value::from(*b),
        gguf::Value::String(s) => Value::from(s.as_str()),
        gguf::Value::Array(list) if list.len() > LONGEST_LIST => Value::Array(Vec::new()),
        gguf::Value::Array(list) => {
            let one =
                |found: Result<gguf::Value, String>| found.map_or(Value::Null, |value| from_gguf(&value));
            Value::Array(list.iter().map(one).collect())
        }
    }
}

/// A JSON document of at most `limit` bytes.
pub(crate) fn read_json(path: &Path, limit: usize) -> Result<Value, LoadError> {
    let file = Mapped::open(path)?;
    if file.map.len() > limit {
        return Err(LoadError::malformed(path, format!("is larger than {limit} bytes")));
    }
    serde_json::from_slice(&file.map).map_err(|e| LoadError::malformed(path, e.to_string()))
}
