//! Walks through the guide in one shell. Runs every command in order, exactly as printed, and compares each
//! response with the one printed below it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use chrono::{DateTime, TimeDelta};
use doorward_test::{PASSWORD, PUBLIC_URL, World};
use serde_json::Value;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{blocks, guide};

/// The reader's shell.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

const END: &str = "-- the end of it --";

impl Shell {
    fn open() -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-eu").env("no_proxy", "*").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Runs commands while the server keeps working, and returns their output.
    async fn run(mut self, commands: String) -> (Self, String) {
        let ran = spawn_blocking(move || {
            let printed = self.exchange(&commands);
            (self, printed)
        });
        ran.await.unwrap()
    }

    fn exchange(&mut self, commands: &str) -> String {
        // The commands must not read the input that follows them.
        write!(self.input, "{{ {commands}\n}} </dev/null\necho '{END}'\n").unwrap();
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it failed: {commands}");
            match line.strip_suffix(&format!("{END}\n")) {
                Some(last) => return printed + last,
                None => printed += &line.replace("\r\n", "\n"),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns whether a response matches the printed one, in which `…` stands for any text. IDs and times may
/// differ.
fn is_as_printed(printed: &Value, found: &Value) -> bool {
    match (printed, found) {
        (Value::Object(printed), Value::Object(found)) => {
            printed.keys().eq(found.keys())
                && printed.values().zip(found.values()).all(|(printed, found)| is_as_printed(printed, found))
        }
        (Value::Array(printed), Value::Array(found)) => {
            printed.len() == found.len()
                && printed.iter().zip(found).all(|(printed, found)| is_as_printed(printed, found))
        }
        (Value::String(printed), Value::String(found)) => is_text_as_printed(printed, found),
        _ => printed == found,
    }
}

fn is_text_as_printed(printed: &str, found: &str) -> bool {
    let is_id = |text: &str| Uuid::try_parse(text.trim_start_matches("urn:uuid:")).is_ok();
    let is_time = |text: &str| DateTime::parse_from_rfc3339(text).is_ok();
    let printed = printed.replace("http://127.0.0.1:8080", PUBLIC_URL);
    match printed.strip_suffix('…') {
        Some(beginning) => found.starts_with(beginning) && found.len() > beginning.len(),
        None => printed == found || is_id(&printed) && is_id(found) || is_time(&printed) && is_time(found),
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Returns the status line, the content type and the challenges, and then the body.
fn parts(answer: &str) -> (Vec<String>, Value) {
    let (head, body) = answer.split_once("\n\n").unwrap();
    let shown = |line: &&str| {
        ["HTTP/", "content-type:", "www-authenticate:"].iter().any(|start| line.starts_with(start))
    };
    let mut head: Vec<String> = head.lines().filter(shown).map(str::to_owned).collect();
    head.sort();
    (head, json(body))
}

fn compare(kind: &str, printed: &str, found: &str) {
    let same = match kind {
        "json" => is_as_printed(&json(printed), &json(found)),
        "http" => {
            let (printed, found) = (parts(printed), parts(found));
            printed.0 == found.0 && is_as_printed(&printed.1, &found.1)
        }
        _ => printed == found,
    };
    assert!(same, "the guide prints\n{printed}\nand the server answers\n{found}");
}

#[actix_web::test]
async fn guide_commands_print_the_output_shown_below_them() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut shell = Shell::open();
    let (mut last, mut refresh, mut compared) = (String::new(), String::new(), 0);
    for (kind, text) in blocks(&guide()) {
        match kind.as_str() {
            "sh" if text.starts_with("#!") => {}
            "sh" => {
                if text.contains("nightly backup") && text.contains("-s -i") {
                    // The guide says "An hour after the sign-in."
                    world.advance(TimeDelta::hours(1));
                    assert!(!refresh.is_empty(), "how to refresh stands before it");
                    (shell, _) = shell.run(refresh.clone()).await;
                }
                if text.contains("/auth/refresh") {
                    refresh = text.clone();
                }
                (shell, last) = shell.run(text.replace("http://127.0.0.1:8080", &world.base)).await;
            }
            "json" | "http" | "text" => {
                compare(&kind, &text, &last);
                compared += 1;
            }
            _ => {}
        }
    }
    assert!(guide().contains(&format!("PASSWORD='{PASSWORD}'")));
    assert_eq!(compared, 11, "a block of the guide has no command, or a command lost its block");
    // No block shows this: both ways of sending a personal token were accepted.
    let uses = "SELECT count(*) FROM personal_tokens WHERE last_used_at IS NOT NULL";
    world.flush().await;
    assert_eq!(world.count(uses), 1);
}

#[test]
fn different_output_is_detected() {
    let printed = json(r#"{"a":"eyJ…","id":"0192d7a0-0000-7000-8000-000000000001","n":300}"#);
    let good = json(r#"{"a":"eyJabc","id":"0192d7a0-0000-7000-8000-00000000000f","n":300}"#);
    assert!(is_as_printed(&printed, &good));
    for bad in [
        r#"{"a":"abc","id":"0192d7a0-0000-7000-8000-00000000000f","n":300}"#,
        r#"{"a":"eyJabc","id":"nonsense","n":300}"#,
        r#"{"a":"eyJabc","id":"0192d7a0-0000-7000-8000-00000000000f","n":301}"#,
        r#"{"a":"eyJabc","id":"0192d7a0-0000-7000-8000-00000000000f","n":300,"more":1}"#,
    ] {
        assert!(!is_as_printed(&printed, &json(bad)), "{bad}");
    }
}
