"""registry.py - a service client that changes identities while the gateway is killed, and knows what must be left.

An answered change is there after the restart; one that was under way may or may not be; nothing else has changed.
Standard library only: service requests over HTTPS with tokens of its own making.
"""

import base64
import hashlib
import hmac
import http.client
import json
import random
import ssl
import threading
import time
import urllib.parse

API = "api-version=2021-04-12"
IDENTITIES = 200
BULK = 8


def service_token(host, policy, key):
    scope, expiry = urllib.parse.quote(host, safe=""), str(int(time.time()) + 3600)
    mac = hmac.new(base64.b64decode(key), f"{scope}\n{expiry}".encode(), hashlib.sha256).digest()
    return (f"SharedAccessSignature sr={scope}&sig={urllib.parse.quote(base64.b64encode(mac), safe='')}"
            f"&skn={policy}&se={expiry}")


class Registry:
    """What the registry must hold: for each identity the states it may be in (one, but for changes under way)."""

    def __init__(self, host, port, certificate, policy, key, seed):
        self.host, self.port = host, port
        self.context = ssl.create_default_context(cafile=certificate)
        self.token = service_token(host, policy, key)
        self.random = random.Random(seed)
        self.states = {f"crash-{n}": {None} for n in range(IDENTITIES)}  # None = absent, else the statusReason
        self.number = self.answered = self.unanswered = 0
        self.faults = []
        self.thread = None
        self.connection = None

    def fault(self, text):
        if len(self.faults) < 20:
            self.faults.append(text)

    def request(self, method, path, body=None, etag=None):
        headers = {"Authorization": self.token}
        if etag:
            headers["If-Match"] = etag
        if self.connection is None:
            self.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=30)
        text = None if body is None else json.dumps(body)
        self.connection.request(method, f"{path}?{API}", body=text, headers=headers)
        response = self.connection.getresponse()
        return response.status, response.read()

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    # ---- changes ----

    def one(self, name):
        """One change of one identity: (method, path, body, etag, state afterwards, status expected)."""
        (now,) = self.states[name]
        self.number += 1
        after = f"change {self.number}"
        document = {"deviceId": name, "statusReason": after}
        if now is None:
            return "PUT", f"/devices/{name}", document, None, after, 200
        if self.random.random() < 0.3:
            return "DELETE", f"/devices/{name}", None, "*", None, 204
        return "PUT", f"/devices/{name}", document, '"*"', after, 200

    def change_one(self):
        name = self.random.choice(list(self.states))
        before = self.states[name]
        method, path, body, etag, after, expected = self.one(name)
        self.states[name] = before | {after}
        status, text = self.request(method, path, body, etag)
        if status != expected:
            self.fault(f"{method} {path}: {status} {text[:200]}")
        self.states[name] = {after}

    def change_many(self):
        names = self.random.sample(list(self.states), BULK)
        self.number += 1
        after = f"change {self.number}"
        records = [{"id": name, "importMode": "createOrUpdate", "status": "enabled", "statusReason": after}
                   for name in names]
        for name in names:
            self.states[name] = self.states[name] | {after}
        status, text = self.request("POST", "/devices", records)
        if status != 200:
            self.fault(f"POST /devices: {status} {text[:200]}")
        for name in names:
            self.states[name] = {after}

    def work(self):
        try:
            while True:
                (self.change_many if self.random.random() < 0.1 else self.change_one)()
                self.answered += 1
        except (OSError, http.client.HTTPException):
            self.unanswered += 1  # the gateway was killed
        finally:
            self.drop()

    # ---- a round ----

    def begin(self):
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def wait(self):
        self.thread.join(timeout=60)
        if self.thread.is_alive():
            self.fault("the service client did not notice that the gateway was killed")

    def check(self):
        """After a restart: every identity is in a state that it may be in, and that is the one it has from now on."""
        for name, allowed in self.states.items():
            status, text = self.request("GET", f"/devices/{name}")
            state = json.loads(text)["statusReason"] if status == 200 else None
            if status not in (200, 404):
                self.fault(f"GET {name}: {status} {text[:200]}")
            elif state not in allowed:
                self.fault(f"{name} is {state}, may be {sorted(map(str, allowed))}")
            self.states[name] = {state}
        self.drop()
