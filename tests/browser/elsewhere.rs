//! A page of somebody else's: another origin, without a policy of ours.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers with this page, whatever is asked for.
pub async fn serve(listener: TcpListener, page: String) {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        page.len()
    );
    let answer = format!("{head}{page}");
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = answer.clone();
        // A browser also opens connections that it never asks on.
        actix_web::rt::spawn(async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}
