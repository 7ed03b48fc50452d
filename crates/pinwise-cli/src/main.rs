//! The program `pinwise`.

fn main() {}
