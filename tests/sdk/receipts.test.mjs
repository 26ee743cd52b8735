import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';

const region = await regionForThisFile();

async function pair(options) {
  const [a, b] = await region.rest.newUsers('a', 'b');
  return { a, b, left: await Client.of(region, a), right: await Client.of(region, b, options) };
}

test('the sender hears that his message was delivered', async () => {
  const { b, left, right } = await pair({ delivery: true });
  const sent = await left.text(b.username, 'delivered?');
  await right.next('onTextMessage');
  const receipt = await left.next('onDeliveredMessage');
  assert.equal(receipt.mid, sent.serverMsgId);
  assert.equal(receipt.from, b.username);
});

test('the sender hears that his message was read', async () => {
  const { a, b, left, right } = await pair();
  const sent = await left.text(b.username, 'read?');
  const message = await right.next('onTextMessage');
  await right.send({ type: 'read', to: a.username, id: message.id });
  const receipt = await left.next('onReadMessage');
  assert.equal(receipt.mid, sent.serverMsgId);
  assert.equal(receipt.from, b.username);
  assert.equal(receipt.type, 'read');
});

test('the sender hears that the whole conversation was read', async () => {
  const { a, b, left, right } = await pair();
  await left.text(b.username, 'one');
  await left.text(b.username, 'two');
  await right.next('onTextMessage', (message) => message.msg === 'two');
  await right.send({ type: 'channel', to: a.username });
  const receipt = await left.next('onChannelMessage');
  assert.equal(receipt.from, b.username);
  assert.equal(receipt.to, a.username);
});

test('a receipt for one who is away reaches him when he is back', async () => {
  const { a, b, left, right } = await pair();
  const sent = await left.text(b.username, 'read later');
  const message = await right.next('onTextMessage');
  left.close();
  await right.send({ type: 'read', to: a.username, id: message.id });
  await left.login({ user: a.username, pwd: a.password });
  assert.equal((await left.next('onReadMessage')).mid, sent.serverMsgId);
});
