//! The region as the app's back end sees it: its REST API, asked with tokens of the app.

use std::sync::Arc;

use bulkhead_client::{ClientError, NewUser, Rest};
use bulkhead_model::{Error, ErrorKind, Result};

use crate::Signer;

/// A name that no user has: every name that is given out here is longer.
const NOBODY: &str = "nobody";

/// The app in its region.
pub struct AppRegion {
    rest: Rest,
    signer: Arc<Signer>,
}

/// Why the region did not do what it was asked.
enum Refused {
    /// It does not take the token, so it does not know the certificate.
    Token,
    Other(Error),
}

impl AppRegion {
    /// `rest` is the API of the app whose certificates `signer` has.
    pub fn new(rest: Rest, signer: Arc<Signer>) -> Self {
        Self { rest, signer }
    }

    /// Asks the region which certificate it accepts, and has that one sign. `Unavailable` when it does not answer,
    /// `PermissionDenied` when it accepts none; then the primary one signs.
    pub async fn look(&self) -> Result<()> {
        let signing = self.signer.current();
        for index in 0..signing.count() {
            let token = signing.app_token_of(index)?;
            match self.rest.user_exists(&token.token, NOBODY).await.map_err(refused) {
                Ok(_) => {
                    if signing.activate(index) {
                        let certificate = if index == 0 { "primary" } else { "secondary" };
                        tracing::warn!(certificate, "another app certificate signs now");
                    }
                    return Ok(());
                }
                Err(Refused::Token) => {}
                Err(Refused::Other(error)) => return Err(error),
            }
        }
        signing.activate(0);
        Err(ErrorKind::PermissionDenied.with("the region accepts no token that the app certificates sign"))
    }

    /// Makes a chat user; one that is there already is as good. `Unavailable` unless it is there in the end.
    pub(crate) async fn make_user(&self, username: &str) -> Result<()> {
        match self.try_make_user(username).await {
            Ok(()) => Ok(()),
            Err(Refused::Other(error)) => Err(error),
            Err(Refused::Token) => {
                self.look().await.map_err(out_of_order)?;
                self.try_make_user(username).await.map_err(|refused| match refused {
                    Refused::Other(error) => error,
                    Refused::Token => out_of_order(ErrorKind::PermissionDenied.into()),
                })
            }
        }
    }

    async fn try_make_user(&self, username: &str) -> Result<(), Refused> {
        let token = self.signer.current().app_token().map_err(Refused::Other)?.token;
        let user = NewUser { username: username.to_owned(), password: None };
        let registered = self.rest.register(&token, &[user]).await.map_err(refused)?;
        if registered.usernames.iter().any(|made| made == username)
            || self.rest.user_exists(&token, username).await.map_err(refused)?
        {
            return Ok(());
        }
        let reason = registered.failed.first().map(|(_, reason)| reason.as_str()).unwrap_or_default();
        tracing::error!(reason, "the region makes no user");
        Err(Refused::Other(unavailable()))
    }
}

fn refused(error: ClientError) -> Refused {
    match error {
        ClientError::Rest { status: 401, .. } => Refused::Token,
        error => {
            tracing::warn!(%error, "the region did not do what it was asked");
            Refused::Other(unavailable())
        }
    }
}

fn unavailable() -> Error {
    ErrorKind::Unavailable.with("the region cannot be asked now; try again")
}

/// A caller can do nothing about it but wait until the operator has.
fn out_of_order(error: Error) -> Error {
    if error.kind() == ErrorKind::PermissionDenied {
        tracing::error!("the region accepts no token that the app certificates sign");
    }
    unavailable()
}
