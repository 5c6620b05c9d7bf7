#!/bin/sh
# device_websocket.sh - a device with nothing but paho_cs_pub (Debian: paho.mqtt.c-examples), MQTT inside WebSocket;
# `gatehouse token create` makes its token.
#
#     device_websocket.sh CONNECTION_STRING CA_FILE [PORT [TEXT]]
#
# With QoS 1 paho_cs_pub ends when the message is acknowledged: then Gatehouse has it on disk.
set -eu
[ $# -ge 2 ] || { sed -n '2,7p' "$0" >&2; exit 2; }

part() { # part NAME: the value of one part of the connection string
	printf '%s' "$connection_string" | tr ';' '\n' | sed -n "s/^$1=//p"
}
connection_string=$1
ca_file=$2
port=${3:-443}
text=${4:-hello from paho_cs_pub}
host=$(part HostName)
device=$(part DeviceId)

token=$("${GATEHOUSE:-gatehouse}" token create --resource "$host/devices/$device" --key "$(part SharedAccessKey)" --ttl 3600)
# Its exit status is 0 whatever happens: what failed stands on stderr.
# shellcheck disable=SC2016 # $iothub is a word of the path
problem=$(paho_cs_pub -c "wss://$host:$port"'/$iothub/websocket' --cafile "$ca_file" -q 1 \
	-i "$device" -u "$host/$device/?api-version=2021-04-12" -P "$token" \
	-t "devices/$device/messages/events/%24.ct=text%2Fplain&via=paho_cs_pub%2C%20WebSocket" -m "$text" 2>&1 >/dev/null)
[ -z "$problem" ] || { echo "paho_cs_pub: $problem" >&2; exit 1; }
echo "paho_cs_pub: 1 message acknowledged"
