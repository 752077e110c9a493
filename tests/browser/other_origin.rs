//! A page of another site, with another origin and without doorward's policy.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every request with this page.
pub async fn serve(listener: TcpListener, page: String) {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        page.len()
    );
    let answer = format!("{head}{page}");
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = answer.clone();
        // A browser also opens connections that it does not use.
        actix_web::rt::spawn(async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}
