import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { eventually } from './support/wait.mjs';

const region = await regionForThisFile();

async function pair() {
  const [a, b] = await region.rest.newUsers('a', 'b');
  return { a, b, left: await Client.of(region, a), right: await Client.of(region, b) };
}

const isBack = (client, times = 2) =>
  eventually('the package is connected again', () => client.named('onConnected').length >= times);

test('a device whose socket was lost comes back by itself and misses nothing', async () => {
  const { b, left, right } = await pair();
  await left.text(b.username, 'before');
  await right.next('onTextMessage');
  right.dropSocket();
  await left.text(b.username, 'meanwhile 1');
  await left.text(b.username, 'meanwhile 2');
  await right.next('onReconnecting');
  await isBack(right);
  await left.text(b.username, 'after');
  await right.next('onTextMessage', (message) => message.msg === 'after');
  assert.deepEqual(right.texts(), ['before', 'meanwhile 1', 'meanwhile 2', 'after']);
});

test('what is sent while the own socket is down goes out once it is back', async () => {
  const { b, left, right } = await pair();
  left.dropSocket();
  await left.next('onReconnecting');
  await left.text(b.username, 'queued');
  await left.text(b.username, 'then');
  await right.next('onTextMessage', (message) => message.msg === 'then');
  assert.deepEqual(right.texts(), ['queued', 'then']);
});

test('messages arrive once each although the receiver loses his socket again and again', async () => {
  const { b, left, right } = await pair();
  const texts = [];
  for (let round = 0; round < 3; round += 1) {
    for (let index = 0; index < 20; index += 1) {
      const text = `round ${round}, text ${index}`;
      texts.push(text);
      await left.text(b.username, text);
      if (index === 10) right.dropSocket();
    }
    await isBack(right, round + 2);
  }
  await eventually('all are there', () => right.texts().length >= texts.length);
  await left.text(b.username, 'end');
  await right.next('onTextMessage', (message) => message.msg === 'end');
  assert.deepEqual(right.texts(), [...texts, 'end']);
});
