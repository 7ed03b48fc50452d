//! The functions of bytes that the targets call. No code of its own.

pub use pinwise_testkit::fuzz;
