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

test('a text goes both ways with its content, its sender, its id and its time', async () => {
  const { a, b, left, right } = await pair();
  for (const [from, to, sender, receiver] of [[a, b, left, right], [b, a, right, left]]) {
    const begin = Date.now();
    const sent = await sender.text(to.username, 'hello');
    assert.match(sent.serverMsgId, /^[1-9][0-9]*$/);
    assert.equal(sent.localMsgId, sent.local.id);

    const message = await receiver.next('onTextMessage');
    assert.equal(message.id, sent.serverMsgId);
    assert.equal(message.msg, 'hello');
    assert.equal(message.type, 'txt');
    assert.equal(message.chatType, 'singleChat');
    assert.equal(message.from, from.username);
    assert.equal(message.to, to.username);
    assert.equal(message.onlineState, 1);
    assert.ok(message.time >= begin - 1000 && message.time <= Date.now() + 1000, String(message.time));
  }
});

test('every character arrives as it was sent', async () => {
  const { b, left, right } = await pair();
  const texts = [' ', 'Grüße 你好 🙂👩‍👩‍👧 ‏שלום', '<b>&amp;</b> "\\ \u0000\n\t', 'x'.repeat(4000)];
  for (const text of texts) await left.text(b.username, text);
  for (const text of texts) assert.equal((await right.next('onTextMessage')).msg, text);
});

test('what is added to a message keeps its types', async () => {
  const { b, left, right } = await pair();
  const ext = { text: 'a', whole: 7, part: 1.5, yes: true, no: false, nested: { list: [1, 'two', null] } };
  await left.text(b.username, 'with more', { ext });
  assert.deepEqual((await right.next('onTextMessage')).ext, ext);
});

test('many messages arrive once each, in the order in which they were sent, with rising ids', async () => {
  const { b, left, right } = await pair();
  const texts = Array.from({ length: 300 }, (_, index) => `text ${index}`);
  const sent = await Promise.all(texts.map((text) => left.text(b.username, text)));
  await eventually('all have arrived', () => right.texts().length >= texts.length);
  assert.deepEqual(right.texts(), texts);

  const ids = right.named('onTextMessage').map((message) => BigInt(message.id));
  assert.deepEqual(ids, sent.map((answer) => BigInt(answer.serverMsgId)));
  assert.ok(ids.every((id, index) => index === 0 || id > ids[index - 1]));
});

test('two who write at once see both in one order', async () => {
  const { a, b, left, right } = await pair();
  const history = async (client, peer) => {
    const page = await client.connection.getHistoryMessages({
      targetId: peer.username, chatType: 'singleChat', pageSize: 50, searchDirection: 'down',
    });
    return page.messages.map((message) => message.msg);
  };
  const sends = [];
  for (let index = 0; index < 20; index += 1) {
    sends.push(left.text(b.username, `left ${index}`), right.text(a.username, `right ${index}`));
  }
  await Promise.all(sends);
  const seen = await history(left, b);
  assert.equal(seen.length, 40);
  assert.deepEqual(await history(right, a), seen);
  for (const side of ['left', 'right']) {
    const own = seen.filter((text) => text.startsWith(side));
    assert.deepEqual(own, Array.from({ length: 20 }, (_, index) => `${side} ${index}`));
  }
});

test('a message of the back end arrives like any other', async () => {
  const { a, b, right } = await pair();
  const { data } = await region.rest.admin('POST', '/messages/users', {
    from: a.username, to: [b.username], type: 'txt', body: { msg: 'from the back end' }, ext: { order: 17 },
  });
  const message = await right.next('onTextMessage');
  assert.equal(message.msg, 'from the back end');
  assert.equal(message.from, a.username);
  assert.equal(message.to, b.username);
  assert.equal(message.id, data[b.username]);
  assert.deepEqual(message.ext, { order: 17 });
});

test('nobody else hears of it', async () => {
  const { b, left, right } = await pair();
  const stranger = await Client.of(region, await region.rest.newUser('stranger'));
  await left.text(b.username, 'between us');
  await right.next('onTextMessage');
  // What the stranger gets next is the first thing he gets at all.
  await left.text(stranger.connection.user, 'for you');
  await stranger.next('onTextMessage');
  assert.deepEqual(stranger.texts(), ['for you']);
});
