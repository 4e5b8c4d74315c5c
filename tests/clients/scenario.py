"""Drives the gateway with Python's websockets; tests/it/foreign_clients.rs starts it and compares what it prints."""

import asyncio
import json
import os

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

URL = os.environ["URL"]
TOKENS = {"ana": os.environ["TOKEN_ANA"], "ben": os.environ["TOKEN_BEN"]}
DEADLINE_SECONDS = 20


def tell(line):
    print(line, flush=True)


class Client:
    """One connection; what is not asked for now is kept for later."""

    def __init__(self, socket):
        self.socket = socket
        self.kept = []

    async def send(self, value):
        await self.socket.send(json.dumps(value))

    async def send_in_fragments(self, value):
        text = json.dumps(value)
        third = len(text) // 3
        await self.socket.send([text[:third], text[third : 2 * third], text[2 * third :]])

    async def expect(self, wanted):
        for at, value in enumerate(self.kept):
            if wanted(value):
                return self.kept.pop(at)
        while True:
            value = json.loads(await asyncio.wait_for(self.socket.recv(), DEADLINE_SECONDS))
            if wanted(value):
                return value
            self.kept.append(value)

    async def request(self, event, data, request_id):
        await self.send({"event": event, "data": data, "requestId": request_id})
        reply = await self.expect(lambda value: value.get("requestId") == request_id)
        assert reply["event"] != "error", reply
        return reply["data"]

    async def message(self):
        return await self.expect(lambda value: value.get("event") == "message:received" or value.get("type") == "message")

    async def close_code(self):
        try:
            while True:
                await asyncio.wait_for(self.socket.recv(), DEADLINE_SECONDS)
        except ConnectionClosed as closed:
            return closed.rcvd.code

    async def close(self):
        await self.socket.close()
        return self.socket.close_code


async def open_client(user=None, dialect="event"):
    headers = {"Authorization": f"Bearer {TOKENS[user]}"} if user else {}
    protocols = [f"roomcast.{dialect}.v1"]
    return Client(await connect(URL, additional_headers=headers, subprotocols=protocols, max_size=None))


async def event_dialect():
    try:
        await connect(URL, additional_headers={"Authorization": "Bearer nonsense"})
    except InvalidStatus as refusal:
        tell(f"event: refused without a good token: {refusal.response.status_code}")
    ana = await open_client("ana")
    ben = await open_client("ben")
    tell(f"event: subprotocol {ana.socket.subprotocol}")
    joined = await ana.request("room:join", {"roomId": "story"}, "join")
    tell(f"event: joined at offset {joined['offset']}")
    await ben.request("room:join", {"roomId": "story"}, 1)
    sent = await ana.request("message:send", {"roomId": "story", "content": "hello"}, "send")
    for client in (ana, ben):
        message = (await client.message())["data"]
        assert message["content"] == "hello" and message["id"] == sent["id"], message
    tell("event: sent and received")
    content = "in three pieces: ü€😀" * 10
    await ana.send_in_fragments({"event": "message:send", "data": {"roomId": "story", "content": content}})
    assert (await ben.message())["data"]["content"] == content
    tell("event: fragmented message received")
    content = "x" * 500_000
    await ana.send({"event": "message:send", "data": {"roomId": "story", "content": content}})
    assert (await ben.message())["data"]["content"] == content
    tell("event: large message received")
    await asyncio.wait_for(await ana.socket.ping(b"payload"), DEADLINE_SECONDS)
    await ana.request("ping", {}, "ping")
    tell("event: ping answered")
    await ben.close()
    for number in range(3):
        last = await ana.request("message:send", {"roomId": "story", "content": number}, f"gap{number}")
    ben = await open_client("ben")
    recover = {"epoch": joined["epoch"], "offset": last["offset"] - 3}
    joined = await ben.request("room:join", {"roomId": "story", "recover": recover}, "recover")
    assert joined["recovered"] is True, joined
    contents = [message["content"] for message in joined["messages"]]
    assert contents == [0, 1, 2], contents
    tell(f"event: left a gap of 3 and recovered {len(contents)}")
    await ben.socket.send(b"binary")
    tell(f"event: binary closes with {await ben.close_code()}")
    pending = await open_client()
    for _ in range(3):
        await pending.send({"event": "auth", "data": {"token": "nonsense"}})
    tell(f"event: bad message closes with {await pending.close_code()}")
    ben = await open_client("ben")
    await ben.send({"event": "ping", "data": {"fill": "x" * (1 << 20)}})
    tell(f"event: too large closes with {await ben.close_code()}")
    tell(f"event: closed with {await ana.close()}")


async def topic_dialect():
    ana = await open_client(dialect="topic")
    tell(f"topic: subprotocol {ana.socket.subprotocol}")
    await ana.send({"type": "auth", "token": TOKENS["ana"]})
    success = await ana.expect(lambda value: value["type"] == "auth_success")
    assert success["userId"] == "ana", success
    tell("topic: authenticated by a first message")
    await ana.send({"type": "subscribe", "topic": "tale.one"})
    subscribed = await ana.expect(lambda value: value["type"] == "subscribed")
    tell(f"topic: subscribed at offset {subscribed['offset']}")
    ben = await open_client("ben", "topic")
    await ben.send({"type": "subscribe", "topic": "tale.*"})
    await ben.expect(lambda value: value["type"] == "subscribed")
    await ana.send({"type": "message", "topic": "tale.one", "data": {"n": 1}, "metadata": {"lang": "en"}})
    message = await ana.message()
    assert message["data"] == {"n": 1} and message["metadata"]["lang"] == "en", message
    tell("topic: sent and received")
    assert (await ben.message())["metadata"]["id"] == message["metadata"]["id"]
    tell("topic: pattern received")
    for content in ("in three pieces: ü€😀" * 10, "x" * 500_000):
        await ben.send_in_fragments({"type": "message", "topic": "tale.one", "data": content})
        assert (await ana.message())["data"] == content
        assert (await ben.message())["data"] == content
    tell("topic: fragmented and large messages received")
    await ana.close()
    for number in range(3):
        await ben.send({"type": "message", "topic": "tale.one", "data": number})
        last = (await ben.message())["metadata"]
    ana = await open_client("ana", "topic")
    recover = {"epoch": last["epoch"], "offset": last["offset"] - 3}
    await ana.send({"type": "subscribe", "topic": "tale.one", "recover": recover})
    subscribed = await ana.expect(lambda value: value["type"] == "subscribed")
    contents = [value["data"] for value in ana.kept if value["type"] == "message"]
    assert subscribed["recovered"] is True and contents == [0, 1, 2], (subscribed, contents)
    tell(f"topic: left a gap of 3 and recovered {len(contents)}")
    await ben.close()
    tell(f"topic: closed with {await ana.close()}")


async def main():
    await event_dialect()
    await topic_dialect()


asyncio.run(main())
