//! Keeps burdensome connections open: some rest after a request, and some never complete one.

use std::time::Duration;

use actix_web::rt::spawn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Connection;

/// The pause between two bytes of a slow connection.
const PAUSE: Duration = Duration::from_millis(500);

/// Opens all connections, says so, and keeps the same number open until it is killed. Connections that the
/// server closes are opened again.
pub async fn hold(address: &str, idle: usize, slow: usize) {
    for _ in 0..idle {
        let (address, resting) = (address.to_owned(), rest(address).await);
        spawn(async move {
            resting.closed().await;
            loop {
                rest(&address).await.closed().await;
            }
        });
    }
    for number in 0..slow {
        let address = address.to_owned();
        spawn(async move {
            // The slow connections do not start at the same moment.
            tokio::time::sleep(PAUSE.mul_f64(number as f64 / slow as f64)).await;
            loop {
                dribble(&address, number % 2 == 0).await;
            }
        });
    }
    println!("held");
    std::future::pending().await
}

async fn rest(address: &str) -> Connection {
    let mut connection = Connection::open(address).await;
    assert_eq!(connection.ask("GET", "/healthz", "", "").await.0, 200);
    connection
}

/// Sends a head or a body, one byte at a time, until the server closes the connection.
async fn dribble(address: &str, has_body: bool) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    if has_body {
        let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n";
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
    } else if stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await.is_err() {
        return;
    }
    let mut answer = [0; 1024];
    loop {
        match tokio::time::timeout(PAUSE, stream.read(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => {}
            Err(_) if stream.write_all(b"a").await.is_err() => return,
            Err(_) => {}
        }
    }
}
