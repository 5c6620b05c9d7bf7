// send.js - a device with the unmodified Azure IoT device SDK.
//
//     npm ci && NODE_EXTRA_CA_CERTS=CA_FILE node send.js CONNECTION_STRING [COUNT]
//
// Nothing here knows Gatehouse: a connection string of the hub and trust in its certificate are all it takes.
'use strict';
const { Client, Message } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');

async function main(connectionString, count) {
  const client = Client.fromConnectionString(connectionString, Mqtt);
  await client.open();
  for (let number = 0; number < count; number++) {
    const message = new Message(JSON.stringify({ humidity: 40 + number }));
    message.messageId = `sdk-${number}`;
    message.contentType = 'application/json';
    message.contentEncoding = 'utf-8';
    message.properties.add('via', 'azure-iot-device');
    await client.sendEvent(message); // resolves on the acknowledgement: the message is on disk
  }
  await client.close();
  console.log(`azure-iot-device: ${count} messages acknowledged`);
}

const [connectionString, count = '3'] = process.argv.slice(2);
if (!connectionString) {
  console.error('usage: NODE_EXTRA_CA_CERTS=CA_FILE node send.js CONNECTION_STRING [COUNT]');
  process.exit(2);
}
main(connectionString, Number(count)).catch((error) => {
  console.error(`azure-iot-device: ${error.name}: ${error.message}`);
  process.exit(1);
});
