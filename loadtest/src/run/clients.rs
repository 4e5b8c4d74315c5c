//! Which connections can send now, and which are slow consumers.

use crate::scenario::Layout;

/// All connections of a traffic run, by index.
pub(super) struct Clients {
    layout: Layout,
    /// Whether it may send: it is ready and no slow consumer.
    able: Vec<bool>,
    /// For each room how many of its members may send.
    able_in: Vec<u64>,
    slow: Vec<bool>,
    /// Those of the slow consumers that read on, slowly.
    readers: Vec<usize>,
}

impl Clients {
    /// Nobody is connected; `stop_fraction` of them will stop reading, and `slow_fraction` read slowly.
    pub(super) fn new(layout: Layout, stop_fraction: f64, slow_fraction: f64) -> Self {
        let slow = layout.picked(stop_fraction + slow_fraction);
        let mut readers: Vec<_> =
            layout.room_by_room().into_iter().filter(|connection| slow[*connection]).collect();
        let mut due = 0.0;
        // With a little more than its share a fraction that is not exact still comes to its last one.
        readers.retain(|_| {
            due += slow_fraction / (stop_fraction + slow_fraction) + 1e-9;
            let is_due = due >= 1.0;
            due -= f64::from(u8::from(is_due));
            is_due
        });
        Self { able: vec![false; slow.len()], able_in: vec![0; layout.rooms()], layout, slow, readers }
    }

    /// Who is in which room.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether the connection is a slow consumer.
    pub(super) fn is_slow(&self, index: usize) -> bool {
        self.slow[index]
    }

    /// The slow consumers that read on, slowly.
    pub(super) fn readers(&self) -> &[usize] {
        &self.readers
    }

    /// Number of slow consumers.
    pub(super) fn slow_count(&self) -> usize {
        self.slow.iter().filter(|slow| **slow).count()
    }

    /// Whether the connection is ready and no slow consumer.
    #[inline]
    pub(super) fn is_able(&self, index: usize) -> bool {
        self.able[index]
    }

    /// Members of a room that are ready and no slow consumers.
    pub(super) fn able_in(&self, room: usize) -> u64 {
        self.able_in[room]
    }

    /// The connection is ready.
    pub(super) fn on_ready(&mut self, index: usize) {
        if !self.slow[index] && !self.able[index] {
            self.able[index] = true;
            self.able_in[self.layout.room_of(index)] += 1;
        }
    }

    /// The connection is gone.
    pub(super) fn on_gone(&mut self, index: usize) {
        if self.able[index] {
            self.able[index] = false;
            self.able_in[self.layout.room_of(index)] -= 1;
        }
    }

    /// The member of the scheduled sender's room that can send, itself if possible.
    pub(super) fn able_sender(&self, scheduled: usize) -> Option<usize> {
        if self.able_in[self.layout.room_of(scheduled)] == 0 {
            return None;
        }
        let mut sender = scheduled;
        while !self.able[sender] {
            sender = self.layout.next_member(sender);
        }
        Some(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_of_the_room_stand_in_for_who_cannot_send() {
        let mut clients = Clients::new(Layout::new(6, 2, 0.0), 0.0, 0.0);
        assert_eq!(clients.able_sender(0), None);
        for index in [0, 2, 3] {
            clients.on_ready(index);
            clients.on_ready(index);
        }
        assert_eq!([clients.able_in(0), clients.able_in(1)], [2, 1]);
        assert_eq!(
            [0, 2, 4, 1].map(|scheduled| clients.able_sender(scheduled)),
            [Some(0), Some(2), Some(0), Some(3)]
        );
        clients.on_gone(3);
        clients.on_gone(3);
        assert_eq!((clients.able_in(1), clients.able_sender(5)), (0, None));
    }

    #[test]
    fn slow_readers_are_some_of_the_slow_consumers() {
        for (stop, slow, count, readers) in
            [(0.1, 0.2, 30, 20), (0.0, 0.3, 30, 30), (0.3, 0.0, 30, 0), (0.0, 0.0, 0, 0)]
        {
            let clients = Clients::new(Layout::new(100, 10, 0.0), stop, slow);
            assert_eq!((clients.slow_count(), clients.readers().len()), (count, readers), "{stop} {slow}");
            assert!(clients.readers().iter().all(|index| clients.is_slow(*index)));
        }
    }

    #[test]
    fn slow_consumers_never_send() {
        let mut clients = Clients::new(Layout::new(2, 1, 0.0), 0.5, 0.0);
        clients.on_ready(0);
        clients.on_ready(1);
        assert_eq!((clients.slow_count(), clients.able_in(0)), (1, 1));
        assert!([0, 1].iter().all(|index| clients.is_slow(*index) != clients.is_able(*index)));
    }
}
