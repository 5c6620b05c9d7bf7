// send.js - a device with the unmodified Azure IoT device SDK.
//
//     npm ci && NODE_EXTRA_CA_CERTS=CA_FILE node send.js CONNECTION_STRING [PROTOCOL [COUNT [PORT]]]
//
// PROTOCOL is mqtt, amqp, either with -ws (over WebSocket), or http.  Nothing here knows Gatehouse: a connection string of
// the hub and trust in its certificate are all it takes; a port other than 443 needs an agent of its own, because the SDK
// has no place for it.
'use strict';
const https = require('https');
const { Client, Message } = require('azure-iot-device');
const { Amqp, AmqpWs } = require('azure-iot-device-amqp');
const { Http } = require('azure-iot-device-http');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');

const PROTOCOLS = { mqtt: Mqtt, 'mqtt-ws': MqttWs, amqp: Amqp, 'amqp-ws': AmqpWs, http: Http };

/** Where an agent with a port goes, for those whose port is 443 otherwise. */
const agentOptions = {
  http: (agent) => ({ http: { agent } }),
  'mqtt-ws': (agent) => ({ mqtt: { webSocketAgent: agent } }),
  'amqp-ws': (agent) => ({ amqp: { webSocketAgent: agent } }),
};

async function main(connectionString, protocol, count, port) {
  const client = Client.fromConnectionString(connectionString, PROTOCOLS[protocol]);
  client.setOptions(agentOptions[protocol]?.(new https.Agent({ port, keepAlive: true })) ?? {}); // tells nobody when
  await client.open();
  for (let number = 0; number < count; number++) {
    const message = new Message(JSON.stringify({ humidity: 40 + number }));
    message.messageId = `sdk-${protocol}-${number}`;
    message.contentType = 'application/json';
    message.contentEncoding = 'utf-8';
    message.properties.add('via', `azure-iot-device, ${protocol}`);
    await client.sendEvent(message); // resolves on the acknowledgement: the message is on disk
  }
  await client.close();
  console.log(`azure-iot-device, ${protocol}: ${count} messages acknowledged`);
}

const [connectionString, protocol = 'mqtt', count = '3', port = '443'] = process.argv.slice(2);
if (!connectionString || !PROTOCOLS[protocol]) {
  console.error('usage: NODE_EXTRA_CA_CERTS=CA_FILE node send.js CONNECTION_STRING [mqtt|mqtt-ws|amqp|amqp-ws|http [COUNT [PORT]]]');
  process.exit(2);
}
main(connectionString, protocol, Number(count), Number(port)).then(() => process.exit(0), (error) => {
  console.error(`azure-iot-device, ${protocol}: ${error.name}: ${error.message}`);
  process.exit(1);
});
