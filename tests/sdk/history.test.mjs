import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { within } from './support/wait.mjs';

const region = await regionForThisFile();
const COUNT = 45;
const [a, b] = await region.rest.newUsers('a', 'b');
const left = await Client.of(region, a);
const right = await Client.of(region, b);

const sent = [];
for (let index = 0; index < COUNT; index += 1) {
  const answer = await left.text(b.username, `text ${index}`, { ext: { index } });
  sent.push({ id: answer.serverMsgId, msg: `text ${index}`, ext: { index } });
}
await left.send({ type: 'cmd', to: b.username, action: 'ring' });
await left.send({ type: 'custom', to: b.username, customEvent: 'gift', customExts: { name: 'rose' } });

const page = (client, options) => within('a page of history', client.connection.getHistoryMessages({
  targetId: client === left ? b.username : a.username, chatType: 'singleChat', ...options,
}));

const shape = ({ id, msg, ext }) => ({ id, msg, ext });

async function all(client, options) {
  const messages = [];
  let cursor = -1;
  for (let pages = 0; pages < 20; pages += 1) {
    const answer = await page(client, { ...options, cursor });
    messages.push(...answer.messages);
    if (answer.isLast) return messages;
    cursor = answer.cursor;
  }
  throw new Error('the history does not end');
}

test('both read the whole history page by page, oldest first', async () => {
  const options = { pageSize: 20, searchDirection: 'down', searchOptions: { msgTypes: ['txt'] } };
  for (const client of [left, right]) {
    const messages = await all(client, options);
    assert.deepEqual(messages.map(shape), sent);
    for (const message of messages) {
      assert.equal(message.from, a.username);
      assert.equal(message.to, b.username);
      assert.equal(message.chatType, 'singleChat');
    }
  }
});

test('the history goes back from the newest', async () => {
  const options = { pageSize: 20, searchDirection: 'up', searchOptions: { msgTypes: ['txt'] } };
  const ids = (await all(right, options)).map((message) => message.id);
  assert.deepEqual([...ids].sort((x, y) => (BigInt(x) < BigInt(y) ? -1 : 1)), sent.map(({ id }) => id));
  const newest = (await page(right, options)).messages.map((message) => message.id);
  assert.deepEqual(new Set(newest), new Set(sent.slice(-20).map(({ id }) => id)));
});

test('the history is searched by type', async () => {
  const custom = await page(right, { pageSize: 20, searchOptions: { msgTypes: ['custom'] } });
  assert.deepEqual(custom.messages.map((message) => message.customEvent), ['gift']);
  // A command is done and over: it waits for those who are away, but it is no history.
  const commands = await page(right, { pageSize: 20, searchOptions: { msgTypes: ['cmd'] } });
  assert.deepEqual(commands.messages, []);
});

test('the history is searched by time', async () => {
  const none = await page(right, { searchOptions: { startTime: 1, endTime: 2 } });
  assert.deepEqual(none.messages, []);
  const startTime = Date.now() - 3_600_000;
  const some = await page(right, { pageSize: 50, searchOptions: { startTime, endTime: Date.now() + 1000 } });
  assert.ok(some.messages.length >= COUNT, String(some.messages.length));
});

test('a conversation that never was has an empty history', async () => {
  const { username } = await region.rest.newUser();
  const answer = await page(right, { targetId: username });
  assert.deepEqual(answer.messages, []);
  assert.equal(answer.isLast, true);
});

test('nobody reads the history of others', async () => {
  const thief = await region.rest.newUser('thief');
  const token = await region.rest.userToken(thief);
  const { status } = await region.rest.call('POST', `/users/${a.username}/messageroaming`, {
    token,
    body: { queue: `${b.username}@easemob.com`, start: -1, end: -1, pull_number: 20, is_positive: false },
  });
  assert.ok([401, 403].includes(status), String(status));
});
