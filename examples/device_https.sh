#!/bin/sh
# device_https.sh - a device with nothing but curl; `gatehouse token create` makes its token.
#
#     device_https.sh CONNECTION_STRING CA_FILE [PORT [TEXT]]
#
# Sends one message over HTTP/1.1 and one over HTTP/2.  204 is the acknowledgement: then Gatehouse has it on disk.
set -eu
[ $# -ge 2 ] || { sed -n '2,6p' "$0" >&2; exit 2; }

part() { # part NAME: the value of one part of the connection string
	printf '%s' "$connection_string" | tr ';' '\n' | sed -n "s/^$1=//p"
}
connection_string=$1
ca_file=$2
port=${3:-443}
text=${4:-hello from curl}
host=$(part HostName)
device=$(part DeviceId)

token=$("${GATEHOUSE:-gatehouse}" token create --resource "$host/devices/$device" --key "$(part SharedAccessKey)" --ttl 3600)
for version in 1.1 2; do
	code=$(curl --silent --show-error --cacert "$ca_file" "--http$version" --output /dev/null --write-out '%{http_code}' \
		--header "Authorization: $token" --header 'iothub-contenttype: text/plain' \
		--header "iothub-app-via: curl, HTTP/$version" --data-binary "$text" \
		"https://$host:$port/devices/$device/messages/events?api-version=2021-04-12")
	[ "$code" = 204 ] || { echo "curl, HTTP/$version: answered $code" >&2; exit 1; }
done
echo "curl: 2 messages acknowledged"
