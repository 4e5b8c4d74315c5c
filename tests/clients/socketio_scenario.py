"""Drives the gateway with python-socketio; tests/it/socketio_python.rs starts it and compares what it prints.

Both users come through proxies of that module. It cuts the second's when told "cut", mends it when told "mend", and
replaces the server by another when told "restart"; the clients are never told.
"""

import asyncio
import base64
import os

from socketio_peer import DEADLINE_SECONDS, Peer

KIND = os.environ["CLIENT"]
URLS = {"ana": os.environ["URL_ANA"], "ben": os.environ["URL_BEN"]}
TOKENS = {"ana": os.environ["TOKEN_ANA"], "ben": os.environ["TOKEN_BEN"]}
# What the library calls them; None is its default, which begins by polling.
TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": None}
BYTES = bytes(range(256))
# More than the 16 packets that the library reads of one answer to a poll.
MANY = 20


class Scenario:
    def __init__(self, transport):
        self.name = transport
        self.transports = TRANSPORTS[transport]
        self.room = f"story-{transport}"

    def tell(self, line):
        print(f"{self.name}: {line}", flush=True)

    async def run(self):
        await self.refusals()
        self.ana, self.ben = [Peer(KIND, URLS[user], TOKENS[user], ["/", "/chat"]) for user in ("ana", "ben")]
        await self.ana.connect(self.transports)
        await self.ben.connect(self.transports)
        self.tell(f"connected over {self.ana.client.transport()}")
        await self.chat()
        await self.bytes()
        await self.namespaces()
        await self.cut()
        await self.cut_with_recovery()
        await self.restart()
        await self.ana.disconnect()
        _, _, (left, _) = await self.ben.expect("room:member-left")
        self.tell(f"disconnected, so {left['userId']} left")
        await self.ben.disconnect()

    async def refusals(self):
        refused = await Peer(KIND, URLS["ana"], "nonsense").refusal(self.transports)
        assert refused["message"], refused
        self.tell(f"refused without a good token: {refused['data']['code']}")
        refused = await Peer(KIND, URLS["ana"], TOKENS["ana"], ["/nowhere"]).refusal(self.transports)
        self.tell(f"refused in another namespace: {refused['message']}")

    async def send(self, content, namespace="/"):
        sent = await self.ana.call("message:send", {"roomId": self.room, "content": content}, namespace)
        assert "id" in sent, sent
        return sent

    async def chat(self):
        joined = await self.ana.call("room:join", {"roomId": self.room})
        self.tell(f"joined at offset {joined['offset']}")
        await self.ben.call("room:join", {"roomId": self.room})
        sent = await self.send("hello: ü€😀")
        for peer in (self.ana, self.ben):
            message = await peer.message()
            assert message["content"] == "hello: ü€😀" and message["senderId"] == "ana", message
            assert all(message[key] == sent[key] for key in ("id", "roomId", "epoch", "offset")), (message, sent)
        self.tell(f"sent and received at offset {sent['offset']}")
        await self.burst()
        error = await self.ana.call("message:send", {"roomId": "elsewhere", "content": 1})
        self.tell(f"acknowledged with an error: {error['code']}")

    async def burst(self):
        for number in range(MANY):
            message = {"roomId": self.room, "content": number}
            await self.ana.run(self.ana.client.emit, "message:send", message)
        for peer in (self.ana, self.ben):
            contents = [message["content"] for message in await self.messages(peer, MANY)]
            assert contents == list(range(MANY)), contents
        self.tell(f"{MANY} sent and received at once")

    async def messages(self, peer, count):
        """The next messages, in order; the client with threads starts one for each, so there they may overtake."""
        messages = [await peer.message() for _ in range(count)]
        return messages if peer.is_asyncio else sorted(messages, key=lambda message: message["offset"])

    async def bytes(self):
        sent = await self.send({"name": "picture", "pieces": [BYTES, b""]})
        history = await self.ben.call("room:history", {"roomId": self.room, "limit": 1})
        in_text = [{"_base64": base64.b64encode(piece).decode()} for piece in (BYTES, b"")]
        kept = history["messages"][0]
        assert (kept["id"], kept["content"]["pieces"]) == (sent["id"], in_text), kept
        self.tell("bytes sent and found in the history")
        # The client with threads starts one for each packet, so that attachments may overtake what they belong to.
        if self.ana.is_asyncio:
            for peer in (self.ana, self.ben):
                assert (await peer.message())["content"] == {"name": "picture", "pieces": [BYTES, b""]}
            self.tell("bytes received")

    async def namespaces(self):
        for peer in (self.ana, self.ben):
            joined = await peer.call("room:join", {"roomId": self.room}, "/chat")
            assert joined["offset"] == 0, joined
        await self.send("here")
        await self.received("here")
        await self.send("there", "/chat")
        message = await self.ben.message("/chat")
        assert (message["content"], message["offset"]) == ("there", 1), message
        self.tell("the room of that name in /chat is another")

    async def received(self, content):
        """Waits until the second user has it, and passes over what came before."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                message = await self.ben.message()
                if message["content"] == content:
                    return message

    async def cut_and_miss_many(self):
        """Gives them after the transport is mended and the library has connected by itself."""
        self.tell("cut")
        reason = await self.ben.disconnected()
        assert reason == self.ben.client.reason.TRANSPORT_ERROR, reason
        missed = [await self.send(number) for number in range(MANY)]
        self.tell("mend")
        await self.ben.connected()
        return missed

    async def cut(self):
        missed = await self.cut_and_miss_many()
        recover = {"epoch": missed[0]["epoch"], "offset": missed[0]["offset"] - 1}
        joined = await self.ben.call("room:join", {"roomId": self.room, "recover": recover})
        contents = [message["content"] for message in joined["messages"]]
        assert joined["recovered"] is True and contents == list(range(MANY)), joined
        await self.send("after the cut")
        await self.received("after the cut")
        self.tell(f"reconnected by itself, caught up on {MANY} and chatted on")

    async def cut_with_recovery(self):
        self.ben.recovers = True
        session = self.ben.sessions["/"]["pid"]
        missed = await self.cut_and_miss_many()
        assert self.ben.sessions["/"]["pid"] == session, self.ben.sessions
        messages = await self.messages(self.ben, MANY)
        assert [message["id"] for message in messages] == [sent["id"] for sent in missed], messages
        await self.send("after the recovery")
        assert (await self.ben.message())["content"] == "after the recovery"
        self.tell(f"recovered {MANY} and is still in the room")

    async def restart(self):
        self.tell("restart")
        for peer in (self.ana, self.ben):
            await peer.disconnected()
            await peer.connected()
            joined = await peer.call("room:join", {"roomId": self.room})
            assert joined["offset"] == 0, joined
        await self.send("on another server")
        await self.received("on another server")
        self.tell("reconnected by itself to another server and chatted on")


async def main():
    for transport in TRANSPORTS:
        await Scenario(transport).run()


asyncio.run(main())
