//! The time in which is measured, and who used the machine's CPU in it.

use std::time::{Duration, Instant};

use super::process;
use super::report::Report;
use super::server::Server;
use crate::Failure;

/// The counters at one instant.
#[derive(Clone, Copy)]
struct Counters {
    at: Instant,
    server: Duration,
    generator: Duration,
    machine: Duration,
}

/// A window that is open.
pub(super) struct Window(Counters);

/// A window that is closed.
pub(super) struct Measured {
    pub(super) elapsed: Duration,
    pub(super) server_cpu: Duration,
    generator_cpu: Duration,
    other_cpu: Duration,
}

impl Window {
    pub(super) fn open(server: &Server) -> Result<Self, Failure> {
        Ok(Self(Counters::read(server)?))
    }

    pub(super) fn close(self, server: &Server) -> Result<Measured, Failure> {
        let (before, after) = (self.0, Counters::read(server)?);
        let server_cpu = after.server.saturating_sub(before.server);
        let generator_cpu = after.generator.saturating_sub(before.generator);
        let machine = after.machine.saturating_sub(before.machine);
        Ok(Measured {
            elapsed: after.at.duration_since(before.at),
            server_cpu,
            generator_cpu,
            other_cpu: machine.saturating_sub(server_cpu + generator_cpu),
        })
    }
}

impl Measured {
    #[cfg(test)]
    pub(super) fn of(elapsed: Duration, server_cpu: Duration) -> Self {
        Self { elapsed, server_cpu, generator_cpu: Duration::ZERO, other_cpu: Duration::ZERO }
    }

    /// What everybody used. Figures are only worth something when `other_cpu_s` is small.
    pub(super) fn describe(&self, report: &mut Report) {
        report.number("measured_s", self.elapsed.as_secs_f64());
        report.number("server_cpu_s", self.server_cpu.as_secs_f64());
        report.number("generator_cpu_s", self.generator_cpu.as_secs_f64());
        report.number("other_cpu_s", self.other_cpu.as_secs_f64());
    }
}

impl Counters {
    fn read(server: &Server) -> Result<Self, Failure> {
        Ok(Self {
            server: server.cpu_time()?,
            generator: process::cpu_time(&[std::process::id()])?,
            machine: process::machine_time()?,
            at: Instant::now(),
        })
    }
}
