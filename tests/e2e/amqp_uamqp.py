#!/usr/bin/python3
"""amqp_uamqp.py - one message by uamqp (Debian: python3-uamqp), as amqp_clients.test.js describes it in JSON on stdin; its
token goes through CBS, or is the password of SASL PLAIN.  Ends with 0 when it was accepted."""

import datetime
import json
import sys

import uamqp
from uamqp import authentication


def credentials(wanted):
    place = {"port": wanted["port"], "verify": wanted["ca"]}
    if wanted["mechanism"] == "PLAIN":
        return authentication.SASLPlain("localhost", wanted["user"], wanted["token"], **place)
    expiry = datetime.datetime.now() + datetime.timedelta(hours=1)
    return authentication.SASTokenAuth(wanted["audience"], wanted["audience"], wanted["token"],
                                       expires_in=datetime.timedelta(hours=1), expires_at=expiry.timestamp(),
                                       custom_endpoint_hostname="localhost", hostname="localhost", **place)


def message(wanted):
    properties = uamqp.message.MessageProperties(
        message_id=wanted["message-id"], correlation_id=wanted["correlation-id"], user_id=wanted["user-id"], to=wanted["to"],
        content_type=wanted["content-type"], content_encoding=wanted["content-encoding"],
        creation_time=int(wanted["creation"] * 1000), absolute_expiry_time=int(wanted["expiry"] * 1000))
    return uamqp.Message(wanted["body"].encode(), properties=properties, application_properties=wanted["properties"],
                         annotations=wanted["annotations"])


wanted = json.load(sys.stdin)
client = uamqp.SendClient(f"amqps://localhost{wanted['address']}", auth=credentials(wanted), debug=False)
client.queue_message(message(wanted))
states = client.send_all_messages()
client.close()
sys.exit(0 if states == [uamqp.constants.MessageState.SendComplete] else f"not accepted: {states}")
