//! What may not grow, however long or hard the gateway is used.

use std::time::Duration;

use serde_json::json;

use crate::support::{Client, Server, Token, eventually, http};

/// The sum of a family's series in `/metrics`.
fn metric(server: &Server, name: &str) -> f64 {
    let body = http::get(server.address, "/metrics").body;
    let series = body.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    });
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn rooms_in_which_nothing_was_sent_are_forgotten_and_keep_their_epoch() {
    let server = Server::builder().shards(2).with(&["--presence-grace", "0ms"]).start();
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    let epoch = ana.join("empty")["epoch"].clone();
    for round in 0..10 {
        let rooms: Vec<String> = (0..100).map(|room| format!("r{round}.{room}")).collect();
        ana.call("room:subscribe-multiple", json!({"rooms": rooms}));
        ana.call("room:unsubscribe-multiple", json!({"rooms": rooms}));
    }
    ana.call("room:leave", json!({"roomId": "empty"}));
    eventually("only the user's own room is left", || {
        (metric(&server, "roomcast_rooms") <= 1.0).then_some(())
    });
    let again = ana.call("room:join", json!({"roomId": "empty", "recover": {"epoch": epoch, "offset": 0}}));
    assert_eq!((&again["epoch"], &again["recovered"]), (&epoch, &json!(true)));
}

#[test]
fn all_histories_together_have_a_bound_and_the_oldest_goes_first() {
    let server = Server::builder().shards(2).with(&["--history-total", "8MiB"]).start();
    let mut ana = server.connect().token(&Token::employee("ana")).open();
    let content = "x".repeat(500_000);
    let mut epochs = Vec::new();
    for room in 0..60 {
        let room = format!("room.{room}");
        epochs.push(ana.join(&room)["epoch"].clone());
        ana.say(&room, content.as_str());
        ana.expect_message(&room);
        ana.call("room:leave", json!({"roomId": room}));
    }
    assert!(metric(&server, "roomcast_history_bytes") <= f64::from(8 << 20));
    assert!(metric(&server, "roomcast_history_dropped_total") > 0.0);
    let mut recover = |room: usize| {
        let recover =
            json!({"roomId": format!("room.{room}"), "recover": {"epoch": epochs[room], "offset": 0}});
        ana.call("room:join", recover)["recovered"].clone()
    };
    assert_eq!(recover(0), false, "the oldest is gone, and the client is told");
    assert_eq!(recover(59), true, "the newest is there");
}

#[test]
fn a_drain_under_load_keeps_what_it_acknowledged_for_everybody() {
    for shards in [2, 4] {
        let mut server = Server::builder().shards(shards).with(&["--drain-timeout", "4s"]).start();
        let join = |name: String| {
            let mut client = server.connect().token(&Token::employee(&name)).open();
            client.join("busy");
            client
        };
        let members: Vec<Client> = (0..8).map(|member| join(format!("member{member}"))).collect();
        let senders: Vec<Client> = (0..6).map(|sender| join(format!("sender{sender}"))).collect();
        let (acknowledged, received) = std::thread::scope(|scope| {
            let senders: Vec<_> = senders
                .into_iter()
                .map(|mut sender| {
                    scope.spawn(move || {
                        let mut last = 0;
                        while let Some(sent) = sender.try_say("busy", "x") {
                            last = sent["offset"].as_u64().expect("a number");
                        }
                        last
                    })
                })
                .collect();
            let members: Vec<_> = members
                .into_iter()
                .map(|mut member| {
                    scope.spawn(move || {
                        member.expect_close();
                        let offsets: Vec<u64> = member
                            .arrived("message:received")
                            .iter()
                            .map(|message| message.offset())
                            .collect();
                        assert!(offsets.iter().copied().eq(1..=offsets.len() as u64), "no gap");
                        offsets.len() as u64
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(300));
            server.terminate();
            let acknowledged = senders.into_iter().map(|sender| sender.join().expect("no panic")).max();
            let received: Vec<u64> =
                members.into_iter().map(|member| member.join().expect("no panic")).collect();
            (acknowledged.expect("some senders"), received)
        });
        assert!(acknowledged > 0);
        assert!(
            received.iter().all(|last| *last >= acknowledged),
            "{acknowledged} were acknowledged: {received:?}"
        );
        assert_eq!(server.wait_for_exit().code(), Some(0));
    }
}
