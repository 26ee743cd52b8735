use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs its arguments as a command that is refused a write beyond the limit of file sizes, rather than killed for it.
const IGNORE_FILE_SIZE_SIGNAL: &str = r#"trap "" XFSZ; exec "$0" "$@""#;

/// A child process that is killed when the test lets go of it. What it prints goes to a log file beside its data.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `binary` with `arguments`; standard output and error are appended to `log`.
    pub fn start(binary: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        Self::start_logging(binary, arguments, log, "debug")
    }

    /// The same with a filter for what it logs (`info`): to log every step takes longer than many a step.
    pub fn start_logging(binary: &Path, arguments: &[String], log: &Path, filter: &str) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = Command::new("sh")
            .args(["-c", IGNORE_FILE_SIZE_SIGNAL])
            .arg(binary)
            .args(arguments)
            .env("RUST_LOG", filter)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// SIGKILL: nothing of it gets a chance to finish.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then waits for the end.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait(limit)
    }

    /// Sends a signal by its name (`TERM`, `STOP`, `CONT`).
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status()?;
        if !status.success() {
            bail!("kill -{name} {} failed", self.id());
        }
        Ok(())
    }

    /// From now on no file may grow beyond this size, in bytes, or be written beyond it: for this process the disk is full.
    /// Until the process is started again.
    pub fn limit_file_size(&self, bytes: u64) -> Result<()> {
        let (process, limit) = (format!("--pid={}", self.id()), format!("--fsize={bytes}"));
        let status =
            Command::new("prlimit").args([process, limit]).status().context("prlimit (util-linux)")?;
        if !status.success() {
            bail!("no limit for process {}: {status}", self.id());
        }
        Ok(())
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                bail!("process {} still runs after {limit:?}", self.id());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
