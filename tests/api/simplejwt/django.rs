//! Runs a Django site with simplejwt, and the script that compares it with a doorward server.
//! `scripts/python-venv` prints the Python that they need.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};

use actix_web::{App, HttpResponse, HttpServer, web};
use chrono::TimeDelta;
use doorward::state::State;
use doorward_test::{PASSWORD, Time, World};

/// Creates a command of the Python that has the tests' requirements. A test without it fails and is never
/// skipped.
fn python(script: &str) -> Command {
    let python = std::env::var("DOORWARD_TEST_PYTHON").unwrap_or_else(|_| {
        panic!(
            "DOORWARD_TEST_PYTHON is not set: run `make test`, or set it to what scripts/python-venv prints"
        )
    });
    let mut command = Command::new(python);
    command.arg(format!("{}/tests/simplejwt/{script}", env!("CARGO_MANIFEST_DIR")));
    // Requests stay on the loopback interface, and no files are written beside the scripts.
    command.env("no_proxy", "*").env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A running site. It stops when this is dropped.
pub struct Django {
    pub base: String,
    child: Child,
    _lives_while_open: ChildStdin,
}

impl Django {
    /// Starts a site with these settings of simplejwt.
    pub fn start(settings: &[&str]) -> Self {
        let mut command = python("django_site.py");
        command.args(settings).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python");
        let stdin = child.stdin.take().expect("its standard input");
        let mut base = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut base).expect("its address");
        assert!(base.starts_with("http://"), "Django did not start: what it said stands above");
        Self { base: base.trim().to_owned(), child, _lives_while_open: stdin }
    }
}

impl Drop for Django {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends the same requests to both servers. Panics with every difference.
pub async fn compare(mode: &str, django: &Django, world: &World) {
    let mut command = python("compare.py");
    let control = control(world);
    command.args([mode, &django.base, &world.base, &control, PASSWORD]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("Python");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "\n{said}{complained}");
}

/// Starts the server that lets the script move time, and returns its URL.
fn control(world: &World) -> String {
    let hands = web::Data::new((world.time(), world.state.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = HttpServer::new(move || {
        App::new().app_data(hands.clone()).route("/advance/{seconds}", web::post().to(advance))
    });
    let server = server.workers(1).disable_signals().listen(listener).expect("a server").run();
    actix_web::rt::spawn(server);
    format!("http://{address}")
}

/// Writes the recorded last uses first, as a server does every few seconds.
async fn advance(seconds: web::Path<i64>, hands: web::Data<(Time, web::Data<State>)>) -> HttpResponse {
    let (time, state) = hands.get_ref();
    state.recorder.last_use.flush(&state.core.database).await.expect("the database");
    time.advance(TimeDelta::seconds(*seconds));
    HttpResponse::NoContent().finish()
}
