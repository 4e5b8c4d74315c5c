//! The stamp in whatever is no message but is measured: a status text, the id of a request. A mark like a message's,
//! with another beginning, so that nothing takes one for the other.

use memchr::memmem::Finder;

use super::marker::{self, LEN, Mark, PREFIX_LEN};

const MAGIC: [u8; 3] = *b"~rs";

/// Writes stamps, and finds them.
pub(crate) struct Stamper {
    prefix: [u8; PREFIX_LEN],
    find_prefix: Finder<'static>,
}

impl Stamper {
    /// Stamps of the run with this number.
    pub(crate) fn new(run: u32) -> Self {
        let prefix = marker::prefix(MAGIC, run);
        Self { find_prefix: Finder::new(&prefix).into_owned(), prefix }
    }

    /// Appends a stamp of [`LEN`] bytes, which need no escape in JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>, mark: Mark) {
        marker::write_mark(out, &self.prefix, mark);
    }

    /// The first stamp of this run in a text.
    pub(crate) fn read(&self, text: &[u8]) -> Option<Mark> {
        let at = self.find_prefix.find(text)?;
        marker::parse_mark(text.get(at + PREFIX_LEN..at + LEN)?)
    }
}

#[cfg(test)]
mod tests {
    use super::marker::{Marker, Reading};
    use super::*;

    #[test]
    fn stamps_are_found_in_their_run_and_are_no_messages() {
        let mark = Mark { sender: 7, sequence: 1, intended_us: 1_234_567 };
        let mut text = br#"{"event":"presence:changed","data":{"statusText":""#.to_vec();
        let begin = text.len();
        Stamper::new(5).write(&mut text, mark);
        assert_eq!(text.len() - begin, LEN);
        text.extend_from_slice(br#""}}"#);
        assert_eq!(Stamper::new(5).read(&text), Some(mark));
        assert_eq!(Stamper::new(6).read(&text), None);
        assert_eq!(Stamper::new(5).read(&text[..begin + LEN - 1]), None);
        assert_eq!(Marker::new(5).read(&text), Reading::Other(None));
    }
}
