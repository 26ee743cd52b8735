//! MSYNC sessions over WebSockets.
