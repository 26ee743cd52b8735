//! What the frames of a session travel in: a WebSocket, or frames on a TLS connection (docs/private-transport.md). The
//! session cannot tell which.

use std::task::{Context, Poll, ready};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bulkhead_model::limits::FRAME_BYTES_MAX;
use bulkhead_msync::{TransportError, TransportFrame};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::codec::{Decoder, Encoder, Framed};

#[expect(clippy::large_enum_variant, reason = "nearly all are WebSockets, and a box would be memory of each")]
pub(crate) enum Wire {
    WebSocket(WebSocket),
    /// On the heap, so that a WebSocket pays nothing for it.
    Frames(Box<Frames>),
}

pub(crate) struct Frames {
    stream: Framed<TlsStream<TcpStream>, Codec>,
    /// The answer to the last ping, which is owed still.
    pong: Option<Bytes>,
}

/// What a client sent, or did.
pub(super) enum Incoming {
    Frame(Bytes),
    Ping,
    Pong(Bytes),
    /// It says that it goes.
    Close,
    NotBinary,
    TooLarge,
}

/// What a client is sent.
pub(super) enum Outgoing {
    Frame(Bytes),
    Ping([u8; 4]),
    /// With a close code of RFC 6455 §7.4.1.
    Close(u16),
}

/// It cannot be read or written any more.
pub(super) struct Broken;

impl Wire {
    pub(crate) fn frames(stream: TlsStream<TcpStream>) -> Self {
        Self::Frames(Box::new(Frames { stream: Framed::new(stream, Codec), pong: None }))
    }

    /// The answer to a ping or a close is sent by reading on.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming, Broken>> {
        match self {
            Self::WebSocket(socket) => Poll::Ready(match ready!(socket.poll_next_unpin(context)) {
                Some(Ok(Message::Binary(frame))) => Ok(Incoming::Frame(frame)),
                Some(Ok(Message::Pong(payload))) => Ok(Incoming::Pong(payload)),
                Some(Ok(Message::Ping(_))) => Ok(Incoming::Ping),
                Some(Ok(Message::Text(_))) => Ok(Incoming::NotBinary),
                Some(Ok(Message::Close(_))) => Ok(Incoming::Close),
                Some(Err(error)) if is_too_large(&error) => Ok(Incoming::TooLarge),
                Some(Err(_)) | None => Err(Broken),
            }),
            Self::Frames(frames) => frames.poll_next(context),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Incoming, Broken> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Writes without a flush, as a rule into memory.
    pub(super) async fn feed(&mut self, outgoing: Outgoing) -> Result<(), Broken> {
        match self {
            Self::WebSocket(socket) => {
                let message = match outgoing {
                    Outgoing::Frame(frame) => Message::Binary(frame),
                    Outgoing::Ping(payload) => Message::Ping(Bytes::copy_from_slice(&payload)),
                    Outgoing::Close(code) => Message::Close(Some(CloseFrame { code, reason: "".into() })),
                };
                socket.feed(message).await.map_err(|_| Broken)
            }
            Self::Frames(frames) => {
                let frame = match outgoing {
                    Outgoing::Frame(frame) => TransportFrame::Message(frame),
                    Outgoing::Ping(payload) => TransportFrame::Ping(Bytes::copy_from_slice(&payload)),
                    Outgoing::Close(code) => TransportFrame::Close(code),
                };
                frames.stream.feed(frame).await.map_err(|_| Broken)
            }
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        match self {
            Self::WebSocket(socket) => socket.flush().await.map_err(|_| Broken),
            Self::Frames(frames) => frames.stream.flush().await.map_err(|_| Broken),
        }
    }
}

impl Frames {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming, Broken>> {
        self.pay_pong(context)?;
        Poll::Ready(Ok(match ready!(self.stream.poll_next_unpin(context)) {
            Some(Ok(TransportFrame::Message(frame))) => Incoming::Frame(frame),
            Some(Ok(TransportFrame::Pong(payload))) => Incoming::Pong(payload),
            Some(Ok(TransportFrame::Close(_))) => Incoming::Close,
            Some(Ok(TransportFrame::Ping(payload))) => {
                // Of several only the last needs an answer (RFC 6455 §5.5.3), so that what is owed has a bound.
                self.pong = Some(payload);
                self.pay_pong(context)?;
                Incoming::Ping
            }
            Some(Err(CodecError::Frame(TransportError::TooLarge))) => Incoming::TooLarge,
            Some(Err(_)) | None => return Poll::Ready(Err(Broken)),
        }))
    }

    fn pay_pong(&mut self, context: &mut Context<'_>) -> Result<(), Broken> {
        if self.pong.is_none() {
            return Ok(());
        }
        let Poll::Ready(ready) = self.stream.poll_ready_unpin(context) else { return Ok(()) };
        ready.map_err(|_| Broken)?;
        if let Some(payload) = self.pong.take() {
            self.stream.start_send_unpin(TransportFrame::Pong(payload)).map_err(|_| Broken)?;
        }
        match self.stream.poll_flush_unpin(context) {
            Poll::Ready(Err(_)) => Err(Broken),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}

struct Codec;

enum CodecError {
    Frame(TransportError),
    Connection,
}

impl From<std::io::Error> for CodecError {
    fn from(_: std::io::Error) -> Self {
        Self::Connection
    }
}

impl Decoder for Codec {
    type Item = TransportFrame;
    type Error = CodecError;

    fn decode(&mut self, from: &mut BytesMut) -> Result<Option<TransportFrame>, CodecError> {
        TransportFrame::decode(from, FRAME_BYTES_MAX).map_err(CodecError::Frame)
    }
}

impl Encoder<TransportFrame> for Codec {
    type Error = CodecError;

    fn encode(&mut self, frame: TransportFrame, to: &mut BytesMut) -> Result<(), CodecError> {
        frame.encode(to);
        Ok(())
    }
}

/// Whether a frame or message was over its limit, for which axum has no kind of its own.
fn is_too_large(error: &axum::Error) -> bool {
    error.to_string().contains("too long") || error.to_string().contains("too big")
}
