//! Frames on a stream: a length of 4 bytes, big endian, then JSON or plain lines of text.
//!
//! The length is checked before a byte of the frame is kept. A frame of length 0 carries
//! nothing; it only makes a new stream visible to the far end.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use tokio_util::{
    bytes::{Buf, Bytes, BytesMut},
    codec::{Decoder, Encoder, LengthDelimitedCodec},
};

use super::error::WireError;

/// How long the far end may take nothing before a send gives up: two renewals of the lease.
pub(super) const SEND_PATIENCE: Duration = Duration::from_secs(2);

/// Writes frames of `T` to a stream.
pub struct Sender<T> {
    stream: quinn::SendStream,
    codec: LengthDelimitedCodec,
    max: usize,
    to_bytes: fn(&T) -> Result<Bytes, WireError>,
    /// What of the last frame is not written yet.
    pending: BytesMut,
}

/// Reads frames of `T` from a stream.
pub struct Receiver<T> {
    stream: quinn::RecvStream,
    codec: LengthDelimitedCodec,
    max: usize,
    from_bytes: fn(&[u8]) -> Result<T, WireError>,
    buffer: BytesMut,
    /// A frame that [`Receiver::wait`] has seen.
    ready: Option<BytesMut>,
}

impl<T: Serialize> Sender<T> {
    /// Frames of JSON, at most `max` bytes each.
    pub(super) fn json(stream: quinn::SendStream, max: usize) -> Self {
        let to_bytes = |message: &T| {
            serde_json::to_vec(message)
                .map(Bytes::from)
                .map_err(|error| WireError::BadFrame(error.to_string()))
        };
        Self { stream, codec: codec(max), max, to_bytes, pending: BytesMut::new() }
    }
}

impl Sender<String> {
    /// Frames of plain text: record lines are JSON already.
    pub(super) fn text(stream: quinn::SendStream, max: usize) -> Self {
        let to_bytes = |text: &String| Ok(Bytes::copy_from_slice(text.as_bytes()));
        Self { stream, codec: codec(max), max, to_bytes, pending: BytesMut::new() }
    }
}

impl<T: Serialize> Sender<T> {
    /// Writes one frame; an error after 2 s without progress or when the connection is gone.
    ///
    /// After [`WireError::Stalled`], or when the call is dropped, what was begun is written
    /// before anything else: the stream stays in step, and the message may still arrive.
    pub async fn send(&mut self, message: &T) -> Result<(), WireError> {
        let bytes = (self.to_bytes)(message)?;
        if bytes.len() > self.max {
            return Err(WireError::FrameTooLong { max: self.max });
        }
        self.flush().await?;
        self.frame(bytes)?;
        self.flush().await
    }

    /// Writes a frame that carries nothing.
    pub(super) async fn open(&mut self) -> Result<(), WireError> {
        self.frame(Bytes::new())?;
        self.flush().await
    }

    /// Ends the stream in order and waits, briefly, until the far end has it all.
    pub(super) async fn finish(mut self) -> Result<(), WireError> {
        self.stream.finish().map_err(|error| WireError::CutOff(error.to_string()))?;
        match tokio::time::timeout(SEND_PATIENCE, self.stream.stopped()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(WireError::Stalled { limit: SEND_PATIENCE }),
        }
    }

    fn frame(&mut self, bytes: Bytes) -> Result<(), WireError> {
        self.codec.encode(bytes, &mut self.pending).map_err(|_| WireError::FrameTooLong { max: self.max })
    }

    /// Writes what is pending. Safe to drop: a written part is taken off at once.
    async fn flush(&mut self) -> Result<(), WireError> {
        while self.pending.has_remaining() {
            let written = tokio::time::timeout(SEND_PATIENCE, self.stream.write(&self.pending))
                .await
                .map_err(|_| WireError::Stalled { limit: SEND_PATIENCE })?
                .map_err(write_fault)?;
            self.pending.advance(written);
        }
        Ok(())
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// Frames of JSON, at most `max` bytes each.
    pub(super) fn json(stream: quinn::RecvStream, max: usize) -> Self {
        let from_bytes = |bytes: &[u8]| {
            serde_json::from_slice(bytes).map_err(|error| WireError::BadFrame(error.to_string()))
        };
        Self { stream, codec: codec(max), max, from_bytes, buffer: BytesMut::new(), ready: None }
    }
}

impl Receiver<String> {
    /// Frames of plain text. Bytes that are no UTF-8 are replaced: the lines' own checksums
    /// tell.
    pub(super) fn text(stream: quinn::RecvStream, max: usize) -> Self {
        let from_bytes = |bytes: &[u8]| Ok(String::from_utf8_lossy(bytes).into_owned());
        Self { stream, codec: codec(max), max, from_bytes, buffer: BytesMut::new(), ready: None }
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// The next frame; cancel safe. `Ok(None)` when the far end finished in order.
    pub async fn next(&mut self) -> Result<Option<T>, WireError> {
        loop {
            let frame = match self.ready.take() {
                Some(frame) => frame,
                None => match self.frame().await? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            if !frame.is_empty() {
                return (self.from_bytes)(&frame).map(Some);
            }
        }
    }

    /// Waits for the next frame that carries something, and leaves it for [`Self::next`].
    pub(super) async fn wait(&mut self) -> Result<(), WireError> {
        while self.ready.as_ref().is_none_or(BytesMut::is_empty) {
            self.ready = Some(self.some_frame().await?);
        }
        Ok(())
    }

    /// Waits for a frame that carries nothing: the far end's sign that the stream is taken.
    pub(super) async fn opened(&mut self) -> Result<(), WireError> {
        match self.some_frame().await? {
            frame if frame.is_empty() => Ok(()),
            _ => Err(WireError::BadFrame("a message came before the stream was opened".to_owned())),
        }
    }

    async fn some_frame(&mut self) -> Result<BytesMut, WireError> {
        self.frame().await?.ok_or_else(|| WireError::CutOff("nothing was said on it".to_owned()))
    }

    /// The next frame as it came. Cancel safe: bytes go straight into the buffer.
    async fn frame(&mut self) -> Result<Option<BytesMut>, WireError> {
        loop {
            let whole = self.codec.decode(&mut self.buffer);
            if let Some(frame) = whole.map_err(|_| WireError::FrameTooLong { max: self.max })? {
                return Ok(Some(frame));
            }
            // No more than is left of this frame and the next head would be better, but the
            // stream's window bounds it too.
            match self.stream.read_chunk(self.max, true).await.map_err(read_fault)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(WireError::CutOff("it ended inside a frame".to_owned())),
            }
        }
    }
}

fn codec(max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(max).new_codec()
}

fn write_fault(error: quinn::WriteError) -> WireError {
    match error {
        quinn::WriteError::ConnectionLost(error) => error.into(),
        other => WireError::CutOff(other.to_string()),
    }
}

fn read_fault(error: quinn::ReadError) -> WireError {
    match error {
        quinn::ReadError::ConnectionLost(error) => error.into(),
        other => WireError::CutOff(other.to_string()),
    }
}
