//! gRPC clients and servers for the service traits, behind a region guard.
