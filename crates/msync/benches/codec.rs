//! The codec on the message path.
fn main() {}
