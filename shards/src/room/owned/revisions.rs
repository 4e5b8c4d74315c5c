//! Messages that are changed after they were sent: the change is an entry of the stream, and replaces the message in the
//! history.

use std::sync::Arc;

use bytes::Bytes;

use super::OwnedRoom;
use crate::clock::Now;
use crate::config::Config;
use crate::id::MessageId;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::message::{Except, Lane, Metadata, Publication, Revised, Revision};

/// A changed message.
#[derive(Debug)]
pub struct Revising {
    /// The answer to whoever changed it.
    pub answer: Arc<Publication>,
    /// What to deliver; `None` when it was so already.
    pub publication: Option<Arc<Publication>>,
    /// Messages that were forgotten before their time to make room.
    pub forgotten: usize,
}

/// What is to become of a message that somebody changes.
#[derive(Debug)]
pub enum Prepared {
    /// It is so already.
    Already(Arc<Publication>),
    /// This comes next in the stream.
    Change(Box<Publication>),
}

impl OwnedRoom {
    /// Changes a message, or deletes it when there is no content; `may_others` whether another's may be changed.
    ///
    /// # Errors
    /// It is not known, another's, or deleted already.
    pub fn revise(
        &mut self,
        by: (&Arc<str>, bool),
        id: MessageId,
        change: (Option<Bytes>, bool),
        now: Now,
        config: &Config,
    ) -> Result<Revising, CommandError> {
        let change = match self.prepare_revision(by, id, change, now, config)? {
            Prepared::Already(answer) => return Ok(Revising { answer, publication: None, forgotten: 0 }),
            Prepared::Change(change) => change,
        };
        let (change, forgotten) = self.accept_revision(*change, now, config);
        Ok(Revising { answer: Arc::clone(&change), publication: Some(change), forgotten })
    }

    /// The change that comes next in the stream, if the message may be changed so.
    ///
    /// # Errors
    /// As [`OwnedRoom::revise`].
    pub fn prepare_revision(
        &mut self,
        (user, may_others): (&Arc<str>, bool),
        id: MessageId,
        (content, binary): (Option<Bytes>, bool),
        now: Now,
        config: &Config,
    ) -> Result<Prepared, CommandError> {
        self.expire(now, config);
        let message = self.contents().history.find(id).ok_or_else(unknown_message)?;
        if !may_others && message.sender != *user {
            return Err(CommandError::new(ErrorCode::PermissionDenied, "the message is another user's"));
        }
        if message.is_deleted() {
            return match content {
                None => Ok(Prepared::Already(Arc::clone(message))),
                Some(_) => Err(CommandError::new(ErrorCode::ClientError, "the message is deleted")),
            };
        }
        let present = self.revised(Publication::clone(message), user, (content, binary), now);
        // A session may learn what became of a message that it sent itself.
        let exclude = match &present.exclude {
            Except::User(user) => Except::User(Arc::clone(user)),
            _ => Except::Nobody,
        };
        Ok(Prepared::Change(Box::new(Publication { offset: self.offset + 1, exclude, ..present })))
    }

    /// The change has its place in the stream, and the message is as it says.
    pub(super) fn accept_revision(
        &mut self,
        change: Publication,
        now: Now,
        config: &Config,
    ) -> (Arc<Publication>, usize) {
        self.offset = change.offset;
        self.active_ms = now.ms;
        let revision = change.revision.as_ref().expect("a change says what it changes");
        let (of, kind) = (revision.of, revision.kind);
        let contents = self.contents_mut();
        match kind {
            Revised::Edited => contents.counts.edits += 1,
            Revised::Deleted => contents.counts.deletes += 1,
        }
        if let Some(message) = contents.history.at(of).filter(|message| message.id == change.id) {
            let exclude = message.exclude.clone();
            contents.history.replace(Arc::new(Publication { offset: of, exclude, ..change.clone() }));
        }
        let change = Arc::new(change);
        let forgotten = self.keep(&change, now, config);
        (change, forgotten)
    }

    /// Whether a message that is kept is a user's.
    #[must_use]
    pub fn is_author(&self, user: &str, id: MessageId) -> bool {
        self.contents().history.find(id).is_some_and(|message| *message.sender == *user)
    }

    /// The message as it is after the change that comes next.
    fn revised(
        &self,
        message: Publication,
        user: &Arc<str>,
        (content, binary): (Option<Bytes>, bool),
        now: Now,
    ) -> Publication {
        let kind = if content.is_some() { Revised::Edited } else { Revised::Deleted };
        let revision = Revision {
            kind,
            unix_ms: now.unix_ms,
            by: Arc::clone(user),
            offset: self.offset + 1,
            of: message.offset,
        };
        let metadata: Option<Metadata> = message.metadata.filter(|_| kind == Revised::Edited);
        Publication {
            content: content.unwrap_or(Bytes::from_static(b"null")),
            metadata,
            revision: Some(Box::new(revision)),
            lane: Lane::Streaming,
            binary: binary || (message.binary && kind == Revised::Edited),
            ack_requested: false,
            ..message
        }
    }
}

/// There is no such message, or none that may be known of.
#[must_use]
pub fn unknown_message() -> CommandError {
    CommandError::invalid("messageId", "is no message of this room, or no longer kept")
}
