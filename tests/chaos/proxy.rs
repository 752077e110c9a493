//! A proxy in front of PostgreSQL that parses its protocol and disturbs it. It cuts connections just before
//! or after a commit, holds, delays and refuses them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_test::machine::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// The way in which the proxy handles connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Pass,
    /// Delays every chunk in either direction.
    Delay(Duration),
    /// Accepts new connections, but forwards nothing until this ends. Held data passes afterwards, as TCP
    /// would retransmit it.
    Hold,
    /// Cuts open connections and refuses new ones, as if nothing were there.
    Refuse,
    /// The test is over.
    End,
}

/// The point at which a commit is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never receives it.
    Before,
    /// The server has done it, but no one learns of it.
    After,
}

/// A cut for the next commit of a transaction, or of a single statement, that contains these words.
#[derive(Clone, Copy, Debug)]
struct Trap {
    cut: Cut,
    words: &'static str,
}

#[derive(Debug)]
struct Shared {
    trap: Mutex<Option<Trap>>,
    way: watch::Sender<Behaviour>,
    /// Incremented to cut all open connections.
    cuts: watch::Sender<u64>,
    upstream: SocketAddr,
}

/// The proxy, which runs on a thread.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy for the PostgreSQL at this port of this machine.
    pub fn before(upstream: u16) -> Self {
        let port = free_port();
        let shared = Arc::new(Shared {
            trap: Mutex::default(),
            way: watch::Sender::new(Behaviour::Pass),
            cuts: watch::Sender::new(0),
            upstream: ([127, 0, 0, 1], upstream).into(),
        });
        let proxied = Arc::clone(&shared);
        let run = move || actix_web::rt::System::new().block_on(listen(port, proxied));
        Self { port, shared, thread: Some(std::thread::spawn(run)) }
    }

    pub fn set(&self, way: Behaviour) {
        self.shared.way.send_replace(way);
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts the next commit of a transaction or statement that contains these words.
    pub fn trap(&self, cut: Cut, words: &'static str) {
        *self.shared.trap.lock().unwrap() = Some(Trap { cut, words });
    }

    /// Returns whether the trap was triggered.
    pub fn has_sprung(&self) -> bool {
        self.shared.trap.lock().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Behaviour::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts connections. Nothing listens while the proxy refuses them.
async fn listen(port: u16, shared: Arc<Shared>) {
    let mut way = shared.way.subscribe();
    loop {
        let now = *way.borrow_and_update();
        match now {
            Behaviour::End => return,
            Behaviour::Refuse => shared.cuts.send_modify(|cuts| *cuts += 1),
            _ => {
                let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the proxy's port");
                while !matches!(*way.borrow_and_update(), Behaviour::Refuse | Behaviour::End) {
                    tokio::select! {
                        accepted = listener.accept() => {
                            let (client, _) = accepted.expect("a connection");
                            actix_web::rt::spawn(attend(client, Arc::clone(&shared)));
                        }
                        _ = way.changed() => {}
                    }
                }
                continue;
            }
        }
        let _ = way.changed().await;
    }
}

/// Serves a connection until it ends.
async fn attend(client: TcpStream, shared: Arc<Shared>) {
    let upstream = shared.upstream;
    let (mut way, mut cuts) = (shared.way.subscribe(), shared.cuts.subscribe());
    pass(&mut way).await;
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let talk = Rc::new(ConnectionState::default());
    let there = forward(from_client, to_server, Rc::clone(&talk), Side::Client, &shared);
    let back = forward(from_server, to_client, Rc::clone(&talk), Side::Server, &shared);
    tokio::select! {
        () = there => {}
        () = back => {}
        () = talk.cut.notified() => {}
        _ = cuts.changed() => {}
    }
}

/// Delays, and waits while nothing may pass.
async fn pass(way: &mut watch::Receiver<Behaviour>) {
    let now = *way.borrow_and_update();
    if let Behaviour::Delay(by) = now {
        tokio::time::sleep(by).await;
    }
    while *way.borrow_and_update() == Behaviour::Hold {
        let _ = way.changed().await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    talk: Rc<ConnectionState>,
    side: Side,
    shared: &Arc<Shared>,
) {
    let mut way = shared.way.subscribe();
    let mut frames = Frames { bytes: Vec::new(), is_begun: side == Side::Server };
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        pass(&mut way).await;
        frames.bytes.extend_from_slice(&buffer[..length]);
        while let Some(frame) = frames.next() {
            let goes_on = match side {
                Side::Client => talk.hear_client(&frame, shared),
                Side::Server => talk.hear_server(&frame),
            };
            match goes_on {
                Verdict::Forward if to.write_all(&frame).await.is_err() => return,
                Verdict::Forward | Verdict::Swallow => {}
                Verdict::Cut => return talk.cut.notify_one(),
            }
        }
    }
}

/// Splits the stream into the protocol's messages. A message has a kind, and then a length that includes its
/// own four bytes. The client's first message has no kind.
struct Frames {
    bytes: Vec<u8>,
    is_begun: bool,
}

impl Frames {
    fn next(&mut self) -> Option<Vec<u8>> {
        let head = usize::from(self.is_begun);
        let length = self.bytes.get(head..head + 4)?;
        let whole = head + u32::from_be_bytes(length.try_into().ok()?) as usize;
        if self.bytes.len() < whole {
            return None;
        }
        self.is_begun = true;
        let rest = self.bytes.split_off(whole);
        Some(std::mem::replace(&mut self.bytes, rest))
    }
}

enum Verdict {
    Forward,
    Swallow,
    Cut,
}

/// The state of a connection's conversation.
#[derive(Default)]
struct ConnectionState {
    state: RefCell<State>,
    cut: Notify,
}

#[derive(Default)]
struct State {
    /// The prepared statements by name.
    prepared: HashMap<Vec<u8>, String>,
    /// The statements of the open transaction.
    ran: String,
    in_transaction: bool,
    /// True if the server executes a commit whose answer is cut off.
    is_trapped: bool,
}

impl ConnectionState {
    fn hear_client(&self, frame: &[u8], shared: &Shared) -> Verdict {
        let mut state = self.state.borrow_mut();
        let Some(statement) = state.statement_of(frame) else { return Verdict::Forward };
        let commits = statement.trim_start().to_ascii_uppercase().starts_with("COMMIT");
        if !commits {
            state.ran.push_str(&statement);
        }
        if state.in_transaction && !commits {
            return Verdict::Forward;
        }
        let mut trap = shared.trap.lock().unwrap();
        let Some(sprung) = trap.filter(|trap| state.ran.contains(trap.words)) else {
            return Verdict::Forward;
        };
        *trap = None;
        if sprung.cut == Cut::Before {
            return Verdict::Cut;
        }
        state.is_trapped = true;
        Verdict::Forward
    }

    fn hear_server(&self, frame: &[u8]) -> Verdict {
        let mut state = self.state.borrow_mut();
        let is_over = frame[0] == b'Z';
        if is_over {
            state.in_transaction = frame.last() != Some(&b'I');
            if !state.in_transaction {
                state.ran.clear();
            }
        }
        match (state.is_trapped, is_over) {
            (false, _) => Verdict::Forward,
            (true, false) => Verdict::Swallow,
            (true, true) => Verdict::Cut,
        }
    }
}

impl State {
    /// Returns the statement that this message executes: a simple query, or a prepared statement that is
    /// bound now.
    fn statement_of(&mut self, frame: &[u8]) -> Option<String> {
        let mut texts = frame.get(5..)?.split(|byte| *byte == 0);
        match frame[0] {
            b'Q' => Some(String::from_utf8_lossy(texts.next()?).into_owned()),
            b'P' => {
                let (name, text) = (texts.next()?.to_vec(), texts.next()?);
                self.prepared.insert(name, String::from_utf8_lossy(text).into_owned());
                None
            }
            b'B' => self.prepared.get(texts.nth(1)?).cloned(),
            _ => None,
        }
    }
}
