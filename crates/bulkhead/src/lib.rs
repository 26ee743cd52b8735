//! The composition of services.
