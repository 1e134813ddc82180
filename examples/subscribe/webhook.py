"""Receives webhooks with Python's standard library: checks signature and time, and answers 2xx only once the work is done, so that
what fails is sent again. What was answered too late comes again, too: give whatever you call `webhook-id` as its idempotency key.

    WEBHOOK_SECRET=whsec_... python3 webhook.py 8080
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import time

SECRET = base64.b64decode(os.environ.get("WEBHOOK_SECRET", "").removeprefix("whsec_"))
TOLERANCE_S = 300
BODY_MAX = 1_000_000


def genuine(headers, body):
    """https://www.standardwebhooks.com: several signatures may stand in the header while a secret is changed."""
    sent_at = headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > TOLERANCE_S:
        return False
    signed = f"{headers.get('webhook-id', '')}.{sent_at}.".encode() + body
    wanted = b"v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest())
    return any(hmac.compare_digest(one.encode(), wanted) for one in headers.get("webhook-signature", "").split())


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("content-length", 0)), BODY_MAX))
        if not genuine(self.headers, body):
            return self.answer(401)
        event = json.loads(body)
        if event["type"] == "dev.granary.release.activated.v1":
            print(f"{event['source']} runs {event['data']['to']}", flush=True)
        return self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


if not SECRET:
    sys.exit("WEBHOOK_SECRET is not set: `granary webhook add URL` prints it")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080), Receiver).serve_forever()
