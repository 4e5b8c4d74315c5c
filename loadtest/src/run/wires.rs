//! Which connection speaks which dialect: one for all, or several in the same rooms.

use crate::net::Wire;
use crate::settings::Settings;

/// A dialect for each connection.
pub(super) struct Wires {
    wires: Vec<Wire>,
    /// For each connection its place in `wires`.
    of: Vec<u8>,
}

impl Wires {
    /// As the settings share them out: in every room as nearly as its size allows.
    pub(super) fn new(settings: &Settings) -> Self {
        let shares = settings.dialects();
        let prefix = &settings.args.room_prefix;
        let wires = shares.iter().map(|(dialect, _)| Wire::new(*dialect, prefix.clone())).collect();
        let mut of = vec![0; settings.args.connections];
        let mut credits = vec![0.0; shares.len()];
        for connection in settings.layout().room_by_room() {
            credits.iter_mut().zip(&shares).for_each(|(credit, (_, share))| *credit += share);
            let richest = (0..credits.len()).max_by(|a, b| credits[*a].total_cmp(&credits[*b]));
            let richest = richest.expect("there is a dialect");
            credits[richest] -= 1.0;
            of[connection] = u8::try_from(richest).expect("there are few dialects");
        }
        Self { wires, of }
    }

    /// The dialect of a connection.
    pub(super) fn of(&self, connection: usize) -> &Wire {
        &self.wires[usize::from(self.of[connection])]
    }

    /// The only dialect, or the first.
    pub(super) fn first(&self) -> &Wire {
        &self.wires[0]
    }

    /// The subprotocols that select the dialects: one for all, or one for each connection.
    pub(super) fn subprotocols(&self) -> Vec<Option<&'static str>> {
        if self.wires.len() == 1 {
            return vec![self.first().subprotocol()];
        }
        (0..self.of.len()).map(|connection| self.of(connection).subprotocol()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;

    #[test]
    fn every_room_has_its_share_of_each_dialect() {
        let flags =
            ["loadtest", "--connections", "100", "--rooms", "10", "--dialects", "event=0.7,topic=0.3"];
        let settings = Settings::from_args(Args::try_parse_from(flags).expect("valid")).expect("valid");
        let (wires, layout) = (Wires::new(&settings), settings.layout());
        for room in 0..10 {
            let topics = layout
                .members_of(room)
                .iter()
                .filter(|member| wires.of(**member as usize).subprotocol() == Some("roomcast.topic.v1"))
                .count();
            assert_eq!(topics, 3, "room {room}");
        }
        assert_eq!(wires.subprotocols().len(), 100);
        let one = Args::try_parse_from(["loadtest", "--dialect", "topic"]).expect("valid");
        let one = Wires::new(&Settings::from_args(one).expect("valid"));
        assert_eq!(one.subprotocols(), [Some("roomcast.topic.v1")]);
    }
}
