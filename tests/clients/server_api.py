"""A backend on Python's requests, with a session that keeps its connection: a line for every step."""

import os

import requests

BASE, KEY = os.environ["URL"], os.environ["KEY"]
session = requests.Session()
session.headers["X-API-Key"] = KEY

offsets = {session.post(f"{BASE}/v1/rooms/lobby/messages", json={"content": n}).json()["offset"] for n in range(200)}
print(f"published {len(offsets)} at once")
history = session.get(f"{BASE}/v1/rooms/lobby/messages", params={"limit": 1000}).json()
print(f"history holds {len(history['messages'])}")
missing = session.get(f"{BASE}/v1/rooms/nowhere")
print(f"unknown room: {missing.status_code} {missing.json()['code']}")
large = session.post(f"{BASE}/v1/rooms/lobby/messages", json={"content": "x" * 900_000})
print(f"large message: {large.status_code}")
