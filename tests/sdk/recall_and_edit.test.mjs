import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client, sdk } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { refusal, within } from './support/wait.mjs';

const region = await regionForThisFile();

async function pair() {
  const [a, b] = await region.rest.newUsers('a', 'b');
  return { a, b, left: await Client.of(region, a), right: await Client.of(region, b) };
}

const recall = (client, mid, to) =>
  within('the recall is acknowledged', client.connection.recallMessage({ mid, to, chatType: 'singleChat' }));

const edit = (client, messageId, to, msg) =>
  within('the edit is acknowledged', client.connection.modifyMessage({
    messageId,
    modifiedMessage: sdk.message.create({ type: 'txt', chatType: 'singleChat', to, msg }),
  }));

const historyOf = async (client, peer) => {
  const options = { targetId: peer.username, chatType: 'singleChat', pageSize: 50 };
  return (await client.connection.getHistoryMessages(options)).messages;
};

test('a recalled message is announced to the receiver and gone from the history of both', async () => {
  const { a, b, left, right } = await pair();
  const { serverMsgId } = await left.text(b.username, 'never mind');
  await right.next('onTextMessage');
  await recall(left, serverMsgId, b.username);
  const event = await right.next('onRecallMessage');
  assert.equal(event.mid, serverMsgId);
  assert.equal(event.from, a.username);
  for (const [client, peer] of [[left, b], [right, a]]) {
    const ids = (await historyOf(client, peer)).map((message) => message.id);
    assert.ok(!ids.includes(serverMsgId), 'the recalled message is still in the history');
  }
});

test('a message that is recalled before its receiver was there never reaches him', async () => {
  const { b, left, right } = await pair();
  right.close();
  const { serverMsgId } = await left.text(b.username, 'gone');
  await left.text(b.username, 'kept');
  await recall(left, serverMsgId, b.username);
  await right.login({ user: b.username, pwd: b.password });
  await right.next('onTextMessage', (message) => message.msg === 'kept');
  assert.deepEqual(right.texts(), ['kept']);
});

test('one cannot recall what another wrote', async () => {
  const { a, b, left, right } = await pair();
  const { serverMsgId } = await left.text(b.username, 'mine');
  await right.next('onTextMessage');
  const error = await refusal('the recall', right.connection.recallMessage({
    mid: serverMsgId, to: a.username, chatType: 'singleChat',
  }));
  assert.ok(error.type > 0, JSON.stringify(error));
  assert.deepEqual((await historyOf(left, b)).map((message) => message.msg), ['mine']);
});

test('an edited message is announced to the receiver with who changed it and how often', async () => {
  const { a, b, left, right } = await pair();
  const { serverMsgId } = await left.text(b.username, 'frist');
  await right.next('onTextMessage');
  for (const [count, text] of [[1, 'first'], [2, 'First']]) {
    const answer = await edit(left, serverMsgId, b.username, text);
    assert.equal(answer.message.modifiedInfo.operationCount, count);
    const message = await right.next('onModifiedMessage');
    assert.equal(message.id, serverMsgId);
    assert.equal(message.msg, text);
    assert.equal(message.modifiedInfo.operatorId, a.username);
    assert.equal(message.modifiedInfo.operationCount, count);
    assert.ok(Math.abs(message.modifiedInfo.operationTime - Date.now()) < 60_000);
  }
  const [stored] = await historyOf(right, a);
  assert.equal(stored.id, serverMsgId);
  assert.equal(stored.msg, 'First');
  assert.equal(stored.modifiedInfo.operationCount, 2);
});

test('one who was away receives the edited text', async () => {
  const { b, left, right } = await pair();
  right.close();
  const { serverMsgId } = await left.text(b.username, 'draft');
  await edit(left, serverMsgId, b.username, 'final');
  await right.login({ user: b.username, pwd: b.password });
  const message = await right.next('onTextMessage', (message) => message.id === serverMsgId);
  assert.equal(message.msg, 'final');
});

test('one cannot edit what another wrote, nor what does not exist', async () => {
  const { a, b, left, right } = await pair();
  const { serverMsgId } = await left.text(b.username, 'mine');
  await right.next('onTextMessage');
  const forbidden = await refusal('the edit', edit(right, serverMsgId, a.username, 'yours'));
  assert.equal(forbidden.type, 603, JSON.stringify(forbidden));
  const missing = await refusal('the edit', edit(left, '1', b.username, 'nothing'));
  assert.equal(missing.type, 1302, JSON.stringify(missing));
  assert.deepEqual((await historyOf(left, b)).map((message) => message.msg), ['mine']);
});
