use std::sync::Arc;

/// Who calls: the user id behind a Unix socket, this machine, or the listed name of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(super) name: Arc<str>,
    pub(super) door: Door,
}

/// The way a caller came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Unix,
    Loopback,
    Mutual,
}

impl Caller {
    pub(crate) fn new(name: String, door: Door) -> Self {
        Self { name: name.into(), door }
    }
}
