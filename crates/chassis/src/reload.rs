//! Files that are looked at again while the process runs, so that certificates are renewed without a restart.

use std::time::Duration;

use crate::StartError;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Something that is read from files and used.
pub trait Source: Send + 'static {
    /// What the files hold.
    type Texts: PartialEq + Send;

    /// The counter of what became of new files, by outcome: `replaced` or `kept`.
    const COUNTER: &'static str;

    /// `Io` or `Usage`, with the file, when it cannot be read.
    fn read(&self) -> Result<Self::Texts, StartError>;

    /// Has the texts used from now on. `Usage` when they do not serve; nothing has changed then.
    fn replace(&mut self, texts: &Self::Texts) -> Result<(), StartError>;
}

/// Takes new files of a source into use while the process runs.
pub struct Reloader<S: Source> {
    source: S,
    /// What is in use.
    used: S::Texts,
    /// What was refused last, so that it is said once.
    refused: Option<S::Texts>,
    /// Why the files could not be read the last time.
    unreadable: Option<String>,
}

/// What a look at the files has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// They hold what is in use, or what was refused before.
    Unchanged,
    /// What comes from now on uses them.
    Replaced,
    /// They do not serve; what was in use stays. With the reason.
    Kept(String),
}

impl<S: Source> Reloader<S> {
    /// `used` is what the source was read from.
    pub fn new(source: S, used: S::Texts) -> Self {
        Self { source, used, refused: None, unreadable: None }
    }

    /// What is reloaded.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Looks every few seconds, for ever.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let Ok((reloader, look)) = tokio::task::spawn_blocking(move || {
                let look = self.look();
                (self, look)
            })
            .await
            else {
                return;
            };
            self = reloader;
            let outcome = match look {
                Look::Unchanged => continue,
                Look::Replaced => {
                    tracing::info!("a new certificate is in use");
                    "replaced"
                }
                Look::Kept(reason) => {
                    tracing::error!(reason, "a new certificate is not taken; the one before stays in use");
                    "kept"
                }
            };
            metrics::counter!(S::COUNTER, "outcome" => outcome).increment(1);
        }
    }

    /// Looks once. The contents count and not their times: a copy may keep them, and a mounted folder has its own.
    pub fn look(&mut self) -> Look {
        let texts = match self.source.read() {
            Ok(texts) => texts,
            Err(error) => {
                let reason = error.to_string();
                if self.unreadable.as_ref() == Some(&reason) {
                    return Look::Unchanged;
                }
                self.unreadable = Some(reason.clone());
                return Look::Kept(reason);
            }
        };
        self.unreadable = None;
        if texts == self.used || self.refused.as_ref() == Some(&texts) {
            return Look::Unchanged;
        }
        match self.source.replace(&texts) {
            Ok(()) => {
                self.used = texts;
                self.refused = None;
                Look::Replaced
            }
            Err(error) => {
                self.refused = Some(texts);
                Look::Kept(error.to_string())
            }
        }
    }
}
