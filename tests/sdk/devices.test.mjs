import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { within } from './support/wait.mjs';

const region = await regionForThisFile();

async function twoDevicesAndAFriend() {
  const [a, b] = await region.rest.newUsers('a', 'b');
  return {
    a, b,
    desk: await Client.of(region, a),
    lap: await Client.of(region, a),
    friend: await Client.of(region, b),
  };
}

test('every device of a user receives what is sent to him', async () => {
  const { a, b, desk, lap, friend } = await twoDevicesAndAFriend();
  assert.notEqual(desk.resource, lap.resource);
  const sent = await friend.text(a.username, 'to all of you');
  for (const device of [desk, lap]) {
    const message = await device.next('onTextMessage');
    assert.equal(message.id, sent.serverMsgId);
    assert.equal(message.from, b.username);
  }
});

test('what one device sends appears on the other, and not again on itself', async () => {
  const { a, b, desk, lap, friend } = await twoDevicesAndAFriend();
  const sent = await desk.text(b.username, 'from the desk');
  const copy = await lap.next('onTextMessage');
  assert.equal(copy.id, sent.serverMsgId);
  assert.equal(copy.from, a.username);
  assert.equal(copy.to, b.username);
  await friend.text(a.username, 'answer');
  await desk.next('onTextMessage');
  assert.deepEqual(desk.texts(), ['answer']);
});

test('a receipt of one device appears on the other', async () => {
  const { a, b, desk, friend, lap } = await twoDevicesAndAFriend();
  const sent = await friend.text(a.username, 'read on one');
  await desk.next('onTextMessage');
  await desk.send({ type: 'read', to: b.username, id: sent.serverMsgId });
  assert.equal((await friend.next('onReadMessage')).mid, sent.serverMsgId);
  await lap.next('onTextMessage');
});

test('a device sees the others of its user and sends to one of them only', async () => {
  const { a, desk, lap } = await twoDevicesAndAFriend();
  const third = await Client.of(region, a);
  const others = await within('the other devices', desk.connection.getSelfIdsOnOtherPlatform());
  const ids = others.data ?? others;
  const expected = [lap, third].map((device) => `${a.username}/${device.resource}`);
  assert.deepEqual([...ids].sort(), expected.sort());

  await desk.text(`${a.username}/${lap.resource}`, 'for the lap only');
  await lap.next('onTextMessage');
  await desk.text(`${a.username}/${third.resource}`, 'for the third only');
  await third.next('onTextMessage');
  assert.deepEqual(lap.texts(), ['for the lap only']);
  assert.deepEqual(third.texts(), ['for the third only']);
});

test('the back end sees the devices and who is online', async () => {
  const { a, desk, lap } = await twoDevicesAndAFriend();
  const { data } = await region.rest.admin('GET', `/users/${a.username}/resources`);
  assert.deepEqual(data.map((device) => device.res).sort(), [desk.resource, lap.resource].sort());
  const { data: status } = await region.rest.admin('GET', `/users/${a.username}/status`);
  assert.equal(status[a.username], 'online');
});

test('a page that is loaded again is the same device', async () => {
  const user = await region.rest.newUser();
  const before = await Client.of(region, user);
  const { profile, resource } = before;
  before.close();
  const after = await Client.of(region, user, { profile });
  assert.equal(after.resource, resource);
  const { data } = await region.rest.admin('GET', `/users/${user.username}/resources`);
  assert.deepEqual(data.map((device) => device.res), [resource]);
});
