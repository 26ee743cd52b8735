use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

/// The first port that is handed out.
const FIRST: u32 = 10_000;

/// How many may be: all below those that the system gives to connections, which would take one before it is listened at.
const COUNT: u32 = 22_000;

/// Ports of an address that are free now. A process hands out none twice, and processes begin at different places.
pub fn free_ports<const COUNT: usize>(host: Ipv4Addr) -> Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    for port in &mut ports {
        *port = free_port(host)?;
    }
    Ok(ports)
}

fn free_port(host: Ipv4Addr) -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(101);
    for _ in 0..COUNT {
        let next = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + next % COUNT)?;
        if TcpListener::bind((host, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of {host} is free")
}
