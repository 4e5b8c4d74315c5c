//! What waits for one connection: encoded frames, bounded by bytes (step 9 of the path of a message).
//!
//! The one judge of a slow client. Frames are shared by reference; the rim takes as many as one write carries.

use std::collections::VecDeque;

use bytes::Bytes;

/// Why a frame is queued, and so what may happen to it when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameClass {
    /// A push that may be dropped, oldest first.
    Ephemeral,
    /// A push that must arrive, or the connection ends.
    Reliable,
    /// An answer to the client, pongs included, never dropped; unread ones stop further reading.
    Reply,
    /// Handshake, ping and close, never dropped.
    Control,
}

impl FrameClass {
    /// Whether the client caused it and it is never dropped.
    fn is_answer(self) -> bool {
        matches!(self, Self::Reply | Self::Control)
    }
}

#[derive(Debug)]
struct Queued {
    bytes: Bytes,
    class: FrameClass,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits, or the connection is closing and takes nothing more.
    Queued,
    /// It waits, or not; so many ephemeral frames were dropped.
    Dropped(u32),
    /// It does not fit and must not be dropped: the consumer is too slow.
    Full,
}

/// The frames that wait for one connection.
#[derive(Debug, Default)]
pub struct OutboundQueue {
    /// The frame that goes next. Mostly it is the only one, and then the queue needs no memory beside itself.
    first: Option<Queued>,
    /// Those behind it; apart, since mostly there are none.
    rest: Option<Box<Rest>>,
    /// Whether any stood behind the first since the queue was last empty.
    was_shared: bool,
    /// Bytes of the first frame that were written.
    written: usize,
    /// Unwritten bytes.
    bytes: usize,
    /// Unwritten bytes of replies and control frames.
    reply_bytes: usize,
    /// Bytes that were ever queued, and ever written. What was dropped in between makes the former run ahead until the
    /// queue is empty.
    queued_total: u64,
    written_total: u64,
    /// After the close frame nothing else is sent (RFC 6455 §5.5.1).
    sealed: bool,
}

/// The frames behind the first.
type Rest = VecDeque<Queued>;

/// Frames for which a queue that was emptied keeps its memory, if it needed any.
const CAPACITY_KEPT: usize = 32;

impl OutboundQueue {
    /// Queues a push under the policy of its class; `bytes_max` bounds what waits.
    pub fn push(&mut self, bytes: Bytes, class: FrameClass, bytes_max: usize) -> Pushed {
        if self.sealed {
            return Pushed::Queued;
        }
        // One frame always fits a queue without pushes: replies have a bound of their own.
        let waiting = self.bytes - self.reply_bytes;
        if waiting + bytes.len() <= bytes_max || waiting == 0 {
            self.append(bytes, class);
            return Pushed::Queued;
        }
        if class == FrameClass::Ephemeral { self.push_dropping(bytes, bytes_max) } else { Pushed::Full }
    }

    /// Makes room by dropping the oldest ephemeral frames that no byte was written of.
    fn push_dropping(&mut self, bytes: Bytes, bytes_max: usize) -> Pushed {
        let mut dropped = 0;
        let mut at = usize::from(self.written > 0);
        while self.bytes - self.reply_bytes + bytes.len() > bytes_max && at < self.len() {
            if self.get(at).is_some_and(|frame| frame.class == FrameClass::Ephemeral) {
                self.bytes -= self.remove(at).map_or(0, |frame| frame.bytes.len());
                dropped += 1;
            } else {
                at += 1;
            }
        }
        let waiting = self.bytes - self.reply_bytes;
        if waiting + bytes.len() > bytes_max && waiting > 0 {
            return Pushed::Dropped(dropped + 1);
        }
        self.append(bytes, FrameClass::Ephemeral);
        Pushed::Dropped(dropped)
    }

    /// Queues what is never dropped: replies and control frames.
    pub fn push_always(&mut self, bytes: Bytes, class: FrameClass) {
        if !self.sealed {
            self.append(bytes, class);
        }
    }

    /// Queues the last frame; whatever comes later is ignored.
    pub fn push_close(&mut self, bytes: Bytes) {
        self.push_always(bytes, FrameClass::Control);
        self.seal();
    }

    /// Ignores whatever comes later: the close frame is among what waits, or has been sent.
    pub fn seal(&mut self) {
        self.sealed = true;
    }

    /// Drops all but the frame in flight and control frames, so that a close can follow: the handshake's answer may
    /// not have been written yet.
    pub fn clear(&mut self) {
        let is_kept = |frame: &Queued| frame.class == FrameClass::Control;
        if let Some(rest) = &mut self.rest {
            rest.retain(is_kept);
        }
        if self.written == 0 && !self.first.as_ref().is_some_and(is_kept) {
            self.first = self.next();
        }
        self.bytes = self.frames().map(|frame| frame.bytes.len()).sum::<usize>() - self.written;
        let answers = self.frames().filter(|frame| frame.class.is_answer());
        let answer_bytes: usize = answers.map(|frame| frame.bytes.len()).sum();
        let first_is_answer = self.first.as_ref().is_some_and(|frame| frame.class.is_answer());
        self.reply_bytes = answer_bytes - if first_is_answer { self.written } else { 0 };
    }

    fn append(&mut self, bytes: Bytes, class: FrameClass) {
        self.bytes += bytes.len();
        self.queued_total += bytes.len() as u64;
        if class.is_answer() {
            self.reply_bytes += bytes.len();
        }
        let frame = Queued { bytes, class };
        if self.first.is_none() {
            self.first = Some(frame);
        } else {
            self.rest.get_or_insert_default().push_back(frame);
            self.was_shared = true;
        }
    }

    fn rest(&self) -> std::collections::vec_deque::Iter<'_, Queued> {
        self.rest.as_deref().map(VecDeque::iter).unwrap_or_default()
    }

    /// Takes the frame behind the first.
    fn next(&mut self) -> Option<Queued> {
        self.rest.as_mut()?.pop_front()
    }

    fn frames(&self) -> impl Iterator<Item = &Queued> {
        self.first.iter().chain(self.rest())
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest().len()
    }

    fn get(&self, at: usize) -> Option<&Queued> {
        if at == 0 { self.first.as_ref() } else { self.rest.as_ref()?.get(at - 1) }
    }

    fn remove(&mut self, at: usize) -> Option<Queued> {
        if at > 0 {
            return self.rest.as_mut()?.remove(at - 1);
        }
        let next = self.next();
        std::mem::replace(&mut self.first, next)
    }

    /// The next bytes to write: the first frame by itself, or as many as fit `scratch_max` copied together.
    ///
    /// Copying small frames beside each other costs less than a vectored write of many pieces.
    pub fn next_write<'a>(&'a self, scratch: &'a mut Vec<u8>, scratch_max: usize) -> &'a [u8] {
        let Some(first) = &self.first else { return &[] };
        let rest = &first.bytes[self.written..];
        if self.rest().len() == 0 || rest.len() >= scratch_max {
            return rest;
        }
        scratch.clear();
        scratch.extend_from_slice(rest);
        for frame in self.rest() {
            if scratch.len() + frame.bytes.len() > scratch_max {
                break;
            }
            scratch.extend_from_slice(&frame.bytes);
        }
        scratch
    }

    /// Notes that so many bytes were written; the number of frames that left completely.
    pub fn advance(&mut self, written: usize) -> usize {
        let mut left = written;
        let mut done = 0;
        self.bytes -= written;
        self.written_total += written as u64;
        while let Some(first) = &self.first {
            let rest = first.bytes.len() - self.written;
            if first.class.is_answer() {
                self.reply_bytes -= rest.min(left);
            }
            if left < rest {
                self.written += left;
                return done;
            }
            left -= rest;
            self.written = 0;
            self.first = self.next();
            done += 1;
        }
        // Whoever gets several frames at a time mostly does so again; whoever did not this time is idle, or does not.
        let too_large = self.rest.as_ref().is_some_and(|rest| rest.capacity() > CAPACITY_KEPT);
        if !std::mem::take(&mut self.was_shared) || too_large {
            self.rest = None;
        }
        self.queued_total = self.written_total;
        done
    }

    /// Each frame that waits, for who takes whole frames; nothing of them was written yet.
    pub fn waiting(&self) -> impl Iterator<Item = &Bytes> {
        self.frames().map(|frame| &frame.bytes)
    }

    /// Drops all that waits, whatever it is.
    pub fn drop_all(&mut self) {
        (self.first, self.rest) = (None, None);
        (self.written, self.bytes, self.reply_bytes) = (0, 0, 0);
        self.queued_total = self.written_total;
    }

    /// Puts what waits in another queue in front of what waits in this one, of which nothing was written yet. The place
    /// behind all that was queued moves by as many bytes.
    pub fn put_in_front(&mut self, other: &mut Self) {
        let other = std::mem::take(other);
        let own = std::mem::take(self);
        *self = Self {
            bytes: other.bytes + own.bytes,
            reply_bytes: other.reply_bytes + own.reply_bytes,
            written: other.written,
            queued_total: own.queued_total + other.bytes as u64,
            written_total: own.written_total,
            was_shared: true,
            sealed: own.sealed,
            ..Self::default()
        };
        let frames = other.into_frames().chain(own.into_frames());
        for frame in frames {
            if self.first.is_none() {
                self.first = Some(frame);
            } else {
                self.rest.get_or_insert_default().push_back(frame);
            }
        }
    }

    fn into_frames(mut self) -> impl Iterator<Item = Queued> {
        let rest = self.rest.take().map(|rest| *rest).unwrap_or_default();
        self.first.take().into_iter().chain(rest)
    }

    /// The place in the outgoing byte stream behind all that was queued; never in front of it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.queued_total
    }

    /// Bytes that were ever written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written_total
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the largest frame that waits.
    #[must_use]
    pub fn largest_frame(&self) -> usize {
        self.frames().map(|frame| frame.bytes.len()).max().unwrap_or(0)
    }

    /// Bytes of replies and control frames that wait.
    #[must_use]
    pub fn reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    /// Whether the close frame was queued.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }
}

#[cfg(test)]
mod tests;
