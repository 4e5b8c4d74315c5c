"""One Socket.IO client of the scenario: either of python-socketio's two, asyncio or threads, behind one face.

Beside what the library offers it notes the payload of CONNECT and the last offset, with which an application recovers.
"""

import asyncio

import socketio

DEADLINE_SECONDS = 20
CLIENTS = {"asyncio": socketio.AsyncClient, "threads": socketio.Client}
# As the library's defaults, only that a test need not wait for them.
SOON = {"reconnection_delay": 0.1, "reconnection_delay_max": 0.1, "randomization_factor": 0}


class Peer:
    """What happens to the client is kept in the order in which the library told it."""

    def __init__(self, kind, url, token, namespaces=("/",)):
        self.is_asyncio = kind == "asyncio"
        self.url = url
        self.token = token
        self.namespaces = list(namespaces)
        self.recovers = False
        self.sessions = {}
        self.offset = None
        self.kept = []
        self.arrived = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        self.client = CLIENTS[kind](serializer=self.packets(), **SOON)
        for namespace in self.namespaces:
            for event in ("connect", "connect_error", "disconnect", "*"):
                self.client.on(event, self.handler(namespace, event), namespace)

    def packets(self):
        """The library's packets, which otherwise keep no more of a CONNECT than its `sid`."""

        class Packet(socketio.packet.Packet):
            def decode(packet, encoded):
                attachments = super().decode(encoded)
                if packet.packet_type == socketio.packet.CONNECT:
                    self.sessions[packet.namespace or "/"] = packet.data
                return attachments

        return Packet

    def handler(self, namespace, event):
        def handle(*arguments):
            name, *arguments = arguments if event == "*" else (event, *arguments)
            if event == "*" and namespace == "/" and isinstance(arguments[-1], str):
                self.offset = arguments[-1]
            self.loop.call_soon_threadsafe(self.arrived.put_nowait, (namespace, name, arguments))

        return handle

    def auth(self):
        """What CONNECT carries; the library asks again before each attempt."""
        if not (self.recovers and self.sessions):
            return {"token": self.token}
        return {"token": self.token, "pid": self.sessions["/"]["pid"], "offset": self.offset}

    async def run(self, method, *arguments, **named):
        if self.is_asyncio:
            return await method(*arguments, **named)
        return await asyncio.to_thread(method, *arguments, **named)

    async def connect(self, transports):
        connect = self.client.connect

        def patient(*arguments, **named):
            # The library waits for a second only, which a busy machine may need, and reconnects through this name too.
            return connect(*arguments, **{"wait_timeout": DEADLINE_SECONDS, **named})

        self.client.connect = patient
        await self.run(patient, self.url, auth=self.auth, transports=transports, namespaces=self.namespaces)
        await self.connected()

    async def connected(self):
        for namespace in self.namespaces:
            await self.expect("connect", namespace)

    async def disconnected(self):
        """Gives the reason."""
        reasons = {(await self.expect("disconnect", namespace))[2][0] for namespace in self.namespaces}
        assert len(reasons) == 1, reasons
        return reasons.pop()

    async def refusal(self, transports):
        """The payload of CONNECT_ERROR."""
        try:
            await self.connect(transports)
        except socketio.exceptions.ConnectionError:
            _, _, (error,) = await self.expect("connect_error", self.namespaces[0])
            return error
        raise AssertionError("let in")

    async def call(self, event, data, namespace="/"):
        """Emits and gives what the acknowledgement says."""
        return await self.run(self.client.call, event, data, namespace=namespace, timeout=DEADLINE_SECONDS)

    async def disconnect(self):
        # The library loses its farewell when it is still in the midst of a POST.
        await self.run(self.client.eio.queue.join)
        await self.run(self.client.disconnect)

    async def expect(self, event, namespace="/"):
        """The oldest such happening that was not asked for yet."""
        for at, happening in enumerate(self.kept):
            if happening[:2] == (namespace, event):
                return self.kept.pop(at)
        while True:
            happening = await asyncio.wait_for(self.arrived.get(), DEADLINE_SECONDS)
            if happening[:2] == (namespace, event):
                return happening
            self.kept.append(happening)

    async def message(self, namespace="/"):
        """The next message, which came as an event with one object and the opaque offset."""
        _, _, (message, offset) = await self.expect("message:received", namespace)
        assert isinstance(offset, str), offset
        return message
