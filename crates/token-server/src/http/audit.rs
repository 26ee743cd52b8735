//! One line in the log for each call: who, what, about whom, and how it ended.

use super::caller::Caller;
use super::error::ApiError;

/// The target of the lines, for a filter that sends them elsewhere.
const TARGET: &str = "bulkhead_token_server::audit";

/// Writes the line. `subject` stands for the user, if the call is about one; ids and tokens are never given.
pub(super) fn write<T>(caller: &Caller, action: &'static str, subject: &str, outcome: &Result<T, ApiError>) {
    let result = match outcome {
        Ok(_) => "ok",
        Err(error) => error.word,
    };
    tracing::info!(target: TARGET, caller = %caller.name, action, subject, result, "call");
    metrics::counter!("bulkhead_token_server_calls_total", "action" => action, "result" => result)
        .increment(1);
}
