use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Ports of an address that are free now; held together, so that they differ.
pub fn free_ports<const COUNT: usize>(host: Ipv4Addr) -> Result<[u16; COUNT]> {
    let mut listeners = Vec::with_capacity(COUNT);
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind((host, 0)).with_context(|| format!("listen at {host}"))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
