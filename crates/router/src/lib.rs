//! The router service: sequence, permission, fan-out, presence.
