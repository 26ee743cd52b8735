import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { refusal } from './support/wait.mjs';

// Error types of the web SDK.
const LOGGED_IN_ON_ANOTHER_DEVICE = 206;
const REMOVED = 207;
const PASSWORD_CHANGED = 216;
const KICKED = 217;

// Most devices of one platform.
const DEVICES_MAX = 4;

const region = await regionForThisFile();

// The device hears why, is disconnected, and does not try to come back.
async function isKicked(client, type) {
  const error = await client.next('onError', (error) => error.type === type);
  assert.equal(error.type, type);
  await client.next('onDisconnected');
  assert.equal(client.connection.isOpened(), false);
  assert.deepEqual(client.named('onReconnecting'), []);
}

test('all devices that the back end disconnects go, and may log in again', async () => {
  const user = await region.rest.newUser();
  const devices = [await Client.of(region, user), await Client.of(region, user)];
  await region.rest.admin('GET', `/users/${user.username}/disconnect`);
  for (const device of devices) await isKicked(device, KICKED);
  const again = await Client.of(region, user);
  assert.equal(again.connection.isOpened(), true);
});

test('one device that the back end disconnects goes, and the other stays', async () => {
  const user = await region.rest.newUser();
  const [goes, stays] = [await Client.of(region, user), await Client.of(region, user)];
  await region.rest.admin('DELETE', `/users/${user.username}/disconnect/${goes.resource}`);
  await isKicked(goes, KICKED);
  await stays.text(user.username, 'still here');
  assert.equal(stays.connection.isOpened(), true);
});

test('a changed password ends every session and every token', async () => {
  const user = await region.rest.newUser();
  const token = await region.rest.userToken(user);
  const device = await Client.of(region, user);
  const newpassword = crypto.randomUUID();
  await region.rest.admin('PUT', `/users/${user.username}/password`, { newpassword });
  await isKicked(device, PASSWORD_CHANGED);
  const stale = new Client(region).open({ user: user.username, accessToken: token });
  // Told as expired, so that an app does what it does then anyway: fetch a new one.
  assert.equal((await refusal('the old token', stale)).type, 56);
  const again = await Client.of(region, { ...user, password: newpassword });
  assert.equal(again.connection.isOpened(), true);
});

test('a deleted user is removed from his devices', async () => {
  const user = await region.rest.newUser();
  const device = await Client.of(region, user);
  await region.rest.admin('DELETE', `/users/${user.username}`);
  await isKicked(device, REMOVED);
});

test('a deactivated user is sent off and comes back when he is activated', async () => {
  const user = await region.rest.newUser();
  const device = await Client.of(region, user);
  await region.rest.admin('POST', `/users/${user.username}/deactivate`);
  await device.next('onDisconnected');
  await refusal('a deactivated user', new Client(region).open({
    user: user.username, pwd: user.password,
  }));
  await region.rest.admin('POST', `/users/${user.username}/activate`);
  const again = await Client.of(region, user);
  assert.equal(again.connection.isOpened(), true);
});

test('one device more than the limit sends off the oldest, which hears what the new one says', async () => {
  const user = await region.rest.newUser();
  const devices = [];
  for (let index = 0; index < DEVICES_MAX; index += 1) devices.push(await Client.of(region, user));
  const newest = new Client(region);
  newest.connection.setLoginInfoCustomExt('from the kitchen');
  await newest.login({ user: user.username, pwd: user.password });
  await isKicked(devices[0], LOGGED_IN_ON_ANOTHER_DEVICE);
  const error = devices[0].named('onError').find((error) => error.type === LOGGED_IN_ON_ANOTHER_DEVICE);
  assert.equal(error.data?.loginInfoCustomExt, 'from the kitchen');
  for (const device of [...devices.slice(1), newest]) assert.equal(device.connection.isOpened(), true);
});
