//! A persistent connection with as little work as possible, because the client runs on the cores that it
//! measures.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Connection(TcpStream);

impl Connection {
    pub async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server");
        stream.set_nodelay(true).expect("no delay");
        Self(stream)
    }

    /// Sends a request. Returns the status and body of the response.
    pub async fn ask(&mut self, method: &str, path: &str, token: &str, body: &str) -> (u16, Vec<u8>) {
        self.send(&request(method, path, token, body)).await
    }

    /// Sends an encoded request. Returns the status and body of the response.
    pub async fn send(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        self.0.write_all(request).await.expect("a request");
        let mut answer = Vec::with_capacity(2048);
        let (head_end, length) = loop {
            assert!(self.0.read_buf(&mut answer).await.expect("an answer") > 0, "the server hung up");
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                break (end + 4, content_length(&answer[..end]));
            }
        };
        while answer.len() < head_end + length {
            assert!(self.0.read_buf(&mut answer).await.expect("a body") > 0, "the server hung up");
        }
        let status = std::str::from_utf8(&answer[9..12]).expect("a status").parse().expect("a status");
        (status, answer.split_off(head_end))
    }

    /// Waits until the server closes the connection.
    pub async fn closed(mut self) {
        let mut rest = [0; 64];
        while self.0.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }

    /// Sends a request that must not be refused. Returns the response's JSON.
    pub async fn ask_json(&mut self, method: &str, path: &str, token: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, token, &body.to_string()).await;
        assert!(status < 300, "{status} {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    pub async fn login(&mut self, password: &str) -> Value {
        self.ask_json("POST", "/api/v1/auth/login", "", &json!({ "username": "admin", "password": password }))
            .await
    }
}

pub fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let authorization =
        if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let content = if body.is_empty() {
        String::new()
    } else {
        format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
    };
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{authorization}{content}\r\n{body}").into_bytes()
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length: ";
    let is_name = |window: &[u8]| window.eq_ignore_ascii_case(NAME);
    let Some(at) = head.windows(NAME.len()).position(is_name) else { return 0 };
    let digits = head[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
