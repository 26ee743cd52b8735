//! What `dev` made up and the region keeps only as hashes: passwords and client secrets.

use std::path::{Path, PathBuf};

use bulkhead_chassis::{StartError, read_private, write_private};
use bulkhead_model::Entropy;
use serde::{Deserialize, Serialize};

use crate::Failure;

const FILE: &str = "dev-secrets.json";

/// The secrets of one region, in a file with mode 0600 beside its data.
pub(super) struct Secrets {
    path: PathBuf,
    kept: Kept,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    apps: Vec<AppSecrets>,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct AppSecrets {
    pub(super) app_key: String,
    pub(super) client_secret: String,
    users: Vec<UserSecret>,
}

#[derive(Serialize, Deserialize)]
struct UserSecret {
    username: String,
    password: String,
}

/// Whether a start of `dev` has got as far as making an app in this folder.
pub(super) fn exist_in(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

impl Secrets {
    /// Opens the file, which need not exist yet.
    pub(super) fn open(folder: &Path) -> Result<Self, StartError> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self { path, kept: Kept::default() });
        }
        let kept = serde_json::from_slice(&read_private(&path)?).map_err(|_| {
            StartError::Usage(format!("{} is damaged; without it dev makes new passwords", path.display()))
        })?;
        Ok(Self { path, kept })
    }

    /// The keys of the apps that dev has made here, in the order in which it made them.
    pub(super) fn app_keys(&self) -> Vec<String> {
        self.kept.apps.iter().map(|app| app.app_key.clone()).collect()
    }

    /// The secrets of an app, empty at first.
    pub(super) fn app(&mut self, app_key: &str) -> &mut AppSecrets {
        let found = self.kept.apps.iter().position(|app| app.app_key == app_key);
        let index = found.unwrap_or_else(|| {
            self.kept.apps.push(AppSecrets { app_key: app_key.to_owned(), ..AppSecrets::default() });
            self.kept.apps.len() - 1
        });
        &mut self.kept.apps[index]
    }

    /// Writes the file.
    pub(super) fn save(&self) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(&self.kept).expect("strings and lists are always JSON");
        Ok(write_private(&self.path, &text)?)
    }
}

impl AppSecrets {
    /// The user's password and whether it was made just now.
    pub(super) fn password(&mut self, username: &str, entropy: &dyn Entropy) -> (String, bool) {
        if let Some(user) = self.users.iter().find(|user| user.username == username) {
            return (user.password.clone(), false);
        }
        let mut random = [0u8; 10];
        entropy.fill(&mut random);
        let password = hex::encode(random);
        self.users.push(UserSecret { username: username.to_owned(), password: password.clone() });
        (password, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::SeededEntropy;

    #[test]
    fn passwords_are_random_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::new(3);
        let mut secrets = Secrets::open(folder.path()).unwrap();
        let (alice, is_new) = secrets.app("demo#chat").password("alice", &entropy);
        assert!(is_new);
        let (bob, _) = secrets.app("demo#chat").password("bob", &entropy);
        assert_ne!(alice, bob);
        secrets.app("demo#chat").client_secret = "secret".to_owned();
        secrets.save().unwrap();

        let mut again = Secrets::open(folder.path()).unwrap();
        assert_eq!(again.app_keys(), ["demo#chat"]);
        assert_eq!(again.app("demo#chat").password("alice", &entropy), (alice, false));
        assert_eq!(again.app("demo#chat").client_secret, "secret");
    }
}
