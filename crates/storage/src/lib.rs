//! The storage service: seals what is stored, keeps it as long as its plan says.
