//! Sends bytes on a connection that no HTTP client would send.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Connection(TcpStream);

/// The bytes that the server sent.
#[derive(Debug, Default)]
pub struct Bytes {
    bytes: Vec<u8>,
    /// True if the server closed the connection.
    pub is_closed: bool,
}

impl Bytes {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        let statuses = text.split("HTTP/1.").skip(1).filter_map(|rest| rest.get(2..5)?.parse().ok());
        statuses.filter(|status| *status != 100).collect()
    }

    /// Returns the status of the first response other than `100 Continue`, or 0 if there was none.
    pub fn status(&self) -> u16 {
        self.statuses().first().copied().unwrap_or(0)
    }

    /// Returns the status of the last response.
    pub fn last_status(&self) -> u16 {
        self.statuses().last().copied().unwrap_or(0)
    }
}

/// Sends bytes, and reads until the server closes the connection or is silent for 10 s.
pub async fn exchange(host: &str, bytes: &[u8]) -> Bytes {
    let Connection(stream) = Connection::open(host).await;
    let (mut reader, mut writer) = stream.into_split();
    // A server that refuses early reads no more, but its response must still be read.
    let write = async {
        let _ = writer.write_all(bytes).await;
    };
    let read = async {
        let mut found = Bytes::default();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match tokio::time::timeout(Duration::from_secs(10), reader.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => {
                    found.is_closed = true;
                    return found;
                }
                Ok(Ok(length)) => found.bytes.extend_from_slice(&buffer[..length]),
                Err(_) => return found,
            }
        }
    };
    tokio::join!(write, read).1
}

impl Connection {
    pub async fn open(host: &str) -> Self {
        Self(TcpStream::connect(host).await.expect("a connection"))
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("a connection");
    }

    /// Sends the last bytes, and reads until the server closes the connection.
    pub async fn finish(mut self, bytes: &[u8]) -> Bytes {
        self.send(bytes).await;
        let mut found = Bytes { is_closed: true, ..Bytes::default() };
        self.0.read_to_end(&mut found.bytes).await.expect("an answer");
        found
    }

    /// Sends these bytes repeatedly and slowly, until the server closes the connection or the time is over.
    pub async fn dawdle(self, bytes: &[u8], time: Duration) -> Bytes {
        let (mut reader, mut writer) = self.0.into_split();
        let started = Instant::now();
        let mut found = Bytes::default();
        let mut buffer = vec![0; 16 * 1024];
        while started.elapsed() < time && !found.is_closed {
            let _ = writer.write_all(bytes).await;
            match tokio::time::timeout(Duration::from_millis(200), reader.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => found.is_closed = true,
                Ok(Ok(length)) => found.bytes.extend_from_slice(&buffer[..length]),
                Err(_) => {}
            }
        }
        found
    }
}
