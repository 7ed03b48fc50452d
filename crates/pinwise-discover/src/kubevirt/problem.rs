//! Why a VM of KubeVirt was not read.

use pinwise::shown::shorten;

/// The largest part of a foreign text that a message shows, in bytes.
const MAX_SHOWN: usize = 60;
/// The longest message of the JSON parser that is shown, in bytes.
const MAX_PROBLEM: usize = 120;

/// Why a VM of KubeVirt was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KubevirtError {
    /// A text longer than any object.
    #[error("the object has {bytes} bytes, but the limit is {limit}")]
    TooLong {
        /// The length in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// YAML.
    #[error("the VM of KubeVirt is YAML, but only JSON is read: kubectl get vmi NAME -o json")]
    Yaml,
    /// Not JSON, or a value of another type.
    #[error("line {line}, column {column}, at {path}: {problem}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The path to the value; `.` for the text itself.
        path: String,
        /// The problem.
        problem: String,
    },
    /// An object of another kind, such as a list.
    #[error(
        "the object's kind is {kind:?}, not VirtualMachineInstance or VirtualMachine: kubectl get vmi NAME -o json"
    )]
    Kind {
        /// The kind.
        kind: String,
    },
    /// An object without `domain`.
    #[error("the VM has no spec.domain")]
    NoDomain,
    /// A VM without memory.
    #[error("the VM has neither memory.guest nor resources.requests.memory")]
    NoMemory,
    /// A VM that takes its sizes from an instance type.
    #[error(
        "the VM takes its sizes from an instance type; its instance tells them: kubectl get vmi NAME -o json"
    )]
    InstanceType,
    /// A malformed value.
    #[error("spec.domain.{path} {value:?} is not {expected}")]
    Value {
        /// The path below the domain.
        path: &'static str,
        /// The value, shortened.
        value: String,
        /// The expected value.
        expected: &'static str,
    },
}

impl KubevirtError {
    pub(super) fn value(path: &'static str, value: &str, expected: &'static str) -> Self {
        Self::Value { path, value: shorten(value, MAX_SHOWN), expected }
    }

    pub(super) fn json(path: &str, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let whole = error.to_string();
        let place = format!(" at line {line} column {column}");
        let problem = whole.strip_suffix(&place).unwrap_or(&whole);
        let (path, problem) = (shorten(path, MAX_SHOWN), shorten(problem, MAX_PROBLEM));
        Self::Json { line, column, path, problem }
    }
}
