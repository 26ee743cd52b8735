//! What every process needs around its services: configuration, telemetry, lifecycle, health.
