//! What a chat prints: one line for everything.

use std::io::Write;

use bulkhead_client::Message;

/// Where the lines go.
pub(super) struct Screen {
    /// Whether the line that was typed stands on the screen and is to be replaced.
    replaces_typed: bool,
}

impl Screen {
    pub(super) fn new(is_terminal: bool) -> Self {
        Self { replaces_typed: is_terminal }
    }

    /// A message of the conversation.
    pub(super) fn message(&self, message: &Message) {
        self.line(&message_line(&message.from, message.timestamp_ms, &content(message)));
    }

    /// An own text that the server has acknowledged.
    pub(super) fn sent(&self, user: &str, timestamp_ms: u64, text: &str) {
        self.line(&message_line(user, timestamp_ms, text));
    }

    /// Takes back the line that was just typed; the acknowledged text follows in its place.
    pub(super) fn untype(&self) {
        if self.replaces_typed {
            // One line up, erase it.
            print!("\x1b[1A\x1b[2K");
            let _ = std::io::stdout().flush();
        }
    }

    /// Anything that is no message.
    pub(super) fn note(&self, text: &str) {
        self.line(&format!("-- {}", printable(text)));
    }

    /// A receipt for an own text.
    pub(super) fn receipt(&self, marks: &str, word: &str, text: &str) {
        const EXCERPT_CHARS: usize = 30;
        let text = printable(text);
        let excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
        let ellipsis = if excerpt.len() < text.len() { "…" } else { "" };
        self.line(&format!("   {marks} {word}: {excerpt}{ellipsis}"));
    }

    fn line(&self, text: &str) {
        // A reader that went away is noticed by the end of the input.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

fn message_line(from: &str, timestamp_ms: u64, text: &str) -> String {
    let minutes = timestamp_ms / 60_000;
    format!("[{:02}:{:02}] {}: {}", minutes / 60 % 24, minutes % 60, printable(from), printable(text))
}

/// The text, or what stands for a message that is none.
pub(super) fn content(message: &Message) -> String {
    match message.text() {
        Some(text) => text.to_owned(),
        None => {
            let kind =
                message.body.contents.first().map_or("empty", |content| content.r#type().as_str_name());
            format!("({} message)", kind.to_ascii_lowercase())
        }
    }
}

/// What others write must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_time_of_day_in_utc() {
        assert_eq!(message_line("bob", 1_800_000_000_000, "hi"), "[08:00] bob: hi");
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
    }
}
