//! Limits the time in which a peer must send a request and read the response. The HTTP parser has a deadline
//! only for the first head of a connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

/// The time from the first byte of a request to that of its response. Also the time for which a peer may fail
/// to read. It exceeds the sum of all waits of a request in this server.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that ends if its peer takes too long.
pub(super) struct TimedStream<S> {
    stream: S,
    patience: Duration,
    /// The time since which a request has been unanswered.
    asked: Option<Instant>,
    /// The time since which the peer has not read the response.
    stuck: Option<Instant>,
    /// A timer that fires at the deadline or earlier. It is set again only after it has fired.
    alarm: Pin<Box<Sleep>>,
    is_set: bool,
}

impl<S> TimedStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self::with_patience(stream, PATIENCE)
    }

    fn with_patience(stream: S, patience: Duration) -> Self {
        let alarm = Box::pin(sleep_until(Instant::now().into()));
        Self { stream, patience, asked: None, stuck: None, alarm, is_set: false }
    }

    /// Returns ready if the peer has taken too long since then. Otherwise this task is woken at that time.
    fn poll_overdue(&mut self, since: Instant, context: &mut Context<'_>) -> Poll<()> {
        let deadline = since + self.patience;
        loop {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            if !self.is_set {
                self.alarm.as_mut().reset(deadline.into());
                self.is_set = true;
            }
            if self.alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.is_set = false;
        }
    }

    fn is_overdue(&self) -> bool {
        self.asked.is_some_and(|since| since.elapsed() >= self.patience)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    /// Ignores bytes that arrive too late. The HTTP parser sees the end of the stream instead.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_overdue() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            this.asked.get_or_insert_with(Instant::now);
        }
        match (polled, this.asked) {
            (Poll::Pending, Some(since)) => this.poll_overdue(since, context).map(Ok),
            (polled, _) => polled,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        if polled.is_ready() {
            (this.asked, this.stuck) = (None, None);
            return polled;
        }
        let since = *this.stuck.get_or_insert_with(Instant::now);
        let too_late =
            || Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read the response"));
        this.poll_overdue(since, context).map(|()| too_late())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    fn pair(room: usize) -> (DuplexStream, TimedStream<DuplexStream>) {
        let (peer, ours) = duplex(room);
        (peer, TimedStream::with_patience(ours, SHORT))
    }

    #[actix_web::test]
    async fn trickling_peer_is_cut_off_and_a_silent_one_is_not() {
        let (mut peer, mut ours) = pair(64);
        let mut buffer = [0; 64];
        let silent = tokio::time::timeout(3 * SHORT, ours.read(&mut buffer)).await;
        assert!(silent.is_err(), "an idle connection is another's business");
        let trickle = async {
            for _ in 0..20 {
                let _ = peer.write_all(b"x").await;
                tokio::time::sleep(SHORT / 10).await;
            }
        };
        let read = async {
            let started = Instant::now();
            while ours.read(&mut buffer).await.expect("a stream") > 0 {}
            started.elapsed()
        };
        let ((), elapsed) = tokio::join!(trickle, read);
        assert!(elapsed < 2 * SHORT, "{elapsed:?}");
    }

    #[actix_web::test]
    async fn response_restarts_the_deadline() {
        let (mut peer, mut ours) = pair(64);
        let mut buffer = [0; 64];
        for _ in 0..10 {
            peer.write_all(b"asks").await.expect("a stream");
            assert_eq!(ours.read(&mut buffer).await.expect("in time"), 4);
            ours.write_all(b"done").await.expect("a stream");
            assert_eq!(peer.read(&mut buffer).await.expect("an answer"), 4);
            tokio::time::sleep(SHORT / 4).await;
        }
    }

    #[actix_web::test]
    async fn peer_that_does_not_read_the_response_is_cut_off() {
        let (_peer, mut ours) = pair(8);
        let refused = ours.write_all(&[0; 64]).await.expect_err("nobody reads");
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}
