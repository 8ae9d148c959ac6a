use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

/// Chunks shorter than this are joined, since a `Bytes` each costs more.
const SMALL: usize = 512;

/// Copies of the frames that have passed.
///
/// Not shares of them: a chunk may be a small part of something large, such as a read buffer, which a share
/// would keep from being freed.
#[derive(Default)]
pub(super) struct Recorded {
    chunks: VecDeque<Bytes>,
    /// Small chunks, in one. Follows `chunks`.
    tail: BytesMut,
    trailers: Option<HeaderMap>,
    data: u64,
    /// Of data and trailers.
    size: usize,
}

impl Recorded {
    /// Whether a frame fits in, which it is added to if so.
    pub(super) fn add(&mut self, frame: &Frame<Bytes>, limit: usize) -> bool {
        let size = size(frame).and_then(|size| self.size.checked_add(size));
        let Some(size) = size.filter(|size| *size <= limit) else {
            return false;
        };
        self.size = size;
        if let Some(data) = frame.data_ref() {
            self.data += data.len() as u64;
            if data.len() < SMALL {
                self.tail.extend_from_slice(data);
            } else {
                self.flush();
                self.chunks.push_back(Bytes::copy_from_slice(data));
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
        }
        true
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(mem::take(&mut self.tail).freeze());
        }
    }

    /// The first frame. Small ones have been joined.
    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.chunks.is_empty() {
            self.flush();
        }
        if let Some(data) = self.chunks.pop_front() {
            self.data -= data.len() as u64;
            return Some(Frame::data(data));
        }
        self.trailers.take().map(Frame::trailers)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.tail.is_empty() && self.trailers.is_none()
    }

    /// How many bytes of data there are.
    pub(super) fn data(&self) -> u64 {
        self.data
    }
}

/// `None` if it is of a kind that is not known here.
fn size(frame: &Frame<Bytes>) -> Option<usize> {
    if let Some(data) = frame.data_ref() {
        return Some(data.len());
    }
    let trailers = frame.trailers_ref()?.iter();
    Some(
        trailers
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum(),
    )
}
