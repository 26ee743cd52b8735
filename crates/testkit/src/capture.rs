use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketType, eth, recv, socket, sockopt};

/// Bytes of packets that may wait to be taken. What does not fit is lost, but then there was a great deal to see.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// More than the largest packet, headers included.
const FRAME_BYTES_MAX: usize = 128 * 1024;

/// Bytes of an Ethernet header: two addresses and the type.
const ETHERNET_BYTES: usize = 14;

/// Bytes of the shortest IPv4 header.
const IPV4_BYTES_MIN: usize = 20;

const TYPE_IPV4: u16 = 0x0800;
const TYPE_ARP: u16 = 0x0806;
const PROTOCOL_TCP: u8 = 6;

impl Packet {
    /// What it carries: of TCP what the ends say to each other, of anything else all behind the IP header.
    pub fn data(&self) -> &[u8] {
        let header_bytes = usize::from(self.bytes[0] & 0x0f) * 4;
        // A short packet is filled up on its link.
        let packet_bytes = usize::from(u16::from_be_bytes([self.bytes[2], self.bytes[3]]));
        let behind = self.bytes.get(header_bytes..packet_bytes).unwrap_or(&self.bytes[IPV4_BYTES_MIN..]);
        match (self.bytes[9], behind.get(12)) {
            (PROTOCOL_TCP, Some(offset)) => behind.get(usize::from(offset >> 4) * 4..).unwrap_or_default(),
            _ => behind,
        }
    }
}

/// Sees every packet on every link of a network namespace; one that is forwarded is seen twice, when it comes and when it
/// goes.
pub struct Capture {
    socket: OwnedFd,
}

/// A packet of IPv4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
    /// Everything, from the IP header on.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Sees the namespace that the calling thread is in.
    pub(crate) fn start() -> Result<Self> {
        let socket =
            socket(AddressFamily::PACKET, SocketType::RAW, Some(eth::ALL)).context("a packet socket")?;
        sockopt::set_socket_recv_buffer_size_force(&socket, WAITING_BYTES_MAX).context("its buffer")?;
        Ok(Self { socket })
    }

    /// What has passed since the last call; does not wait. Fails when something passed that is neither IPv4 nor what IPv4
    /// needs on a link.
    pub fn take(&self) -> Result<Vec<Packet>> {
        let mut frame = vec![0; FRAME_BYTES_MAX];
        let mut packets = Vec::new();
        loop {
            match recv(&self.socket, frame.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => packets.extend(read(&frame[..length])?),
                Err(Errno::AGAIN) => return Ok(packets),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("take a packet"),
            }
        }
    }
}

/// The packet in a frame; `None` for a question who has an address.
fn read(frame: &[u8]) -> Result<Option<Packet>> {
    let Some((header, packet)) = frame.split_at_checked(ETHERNET_BYTES) else {
        bail!("a frame of {} bytes", frame.len());
    };
    match u16::from_be_bytes([header[12], header[13]]) {
        TYPE_ARP => Ok(None),
        TYPE_IPV4 if packet.len() >= IPV4_BYTES_MIN => {
            let address = |from: usize| {
                Ipv4Addr::new(packet[from], packet[from + 1], packet[from + 2], packet[from + 3])
            };
            Ok(Some(Packet { from: address(12), to: address(16), bytes: packet.to_vec() }))
        }
        other => bail!("a frame of type {other:#06x} with {} bytes", packet.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::Networks;

    #[test]
    fn packets_are_read_questions_for_addresses_are_not_and_anything_else_fails() {
        let frame = |kind: u16, packet: &[u8]| [&[7; 12], &kind.to_be_bytes()[..], packet].concat();
        let mut packet = vec![0; 24];
        packet[0] = 0x45;
        packet[3] = 23;
        packet[12..20].copy_from_slice(&[192, 0, 2, 2, 198, 51, 100, 2]);
        let read_back = read(&frame(TYPE_IPV4, &packet)).unwrap().unwrap();
        assert_eq!(read_back.from, Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(read_back.to, Ipv4Addr::new(198, 51, 100, 2));
        assert_eq!(read_back.bytes, packet);
        assert_eq!(read_back.data(), [0; 3], "without what fills the link up");
        assert_eq!(read(&frame(TYPE_ARP, &packet)).unwrap(), None);
        assert!(read(&frame(0x86dd, &packet)).is_err());
        assert!(read(&frame(TYPE_IPV4, &packet[..19])).is_err());
        assert!(read(&[0; 13]).is_err());
    }

    #[test]
    fn what_goes_from_one_namespace_to_another_is_seen_twice_and_what_stays_in_one_is_not() {
        if let Err(reason) = Networks::may_be_joined().unwrap() {
            println!("without network namespaces there is nothing to capture: {reason}");
            return;
        }
        let networks = Networks::joined(&["one", "two"]).unwrap();
        let capture = networks.capture().unwrap().unwrap();
        let listener = networks.inside("two", || Ok(TcpListener::bind((networks.host("two"), 0))?)).unwrap();
        let address = listener.local_addr().unwrap();
        let say = |from: &str| {
            let connect = || {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(b"a canary")?;
                Ok(stream)
            };
            drop(networks.inside(from, connect).unwrap());
            let mut heard = String::new();
            listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "a canary");
            let packets = capture.take().unwrap();
            packets.iter().filter(|packet| packet.data() == b"a canary").count()
        };
        assert_eq!(say("two"), 0);
        assert!(say("one") >= 2, "when it comes to the router and when it goes on");
    }
}
