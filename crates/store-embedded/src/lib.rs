//! The storage port on an embedded LSM tree (fjall).
