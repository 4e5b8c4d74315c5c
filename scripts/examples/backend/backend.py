"""A backend of Roomcast: answers `order:create`, and publishes a message about it. Python 3.8 or later, no packages.

    SHOP_SECRET=hush python3 backend.py 8090
"""
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def is_signed(secret, timestamp, signature, body):
    expected = "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(each, expected) for each in signature.split(","))


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        timestamp, signature = (self.headers.get("X-Roomcast-" + name, "0") for name in ("Timestamp", "Signature"))
        is_fresh = abs(time.time() - int(timestamp)) < 300
        if not (is_fresh and is_signed(os.environ["SHOP_SECRET"], timestamp, signature, body)):
            return self.say(401, {})
        asked = json.loads(body)
        user, event, room = asked["user"]["id"], asked["event"], asked.get("roomId")
        if event != "order:create":
            return self.say(200, {"error": {"code": "NO_SUCH_EVENT", "message": event + " is unknown here"}})
        publish = [{"roomId": room, "content": user + " orders"}] if room else []
        self.say(200, {"reply": {"orderId": user + "-1", "item": asked["data"].get("item")}, "publish": publish})

    def say(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Backend)
    print(server.server_port, flush=True)
    server.serve_forever()
