//! What the generated tests share.

pub mod brute;
pub mod case;
pub mod rng;
pub mod shrink;
pub mod tiny;
