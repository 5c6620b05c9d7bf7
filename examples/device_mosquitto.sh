#!/bin/sh
# device_mosquitto.sh - a device with nothing but mosquitto_pub; `gatehouse token create` makes its token.
#
#     device_mosquitto.sh CONNECTION_STRING CA_FILE [TEXT]
#
# With QoS 1 mosquitto_pub ends when the message is acknowledged: then Gatehouse has it on disk.
set -eu
[ $# -ge 2 ] || { sed -n '2,6p' "$0" >&2; exit 2; }

part() { # part NAME: the value of one part of the connection string
	printf '%s' "$connection_string" | tr ';' '\n' | sed -n "s/^$1=//p"
}
connection_string=$1
ca_file=$2
text=${3:-hello from mosquitto_pub}
host=$(part HostName)
device=$(part DeviceId)
address=$(part GatewayHostName)
address=${address:-$host}
case $address in
*:*) port=${address##*:} ;;
*) port=8883 ;;
esac

token=$("${GATEHOUSE:-gatehouse}" token create --resource "$host/devices/$device" --key "$(part SharedAccessKey)" --ttl 3600)
mosquitto_pub -h "${address%%:*}" -p "$port" --cafile "$ca_file" -V mqttv311 -q 1 \
	-i "$device" -u "$host/$device/?api-version=2021-04-12" -P "$token" \
	-t "devices/$device/messages/events/%24.ct=text%2Fplain&via=mosquitto_pub" -m "$text"
echo "mosquitto_pub: 1 message acknowledged"
