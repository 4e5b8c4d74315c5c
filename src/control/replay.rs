//! A stream whose first bytes were already read by somebody else: the shard that found out that this is plain HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads give `received` first, then what the stream has; writes go straight to the stream.
#[derive(Debug)]
pub(super) struct Replayed<S> {
    received: Bytes,
    stream: S,
}

impl<S> Replayed<S> {
    pub(super) fn new(received: Vec<u8>, stream: S) -> Self {
        Self { received: received.into(), stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.received.len().min(buffer.remaining());
        buffer.put_slice(&self.received[..count]);
        // An empty slice holds no allocation, so nothing is kept for the rest of the connection's life.
        self.received = self.received.slice(count..);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[test]
    fn what_was_received_comes_before_the_rest_whatever_the_buffer() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for capacity in 1..8 {
                let (mut client, server) = duplex(64);
                client.write_all(b"world").await.unwrap();
                drop(client);
                let mut stream = Replayed::new(b"hello ".to_vec(), server);
                let (mut text, mut buffer) = (Vec::new(), vec![0; capacity]);
                loop {
                    match stream.read(&mut buffer).await.unwrap() {
                        0 => break,
                        count => text.extend_from_slice(&buffer[..count]),
                    }
                }
                assert_eq!(text, b"hello world");
            }
        });
    }
}
