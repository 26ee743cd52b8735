//! A Rust client: tokens, REST and MSYNC sockets.
