//! Messages of which Socket.IO clients were asked to say that they have them.
//!
//! The number in the request is the same for all clients of a shard, so that its frame is shared. Whoever answers with it
//! confirms that message, which any member of the room may.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::id::{Epoch, MessageId, Offset};
use crate::protocol::message::Publication;

/// Requests that may still be answered; an answer to an older one is ignored.
const REQUESTS_MAX: usize = 4096;

/// A message that is to be confirmed.
#[derive(Debug, Clone)]
pub(super) struct AckRequest {
    pub(super) room: Arc<str>,
    pub(super) message: MessageId,
    pub(super) epoch: Epoch,
    pub(super) offset: Offset,
}

/// The latest requests of a shard.
#[derive(Debug, Default)]
pub(super) struct AckRequests {
    /// The number of the first that is kept.
    first: u64,
    requests: VecDeque<AckRequest>,
}

impl AckRequests {
    /// Notes a request; its number.
    pub(super) fn add(&mut self, publication: &Publication) -> u64 {
        if self.requests.len() >= REQUESTS_MAX {
            self.requests.pop_front();
            self.first += 1;
        }
        self.requests.push_back(AckRequest {
            room: Arc::clone(&publication.room),
            message: publication.id,
            epoch: publication.epoch,
            offset: publication.offset,
        });
        self.first + self.requests.len() as u64 - 1
    }

    /// The request of that number.
    pub(super) fn find(&self, number: u64) -> Option<AckRequest> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.requests.get(at).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_requests_are_kept_under_their_numbers() {
        let mut requests = AckRequests::default();
        let count = REQUESTS_MAX as u64 + 10;
        for offset in 0..count {
            assert_eq!(requests.add(&Publication::sample("r", offset, 0)), offset);
        }
        assert!(requests.find(9).is_none() && requests.find(count).is_none());
        assert_eq!(requests.find(10).map(|request| request.offset), Some(10));
        assert_eq!(requests.find(count - 1).map(|request| request.offset), Some(count - 1));
    }
}
