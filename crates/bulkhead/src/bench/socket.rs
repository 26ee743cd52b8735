//! A WebSocket that costs the generator as little as possible: frames masked with zeros go out as they are, several
//! frames are read at once and looked at in place. It understands what Bulkhead's gateway sends, no more.

use std::io;
use std::ops::Range;

use bulkhead_client::frames;
use bulkhead_model::AppKey;
use bulkhead_msync::proto::m_sync::Command;
use bulkhead_msync::proto::{MSync, Provision};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::tls::Stream;
use super::users::BenchUser;
use crate::Failure;

const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The bit that says that a frame is a whole message.
const FINAL: u8 = 0x80;
/// The bit that says that a frame is masked, as a client's must be.
const MASKED: u8 = 0x80;

/// Room for reading at first; what does not fit makes the buffer grow.
const READ_BYTES: usize = 2048;

/// Longest answer to the upgrade.
const UPGRADE_BYTES_MAX: usize = 8192;

/// One connection.
pub(super) struct Socket {
    stream: Stream,
    input: Vec<u8>,
    /// What of `input` is yet to be looked at.
    unread: Range<usize>,
    output: Vec<u8>,
}

impl Socket {
    /// Upgrades a stream and logs in on it.
    pub(super) async fn log_in(stream: Stream, app: &AppKey, user: &BenchUser) -> Result<Self, Failure> {
        let mut socket = Self { stream, input: Vec::new(), unread: 0..0, output: Vec::new() };
        socket.upgrade().await.map_err(|error| Failure::io(format!("the upgrade: {error}")))?;
        socket.queue(&frames::login(app, &user.name, &user.token, "bench"));
        socket.flush().await.map_err(lost)?;
        loop {
            while let Some(frame) = socket.next_frame().map_err(lost)? {
                if let Some(refusal) = read_login_answer(frame) {
                    return refusal.map(|()| socket);
                }
            }
            socket.fill().await.map_err(lost)?;
        }
    }

    /// Puts a frame where [`Self::flush`] takes it from.
    pub(super) fn queue(&mut self, payload: &[u8]) {
        header(&mut self.output, BINARY, payload.len());
        self.output.extend_from_slice(payload);
    }

    /// The same for a frame that has its header already.
    pub(super) fn queue_whole(&mut self, frame: &[u8]) {
        self.output.extend_from_slice(frame);
    }

    /// Writes all that is queued. Must not be cancelled.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await?;
            self.output.clear();
        }
        Ok(())
    }

    /// Waits for more bytes. Can be cancelled without losing any.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        if self.unread.start > 0 {
            self.input.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        if self.input.len() < self.unread.end + READ_BYTES / 2 {
            let grown = (self.input.len() * 2).max(self.unread.end + READ_BYTES);
            self.input.resize(grown, 0);
        }
        let count = self.stream.read(&mut self.input[self.unread.end..]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.end += count;
        Ok(())
    }

    /// The next message that has been read; pings on the way to it are answered with the next [`Self::flush`].
    pub(super) fn next_frame(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let Some((kind, payload)) = parse(&self.input[self.unread.clone()])? else { return Ok(None) };
            let payload = self.unread.start + payload.start..self.unread.start + payload.end;
            self.unread.start = payload.end;
            match kind {
                BINARY => return Ok(Some(&self.input[payload])),
                PING => {
                    header(&mut self.output, PONG, payload.len());
                    self.output.extend_from_slice(&self.input[payload]);
                }
                PONG => {}
                CLOSE => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    async fn upgrade(&mut self) -> io::Result<()> {
        // The key is only there to prove that the server knows WebSocket, which this server is known to do.
        self.output.extend_from_slice(
            b"GET /websocket HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        );
        self.flush().await?;
        loop {
            self.fill().await?;
            let answer = &self.input[self.unread.clone()];
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                if !answer.starts_with(b"HTTP/1.1 101") {
                    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
                    return Err(io::Error::other(String::from_utf8_lossy(line).into_owned()));
                }
                self.unread.start += end + 4;
                return Ok(());
            }
            if answer.len() > UPGRADE_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// What broke a connection, for people.
pub(super) fn lost(error: io::Error) -> Failure {
    Failure::io(format!("a connection was lost: {error}"))
}

/// A frame with its header, ready for [`Socket::queue_whole`].
pub(super) fn whole_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    header(&mut frame, BINARY, payload.len());
    frame.extend_from_slice(payload);
    frame
}

/// A header with a mask of zeros, which leaves the payload as it is.
fn header(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(FINAL | kind);
    if length < 126 {
        out.push(MASKED | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(MASKED | 126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(MASKED | 127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
    out.extend_from_slice(&[0; 4]);
}

/// The kind of the first frame and where its payload is; `None` while it is not complete.
fn parse(bytes: &[u8]) -> io::Result<Option<(u8, Range<usize>)>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & FINAL == 0 || second & MASKED != 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (start, length) = match (second, rest) {
        (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (10, usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?)
        }
        (126 | 127, _) => return Ok(None),
        (length, _) => (2, usize::from(*length)),
    };
    let end = start + length;
    Ok((bytes.len() >= end).then_some((first & 0xf, start..end)))
}

/// `None` for a frame that is no answer to a login.
fn read_login_answer(frame: &[u8]) -> Option<Result<(), Failure>> {
    let frame = MSync::decode(frame).ok().filter(|frame| frame.command() == Command::Provision)?;
    let status = Provision::decode(frame.payload?).ok()?.status.unwrap_or_default();
    match status.error_code.unwrap_or_default() {
        0 => Some(Ok(())),
        _ => Some(Err(Failure::refused(format!("a login was refused: {}", status.reason())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_server_are_found_at_every_length() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let mut bytes = vec![FINAL | BINARY];
            match length {
                0..126 => bytes.push(length as u8),
                126..65_536 => {
                    bytes.push(126);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            let start = bytes.len();
            bytes.resize(start + length, 7);
            assert_eq!(parse(&bytes).unwrap(), Some((BINARY, start..start + length)));
            assert_eq!(parse(&bytes[..bytes.len() - 1]).unwrap(), None);
        }
        assert!(parse(&[BINARY, 0]).is_err());
        assert!(parse(&[FINAL | BINARY, MASKED]).is_err());
    }

    #[test]
    fn an_own_frame_is_masked_with_zeros() {
        assert_eq!(whole_frame(b"ab"), [FINAL | BINARY, MASKED | 2, 0, 0, 0, 0, b'a', b'b']);
        assert_eq!(whole_frame(&[0; 200])[..4], [FINAL | BINARY, MASKED | 126, 0, 200]);
    }
}
