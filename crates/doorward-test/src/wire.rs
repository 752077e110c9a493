//! A persistent connection with as little work as possible, because the client runs on the cores that it
//! measures.

use std::io::{Error, ErrorKind, Result};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Connection(TcpStream);

pub struct Answer {
    pub status: u16,
    whole: Vec<u8>,
    head_end: usize,
}

impl Answer {
    pub fn body(&self) -> &[u8] {
        &self.whole[self.head_end..]
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.whole[..self.head_end]);
        let is_it =
            |line: &&str| line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name));
        head.lines().skip(1).find(is_it).map(|line| line[name.len() + 1..].trim().to_owned())
    }
}

impl Connection {
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    pub async fn ask(&mut self, method: &str, path: &str, token: &str, body: &str) -> Result<Answer> {
        let authorization =
            if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\n{authorization}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).await?;
        let mut whole = Vec::with_capacity(2048);
        let head_end = loop {
            self.read(&mut whole).await?;
            if let Some(end) = whole.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let status = std::str::from_utf8(&whole[9..12]).ok().and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
        let mut answer = Answer { status, whole, head_end };
        let length = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while answer.body().len() < length {
            self.read(&mut answer.whole).await?;
        }
        Ok(answer)
    }

    async fn read(&mut self, whole: &mut Vec<u8>) -> Result<()> {
        match self.0.read_buf(whole).await? {
            0 => Err(Error::from(ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        }
    }
}
