#!/usr/bin/python3
"""device_mqtt.py - a device with nothing but paho-mqtt (Debian: python3-paho-mqtt).

    device_mqtt.py CONNECTION_STRING CA_FILE [COUNT]

Makes its own SAS token, connects over TLS, sends COUNT messages with QoS 1 and waits until each is acknowledged: from
then on Gatehouse has it on disk.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.parse

import paho.mqtt.client as mqtt


def parse(connection_string):
    return dict(part.split("=", 1) for part in connection_string.split(";") if part)


def sas_token(resource, key, seconds):
    scope = urllib.parse.quote(resource, safe="")
    expiry = str(int(time.time()) + seconds)
    mac = hmac.new(base64.b64decode(key), f"{scope}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={scope}&sig={urllib.parse.quote(base64.b64encode(mac), safe='')}&se={expiry}"


def connect(settings, ca_file):
    host, device = settings["HostName"], settings["DeviceId"]
    client = mqtt.Client(client_id=device, clean_session=False, protocol=mqtt.MQTTv311)
    client.username_pw_set(f"{host}/{device}/?api-version=2021-04-12",
                           sas_token(f"{host}/devices/{device}", settings["SharedAccessKey"], 3600))
    client.tls_set(ca_file)
    address, _, port = settings.get("GatewayHostName", host).partition(":")
    client.connect(address, int(port or 8883), keepalive=60)
    client.loop_start()
    return client


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    settings, count = parse(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) == 4 else 3
    client = connect(settings, sys.argv[2])
    for number in range(count):
        bag = urllib.parse.urlencode({"$.ct": "application/json", "$.ce": "utf-8", "$.mid": f"paho-{number}",
                                      "via": "paho (python)"}, quote_via=urllib.parse.quote)
        sent = client.publish(f"devices/{settings['DeviceId']}/messages/events/{bag}",
                              json.dumps({"celsius": 20 + number}), qos=1)
        sent.wait_for_publish(timeout=10)
        if not sent.is_published():
            sys.exit("not acknowledged within 10 s")
    client.disconnect()
    client.loop_stop()
    print(f"paho: {count} messages acknowledged")


if __name__ == "__main__":
    main()
