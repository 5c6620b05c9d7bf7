#!/usr/bin/python3
"""amqp_proton.py - one message by Qpid Proton (Debian: python3-qpid-proton), as amqp_clients.test.js describes it in JSON on
stdin.  Ends with 0 when it was accepted; anything else is an exception."""

import json
import sys
import uuid

from proton import Message, SSLDomain, symbol
from proton.utils import BlockingConnection


def tls(ca_file):
    domain = SSLDomain(SSLDomain.MODE_CLIENT)
    domain.set_trusted_ca_db(ca_file)
    domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
    return domain


def message(wanted):
    made = Message(body=wanted["body"].encode(), inferred=True, id=wanted["message-id"],
                   correlation_id=uuid.UUID(wanted["correlation-id"]), user_id=wanted["user-id"].encode(),
                   content_type=symbol(wanted["content-type"]), content_encoding=symbol(wanted["content-encoding"]),
                   subject="means nothing", properties=wanted["properties"],
                   annotations={symbol(name): value for name, value in wanted["annotations"].items()})
    made.address = wanted["to"]
    made.creation_time, made.expiry_time = wanted["creation"], wanted["expiry"]
    return made


wanted = json.load(sys.stdin)
connection = BlockingConnection(f"amqps://localhost:{wanted['port']}", timeout=20, ssl_domain=tls(wanted["ca"]),
                                user=wanted["user"], password=wanted["token"], allowed_mechs="PLAIN", heartbeat=60)
connection.create_sender(wanted["address"]).send(message(wanted))  # returns when it was accepted
connection.close()
