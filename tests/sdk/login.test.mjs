import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { appToken, forged, oldUserToken, pythonUserToken, userToken } from './support/tokens.mjs';
import { eventually, refusal } from './support/wait.mjs';

// Error types of the web SDK.
const INVALID_TOKEN = 28;
const TOKEN_EXPIRED = 56;
const USER_NOT_FOUND = 204;

const region = await regionForThisFile('other/shop');

async function isRefused(credentials, type, options) {
  const client = new Client(region, options);
  const error = await refusal(`login of ${credentials.user}`, client.open(credentials));
  assert.equal(error.type, type, JSON.stringify(error));
  await eventually('the refused socket is closed', () => !client.connection.isOpened());
  assert.deepEqual(client.named('onConnected'), []);
  return error;
}

test('a user logs in with a password', async () => {
  const user = await region.rest.newUser();
  const client = await Client.of(region, user);
  assert.equal(client.connection.isOpened(), true);
  assert.equal(client.connection.user, user.username);
  client.close();
  assert.equal(client.connection.isOpened(), false);
});

test('a user logs in with a token of the REST API', async () => {
  const user = await region.rest.newUser();
  const accessToken = await region.rest.userToken(user);
  const client = await new Client(region).login({ user: user.username, accessToken });
  assert.equal(client.connection.isOpened(), true);
});

test('a user logs in with an AccessToken2 that names him by his name or by his uuid', async () => {
  const user = await region.rest.newUser();
  for (const name of [user.username, user.uuid]) {
    const token = userToken(region.app, name);
    for (const credentials of [{ agoraToken: token }, { accessToken: token }]) {
      const client = await new Client(region).login({ user: user.username, ...credentials });
      assert.equal(client.connection.isOpened(), true);
      client.close();
    }
  }
});

test('a user logs in with an AccessToken2 of the Python package', async () => {
  const user = await region.rest.newUser();
  const accessToken = await pythonUserToken(region.app, user.username);
  const client = await new Client(region).login({ user: user.username, accessToken });
  assert.equal(client.connection.isOpened(), true);
});

test('the package learns when the token ends', async () => {
  const user = await region.rest.newUser();
  const client = new Client(region);
  await client.login({ user: user.username, accessToken: userToken(region.app, user.username, 3) });
  await client.next('onTokenWillExpire');
  await client.next('onTokenExpired');
});

test('a wrong password is refused', async () => {
  const user = await region.rest.newUser();
  const client = new Client(region);
  const attempt = client.open({ user: user.username, pwd: 'not the password' });
  const error = await refusal('login with a wrong password', attempt);
  assert.ok(error.type > 0, JSON.stringify(error));
  assert.equal(client.connection.isOpened(), false);
});

test('a token that nobody issued is refused', async () => {
  const user = await region.rest.newUser();
  for (const accessToken of ['YWMtnothing', 'x', '007', '007eJx', 'a'.repeat(2000)]) {
    await isRefused({ user: user.username, accessToken }, INVALID_TOKEN);
  }
});

test('an expired AccessToken2 is refused as expired', async () => {
  const user = await region.rest.newUser();
  const accessToken = oldUserToken(region.app, user.username, 600, 300);
  await isRefused({ user: user.username, accessToken }, TOKEN_EXPIRED);
});

test('a forged AccessToken2 is refused', async () => {
  const user = await region.rest.newUser();
  const good = userToken(region.app, user.username);
  const otherCertificate = { ...region.app, app_certificate: '0'.repeat(32) };
  for (const accessToken of [forged(good), userToken(otherCertificate, user.username)]) {
    await isRefused({ user: user.username, accessToken }, INVALID_TOKEN);
  }
});

test('a token of one user opens nothing as another user', async () => {
  const [owner, thief] = await region.rest.newUsers('owner', 'thief');
  const rest = await region.rest.userToken(thief);
  for (const accessToken of [rest, userToken(region.app, thief.username)]) {
    await isRefused({ user: owner.username, accessToken }, INVALID_TOKEN);
  }
});

test('a token of one app opens nothing in another app', async () => {
  const user = await region.rest.newUser();
  const [app, other] = region.apps;
  const rest = await region.rest.userToken(user);
  for (const accessToken of [rest, userToken(app, user.username)]) {
    await isRefused({ user: user.username, accessToken }, INVALID_TOKEN, { app: other });
  }
});

test('the app privilege opens no socket', async () => {
  const user = await region.rest.newUser();
  const rest = await region.rest.appToken();
  for (const accessToken of [rest, appToken(region.app)]) {
    await isRefused({ user: user.username, accessToken }, INVALID_TOKEN);
  }
});

test('a good AccessToken2 of a user who does not exist is told so', async () => {
  const accessToken = userToken(region.app, 'nobody-here');
  await isRefused({ user: 'nobody-here', accessToken }, USER_NOT_FOUND);
});
