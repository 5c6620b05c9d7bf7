#!/usr/bin/python3
"""device_amqp.py - a device with nothing but Qpid Proton (Debian: python3-qpid-proton).

    device_amqp.py CONNECTION_STRING CA_FILE [COUNT]

Makes its own SAS token, which is the password of SASL PLAIN, opens a link for telemetry and sends COUNT messages; each is
settled as accepted when Gatehouse has it on disk.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.parse

from proton import Message, SSLDomain, symbol
from proton.utils import BlockingConnection


def parse(connection_string):
    return dict(part.split("=", 1) for part in connection_string.split(";") if part)


def sas_token(resource, key, seconds):
    scope = urllib.parse.quote(resource, safe="")
    expiry = str(int(time.time()) + seconds)
    mac = hmac.new(base64.b64decode(key), f"{scope}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={scope}&sig={urllib.parse.quote(base64.b64encode(mac), safe='')}&se={expiry}"


def connect(settings, ca_file):
    host, device = settings["HostName"], settings["DeviceId"]
    domain = SSLDomain(SSLDomain.MODE_CLIENT)
    domain.set_trusted_ca_db(ca_file)
    domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
    address, _, port = settings.get("GatewayHostName", host).partition(":")
    return BlockingConnection(f"amqps://{address}:{port or 5671}", timeout=10, ssl_domain=domain, allowed_mechs="PLAIN",
                              user=f"{device}@sas.{host.split('.')[0]}",
                              password=sas_token(f"{host}/devices/{device}", settings["SharedAccessKey"], 3600))


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    settings, count = parse(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) == 4 else 3
    connection = connect(settings, sys.argv[2])
    sender = connection.create_sender(f"/devices/{urllib.parse.quote(settings['DeviceId'], safe='')}/messages/events")
    for number in range(count):
        sender.send(Message(json.dumps({"celsius": 20 + number}).encode(), inferred=True, id=f"proton-{number}",
                            content_type=symbol("application/json"), content_encoding=symbol("utf-8"),
                            properties={"via": "Qpid Proton (python)"}))  # raises when it is not accepted
    connection.close()
    print(f"Qpid Proton: {count} messages accepted")


if __name__ == "__main__":
    main()
