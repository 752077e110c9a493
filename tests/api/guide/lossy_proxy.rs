//! A proxy between a client and the server. It records every request, and can drop a response or give its
//! own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The action of the proxy on a request.
#[derive(Clone, Debug)]
pub enum Fate {
    /// The server answers, but the answer is lost.
    AnswerLost,
    /// The proxy answers itself, and the server does not receive the request.
    Answered(String),
}

impl Fate {
    /// Creates a response of the proxy with this head (without the length) and body.
    pub fn answered(head: &str, body: &str) -> Self {
        let length = body.len();
        Self::Answered(format!(
            "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))
    }
}

/// A request that passed: method, path, and status of the response.
pub type Passed = (String, String, u16);

#[derive(Clone)]
pub struct LossyProxy {
    pub base: String,
    fates: Arc<Mutex<VecDeque<Fate>>>,
    passed: watch::Sender<Vec<Passed>>,
}

impl LossyProxy {
    /// Starts a proxy before the server at `base`.
    pub async fn before(base: &str) -> Self {
        let server = base.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let proxy = Self { base: own, fates: Arc::default(), passed: watch::Sender::default() };
        let all = proxy.clone();
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (one, server) = (all.clone(), server.clone());
                actix_web::rt::spawn(async move { one.carry(stream, &server).await });
            }
        });
        proxy
    }

    /// Sets what happens to the next refreshes. The server answers all other requests.
    pub fn next_refreshes(&self, fates: impl IntoIterator<Item = Fate>) {
        self.fates.lock().unwrap().extend(fates);
    }

    /// Counts the requests for this path.
    pub fn count(&self, path: &str) -> usize {
        self.passed.borrow().iter().filter(|(_, asked, _)| asked == path).count()
    }

    /// Returns the statuses of the responses for this path.
    pub fn statuses(&self, path: &str) -> Vec<u16> {
        let passed = self.passed.borrow();
        passed.iter().filter(|(_, asked, _)| asked == path).map(|(_, _, status)| *status).collect()
    }

    /// Waits until a response had this status.
    pub async fn seen(&self, status: u16) {
        let mut passed = self.passed.subscribe();
        let seen = passed.wait_for(|all| all.iter().any(|(_, _, found)| *found == status));
        let seen = tokio::time::timeout(std::time::Duration::from_secs(20), seen).await;
        drop(seen.expect("it is answered in time").unwrap());
    }

    /// Handles a connection with one request.
    async fn carry(&self, mut client: TcpStream, server: &str) {
        let Some(request) = read_request(&mut client).await else { return };
        let mut words = request.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let is_refresh = path == "/api/v1/auth/refresh";
        let fate = if is_refresh { self.fates.lock().unwrap().pop_front() } else { None };
        let answer = match &fate {
            Some(Fate::Answered(text)) => text.as_bytes().to_vec(),
            _ => asked(server, &request).await,
        };
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        self.passed.send_modify(|all| all.push((method, path, status)));
        if !matches!(fate, Some(Fate::AnswerLost)) {
            let _ = client.write_all(&answer).await;
        }
        let _ = client.shutdown().await;
    }
}

/// Reads a whole request, and changes it to ask for the connection to be closed.
async fn read_request(client: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = std::str::from_utf8(&bytes).ok()?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().unwrap());
        if body.len() == length {
            let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
            let head: Vec<&str> = kept.collect();
            return Some(format!("{}\r\nconnection: close\r\n\r\n{body}", head.join("\r\n")));
        }
    }
}

async fn asked(server: &str, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}
