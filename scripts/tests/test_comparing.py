"""The pure parts of scripts/compare: `python3 -m unittest discover -s scripts/tests`."""

import pathlib
import subprocess
import sys
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SCRIPTS))

from comparing import chart, document
from comparing.peers import PEERS
from comparing.results import PEER_ORDER, SHAPES, merge, shorten, summaries
from measuring import Server, read_floor_address, read_gateway_address

SETTINGS = {"peers": ["floor", "gateway", "ws"], "shapes": ["20k"], "rounds": 2, "duration": 4, "warmup": 1}
DUE = 100_000


def report(cpu_us, p99_ms=1.0, lost=0, **traffic):
    """What the generator reports of five seconds of 20,000 deliveries each."""
    faults = {"lost": lost, "duplicates": 0, "order": 0, "misrouted": 0, "malformed": 0}
    return {
        "connects": {"failed": 0},
        "closes": {},
        "traffic": {
            "deliveries": DUE - lost,
            "deliveries_per_second": (DUE - lost) / 5,
            "messages_unsent": 0,
            "latency_ms": {"p50": 0.5, "p99": p99_ms},
            "latencies": 80_000,
            "faults": faults,
            **traffic,
        },
        "generator": {"bottleneck": False},
        "server": {"cpu_us_per_delivery": cpu_us, "cpu_share": 0.2, "resident_bytes_after": 20 << 20},
    }


def run(peer, number, found, **more):
    return {"peer": peer, "shape": "20k", "round": number, "report": found, "died": False, **more}


def results(runs, **more):
    versions = {peer: "1" for peer in SETTINGS["peers"]}
    about = {"date": "2026-11-26", "machine": "two cores", "command": "scripts/compare", "versions": versions}
    return {**about, "settings": SETTINGS, "runs": runs, **more}


def whole():
    runs = []
    for number, drift in ((1, 1.0), (2, 2.0)):
        costs = {"floor": 5.0, "gateway": 4.0, "ws": 20.0}
        runs += [run(peer, number, report(cost * drift)) for peer, cost in costs.items()]
    return results(runs)


class Summaries(unittest.TestCase):
    def test_ratios_are_of_the_same_round_so_that_drift_does_not_show(self):
        found = summaries(whole())["20k"]
        ratio = found["gateway"].floor_ratio
        self.assertEqual((ratio.low, ratio.median, ratio.high), (0.8, 0.8, 0.8))
        self.assertEqual((found["ws"].cpu_us.low, found["ws"].cpu_us.high), (20, 40))
        self.assertTrue(all(summary.kept_up for summary in found.values()))

    def test_who_loses_or_is_late_or_dies_has_not_kept_up(self):
        for changed in (
            run("ws", 2, report(20.0, lost=1000)),
            run("ws", 2, report(20.0, p99_ms=1500.0)),
            run("ws", 2, report(20.0), died=True),
            {"peer": "ws", "shape": "20k", "round": 2, "error": "the load took more than 65 s"},
        ):
            told = results([*whole()["runs"][:-1], changed])
            found = summaries(told)["20k"]
            self.assertFalse(found["ws"].kept_up, changed)
            self.assertTrue(found["gateway"].kept_up)
            self.assertIn("Node ws †", document.render(told, "raw.json"))

    def test_messages_that_could_not_be_sent_are_not_delivered_either(self):
        unsent = run("ws", 1, report(20.0, deliveries=60_000, messages_unsent=4_000))
        self.assertEqual(summaries(results([unsent]))["20k"]["ws"].delivered.median, 0.6)

    def test_a_server_that_is_gone_has_no_cost(self):
        gone = {**report(1.0, lost=50_000), "server": None}
        found = summaries(results([run("ws", 1, gone, died=True)]))["20k"]["ws"]
        self.assertIsNone(found.cpu_us)
        self.assertEqual((found.died, found.delivered.median), (1, 0.5))

    def test_no_ratio_where_one_lost_or_was_late(self):
        for floor, other in (
            (report(5.0, lost=5), report(20.0)),
            (report(5.0), report(20.0, lost=5)),
            (report(5.0), report(20.0, p99_ms=2000.0)),
        ):
            runs = [run("floor", 1, floor), run("ws", 1, other)]
            self.assertIsNone(summaries(results(runs))["20k"]["ws"].floor_ratio)

    def test_pieces_go_together_and_strangers_do_not(self):
        merged = merge([whole(), whole()])
        self.assertEqual(sorted({found["round"] for found in merged["runs"]}), [1, 2, 3, 4])
        self.assertEqual(merged["settings"]["rounds"], 4)
        other = {**whole(), "versions": {"ws": "2"}}
        self.assertRaises(ValueError, merge, [whole(), other])
        longer = {**whole(), "settings": {**SETTINGS, "duration": 9}}
        self.assertRaises(ValueError, merge, [whole(), longer])

    def test_reports_are_kept_without_series_and_settings(self):
        long = {**report(1.23456), "settings": {"url": "x"}, "warnings": ["a"], "series": [1] * 100}
        long["traffic"]["over_time"] = [1] * 100
        kept = shorten(long)
        self.assertNotIn("settings", kept)
        self.assertNotIn("over_time", kept["traffic"])
        self.assertEqual((kept["warnings"], kept["server"]["cpu_us_per_delivery"]), (["a"], 1.2346))


class Telling(unittest.TestCase):
    def test_the_document_has_every_peer_and_its_caveats(self):
        text = document.render(whole(), "benches/results/x.json")
        for peer in SETTINGS["peers"]:
            self.assertIn(PEERS[peer].title, text)
            self.assertIn(PEERS[peer].lacks, text)
        self.assertIn("| **Roomcast, one shard** | 100 % |", text)
        self.assertNotIn("†", text.split("## 20,000")[1].split("## What")[0])

    def test_a_loss_is_never_rounded_away(self):
        self.assertEqual(document.percent(0.999999), "99.9 %")
        self.assertEqual([document.percent(share) for share in (1, 0.5, 0)], ["100 %", "50.0 %", "0.0 %"])

    def test_the_chart_is_a_picture_with_a_bar_for_each_figure(self):
        drawing = xml.etree.ElementTree.fromstring(chart.render(whole()))
        bars = [rect for rect in drawing.iter("{http://www.w3.org/2000/svg}rect") if rect.get("rx")]
        self.assertEqual(len(bars), 6)
        self.assertTrue(all(0 < float(bar.get("width")) < chart.WIDTH for bar in bars))

    def test_what_has_no_figures_is_drawn_as_that(self):
        broken = {"peer": "ws", "shape": "20k", "round": 1, "error": "cannot start ws"}
        drawing = chart.render(results([*whole()["runs"][:2], broken]))
        self.assertIn("no figure", drawing)

    def test_who_did_not_keep_up_does_not_make_all_others_small(self):
        runs = [run("floor", 1, report(5.0)), run("ws", 1, report(500.0, lost=90_000))]
        drawing = chart.render(results(runs))
        self.assertIn("500 »", drawing)
        self.assertIn("lost 90.0 %", drawing)
        self.assertNotIn("»", chart.render(results(runs[:1])).split("beyond the axis")[1])

    def test_axes_have_marks_within_them(self):
        for values, logarithmic in (([0.04, 900], True), ([3.0], False), ([0.2], False), ([1], True), ([], False)):
            scale = chart.Scale(values, 300, logarithmic)
            marks = scale.marks()
            self.assertGreater(len(marks), 1, values)
            self.assertTrue(all(0 <= scale(mark) <= 300 for mark in marks), values)


class Peers(unittest.TestCase):
    def test_all_are_told_of_in_one_order_and_speak_a_dialect_of_the_generator(self):
        self.assertEqual(tuple(PEERS), PEER_ORDER)
        self.assertEqual(set(document.TITLES), set(SHAPES))
        self.assertLessEqual({peer.dialect for peer in PEERS.values()}, {"event", "socketio", "nats", "nchan"})

    def test_addresses_are_read_from_what_servers_say(self):
        self.assertEqual(read_floor_address("listening 127.0.0.1:4500\n"), "127.0.0.1:4500")
        self.assertIsNone(read_floor_address("something else"))
        line = '{"event":"listening","metadata":{"address":"127.0.0.1:1"}}'
        self.assertEqual(read_gateway_address(line), "127.0.0.1:1")
        for other in ("[1]", "x", '{"event":"other"}', '{"event":"listening"}'):
            self.assertIsNone(read_gateway_address(other), other)

    def test_a_server_is_started_heard_and_stopped(self):
        program = "print('listening 127.0.0.1:9', flush=True); import time; time.sleep(60)"
        with Server("test", [sys.executable, "-c", program], "stdout", read_floor_address) as server:
            self.assertEqual(server.wait_for_address(), "127.0.0.1:9")
            self.assertEqual(server.worker_pid(), server.process.pid)
        self.assertIsNotNone(server.process.poll())

    def test_wrong_flags_are_refused(self):
        for flags in (["--peers", "x"], ["--peers", "ws,ws"], ["--shapes", "1"], ["--rounds", "0"]):
            done = subprocess.run([SCRIPTS / "compare", *flags], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, flags)
            self.assertIn(flags[0], done.stderr)


if __name__ == "__main__":
    unittest.main()
