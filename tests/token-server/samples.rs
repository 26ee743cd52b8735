//! The samples of `docs/samples/token-server`, each where its language is on the machine.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use bulkhead_testkit::Composition;

use crate::server::TokenServer;
use crate::tokens::log_in;
use crate::wire::Door;

/// The program, how it is asked for its version, and the arguments before the user.
const SAMPLES: [(&str, &str, &[&str]); 5] = [
    ("curl", "--version", &["sample.sh"]),
    ("node", "--version", &["sample.mjs"]),
    ("python3", "--version", &["sample.py"]),
    ("go", "version", &["run", "sample.go"]),
    ("java", "-version", &["Sample.java"]),
];

fn is_there(program: &str, question: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(question).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn every_sample_gets_a_token_that_logs_in() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let server = TokenServer::start(&region).await?;
        let Door::Tcp(address) = server.door.clone() else { unreachable!("a loopback address") };
        for (program, question, arguments) in SAMPLES {
            if !is_there(program, question) {
                println!("{program} is not on this machine: its sample does not run");
                continue;
            }
            let user = format!("customer of {program}");
            let printed = run(program, arguments, &user, &format!("http://{address}"))?;
            let (username, token) = printed.trim().split_once(' ').context("no two words")?;
            ensure!(
                server.token_of(&user).await?.username == username,
                "{program}: another user: {username}"
            );
            log_in(&region, username, token).await.with_context(|| program.to_owned())?;
        }
        Ok(())
    });
}

fn run(program: &str, arguments: &[&str], user: &str, server: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/samples/token-server");
    // The one for curl is a script of the shell.
    let program = if program == "curl" { "sh" } else { program };
    let output = Command::new(program)
        .current_dir(folder)
        .args(arguments)
        .arg(user)
        .env("TOKEN_SERVER", server)
        // What a sample is built into is not the repository's.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
