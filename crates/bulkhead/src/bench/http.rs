//! A keep-alive HTTP connection that sends what was put together by the caller.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::tls::Stream;

/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Longest body of an answer.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) struct HttpConnection {
    stream: Stream,
    input: Vec<u8>,
}

/// The status and where the body is.
struct Head {
    status: u16,
    body_start: usize,
    body_bytes: usize,
}

impl HttpConnection {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, input: Vec::new() }
    }

    /// Sends a request and reads the answer: its status and its body.
    pub(super) async fn call(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.input.clear();
        let head = loop {
            self.read().await?;
            if let Some(head) = parse_head(&self.input)? {
                break head;
            }
            if self.input.len() > HEAD_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        };
        let end = head.body_start + head.body_bytes;
        self.input.reserve(end.saturating_sub(self.input.len()));
        while self.input.len() < end {
            self.read().await?;
        }
        Ok((head.status, &self.input[head.body_start..end]))
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// `None` while the head is not complete. Answers without a length are not understood.
fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| invalid())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .filter(|length| *length <= BODY_BYTES_MAX);
    Ok(Some(Head {
        status: status.ok_or_else(invalid)?,
        body_start: end + 4,
        body_bytes: length.ok_or_else(invalid)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_complete() {
        let answer = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        let head = parse_head(answer).unwrap().unwrap();
        assert_eq!((head.status, &answer[head.body_start..]), (429, &b"{}"[..]));
        assert_eq!(head.body_bytes, 2);
        assert!(parse_head(&answer[..40]).unwrap().is_none());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").is_err());
    }
}
