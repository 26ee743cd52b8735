//! Passwords: argon2id, off the async threads, a few at a time.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use bulkhead_model::{Entropy, ErrorKind, Result};
use tokio::sync::Semaphore;

use crate::PasswordSettings;

const SALT_BYTES: usize = 16;

pub(crate) struct Passwords {
    settings: PasswordSettings,
    entropy: Arc<dyn Entropy>,
    /// One for each call that waits or computes.
    places: Arc<Semaphore>,
    /// One for each hash that is computed.
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new(settings: PasswordSettings, entropy: Arc<dyn Entropy>) -> Self {
        let places = Arc::new(Semaphore::new(settings.waiting_max));
        let turns = Arc::new(Semaphore::new(settings.concurrent_max.max(1)));
        Self { settings, entropy, places, turns }
    }

    /// The PHC string of a password.
    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        let mut salt = [0u8; SALT_BYTES];
        self.entropy.fill(&mut salt);
        let argon = self.argon()?;
        self.off_thread(move || {
            let hash: PasswordHash =
                argon.hash_password_with_salt(password.as_bytes(), &salt).map_err(failed)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether a password is the hashed one. Without a hash (no such user, or one without a password) it costs the same and
    /// is never right.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool> {
        let argon = self.argon()?;
        self.off_thread(move || match hash.as_deref().map(PasswordHash::new) {
            Some(Ok(hash)) => Ok(argon.verify_password(password.as_bytes(), &hash).is_ok()),
            _ => {
                let _: PasswordHash =
                    argon.hash_password_with_salt(password.as_bytes(), &[0; SALT_BYTES]).map_err(failed)?;
                Ok(false)
            }
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| ErrorKind::Unavailable)?;
        let wait = Duration::from_millis(self.settings.wait_ms_max);
        let turn = tokio::time::timeout(wait, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| ErrorKind::Timeout)?.map_err(|_| ErrorKind::Unavailable)?;
        let done = tokio::task::spawn_blocking(move || {
            // Both are held until the work is done, even when the caller has gone.
            let _held = (place, turn);
            work()
        });
        done.await.map_err(|_| ErrorKind::Internal)?
    }

    fn argon(&self) -> Result<Argon2<'static>> {
        let params = Params::new(self.settings.memory_kib, self.settings.iterations, 1, None)
            .map_err(|_| ErrorKind::Internal.with("the password settings are out of bounds"))?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

fn failed(_: argon2::password_hash::Error) -> bulkhead_model::Error {
    ErrorKind::Internal.with("a password could not be hashed")
}
