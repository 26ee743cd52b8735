use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{CertificateError, Error, OtherError};

/// Why a handshake between two services was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the handshake was refused: {}", self.reason())]
pub enum Refusal {
    /// The other side shows no certificate.
    NoCertificate,
    /// Its certificate does not hold exactly one URI, or one that is no name of a known service.
    NoName,
    /// It names another region.
    OtherRegion,
    /// It was not issued by this region's authority, or not for this use.
    OtherAuthority,
    /// It has expired.
    Expired,
    /// It is not valid yet; one of the two clocks is wrong.
    NotYetValid,
    /// It names another service than the one that was dialled.
    OtherService,
    /// Not TLS 1.3, broken off, or too slow.
    Broken,
}

/// Which side of the connection refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Caller,
    Called,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Refusal; 8] = [
        Refusal::NoCertificate,
        Refusal::NoName,
        Refusal::OtherRegion,
        Refusal::OtherAuthority,
        Refusal::Expired,
        Refusal::NotYetValid,
        Refusal::OtherService,
        Refusal::Broken,
    ];

    /// The label of the metric `bulkhead_handshakes_refused_total`.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::NoCertificate => "no_certificate",
            Refusal::NoName => "no_name",
            Refusal::OtherRegion => "other_region",
            Refusal::OtherAuthority => "other_ca",
            Refusal::Expired => "expired",
            Refusal::NotYetValid => "not_yet_valid",
            Refusal::OtherService => "other_service",
            Refusal::Broken => "broken",
        }
    }

    /// As the TLS library wants it from a verifier; [`Refusal::of`] finds it again.
    pub(super) fn into_tls(self) -> Error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(self))))
    }

    /// Why a handshake failed.
    pub(crate) fn of(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match tls {
            Some(Error::InvalidCertificate(CertificateError::Other(OtherError(refusal)))) => {
                refusal.downcast_ref().copied().unwrap_or(Refusal::Broken)
            }
            Some(Error::NoCertificatesPresented) => Refusal::NoCertificate,
            _ => Refusal::Broken,
        }
    }

    /// Counts it and says it in the log. Nothing of what the other side sent is in the line.
    pub(crate) fn note(self, side: Side, peer: SocketAddr) {
        let side = match side {
            Side::Caller => "caller",
            Side::Called => "called",
        };
        tracing::warn!(reason = self.reason(), side, %peer, "refused a handshake");
        let labels = [("reason", self.reason()), ("side", side)];
        metrics::counter!("bulkhead_handshakes_refused_total", &labels).increment(1);
    }
}
