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

const back = (client, user) => client.login({ user: user.username, pwd: user.password });

const numbered = (count, prefix = 'text') => Array.from({ length: count }, (_, index) => `${prefix} ${index}`);

// The server has noticed that the user's last socket is gone.
const isOffline = ({ username }) => eventually('the user is offline', async () => {
  const { data } = await region.rest.admin('GET', `/users/${username}/status`);
  return data[username] === 'offline';
});

test('what was sent while a device was away comes once, in order, when it is back', async () => {
  const { b, left, right } = await pair();
  right.close();
  const texts = numbered(120);
  for (const text of texts) await left.text(b.username, text);
  await back(right, b);
  await right.next('onOfflineMessageSyncStart');
  await right.next('onOfflineMessageSyncFinish');
  await eventually('all are there', () => right.texts().length >= texts.length);
  await left.text(b.username, 'live');
  await right.next('onTextMessage', (message) => message.msg === 'live');
  assert.deepEqual(right.texts(), [...texts, 'live']);
});

test('what a device has taken does not come again', async () => {
  const { b, left, right } = await pair();
  await left.text(b.username, 'first');
  await right.next('onTextMessage');
  // Before the proof of a delivery is there, the message would rightly come again.
  const taken = () => eventually('everything is taken', async () => {
    const { data } = await region.rest.admin('GET', `/users/${b.username}/offline_msg_count`);
    return data[b.username] === 0;
  });
  await taken();
  right.close();
  await left.text(b.username, 'second');
  await back(right, b);
  await right.next('onTextMessage', (message) => message.msg === 'second');
  await left.text(b.username, 'third');
  await right.next('onTextMessage', (message) => message.msg === 'third');
  await taken();
  right.close();
  await back(right, b);
  await left.text(b.username, 'fourth');
  await right.next('onTextMessage', (message) => message.msg === 'fourth');
  assert.deepEqual(right.texts(), ['first', 'second', 'third', 'fourth']);
});

test('messages of several people come, each conversation in its order', async () => {
  const { b, right } = await pair();
  right.close();
  const senders = await Promise.all(
    ['x', 'y', 'z'].map(async (prefix) => Client.of(region, await region.rest.newUser(prefix))),
  );
  for (const text of numbered(10)) {
    await Promise.all(senders.map((sender) => sender.text(b.username, text)));
  }
  await back(right, b);
  await eventually('all are there', () => right.texts().length >= 30);
  for (const sender of senders) {
    const from = right.named('onTextMessage').filter((message) => message.from === sender.connection.user);
    assert.deepEqual(from.map((message) => message.msg), numbered(10));
  }
});

test('a device that was never there before gets what no device has taken', async () => {
  const { b, left, right } = await pair();
  right.close();
  await left.text(b.username, 'waiting');
  const phone = await Client.of(region, b);
  await phone.next('onTextMessage');
  assert.deepEqual(phone.texts(), ['waiting']);
  // The old device has not taken it yet.
  await back(right, b);
  await right.next('onTextMessage');
  assert.deepEqual(right.texts(), ['waiting']);
});

test('a message for those who are online does not wait for one who is not', async () => {
  const { b, left, right } = await pair();
  right.close();
  await isOffline(b);
  await left.text(b.username, 'for now only', { deliverOnlineOnly: true });
  await left.text(b.username, 'kept');
  await back(right, b);
  await right.next('onTextMessage', (message) => message.msg === 'kept');
  assert.deepEqual(right.texts(), ['kept']);
});

test('the back end is told how much waits', async () => {
  const { b, left, right } = await pair();
  right.close();
  await isOffline(b);
  for (const text of numbered(3)) await left.text(b.username, text);
  const waits = async () =>
    (await region.rest.admin('GET', `/users/${b.username}/offline_msg_count`)).data[b.username];
  assert.equal(await waits(), 3);
  await back(right, b);
  await eventually('none waits', async () => (await waits()) === 0);
});
