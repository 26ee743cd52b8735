import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { appToken, forged, oldAppToken, pythonAppToken, userToken } from './support/tokens.mjs';

const region = await regionForThisFile('other/shop');

test('an AccessToken2 with the app privilege administers over REST, by either published package', async () => {
  const { app, rest } = region;
  for (const token of [appToken(app), await pythonAppToken(app)]) {
    const { status, body } = await rest.call('GET', '/users/alice', { token });
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.entities[0].username, 'alice');
  }
});

test('an expired, forged or foreign AccessToken2 is refused over REST', async () => {
  const [app, other] = region.apps;
  const refused = [oldAppToken(app, 600, 300), forged(appToken(app)), appToken(other), 'x', '007'];
  for (const token of refused) {
    const { status, body } = await region.rest.call('GET', '/users/alice', { token });
    assert.equal(status, 401, JSON.stringify(body));
    assert.equal(typeof body.error, 'string');
    assert.equal(typeof body.error_description, 'string');
  }
});

test('a user may not administer', async () => {
  const { app, rest } = region;
  const user = await rest.newUser();
  for (const token of [await rest.userToken(user), userToken(app, user.username)]) {
    const { status } = await rest.call('DELETE', '/users/alice', { token });
    assert.ok([401, 403].includes(status), String(status));
  }
  assert.equal((await rest.admin('GET', '/users/alice')).entities[0].username, 'alice');
});

test('an AccessToken2 is exchanged for a token of the region, which logs in', async () => {
  const { app, rest } = region;
  const user = await rest.newUser();
  const { status, body } = await rest.call('POST', '/token', {
    body: { grant_type: 'agora' },
    token: userToken(app, user.username),
  });
  assert.equal(status, 200, JSON.stringify(body));
  assert.ok(body.expire_timestamp > Date.now());
  const credentials = { user: user.username, accessToken: body.access_token };
  const client = await new Client(region).login(credentials);
  assert.equal(client.connection.isOpened(), true);
});

test('an app hands out a token of a user, who is made on the way if it asks for that', async () => {
  const { rest } = region;
  const username = `made-${crypto.randomUUID().slice(0, 8)}`;
  const ask = (autoCreateUser) => rest.appToken().then((token) => rest.call('POST', '/token', {
    body: { grant_type: 'inherit', username, autoCreateUser },
    token,
  }));
  assert.equal((await ask(false)).status, 404);
  const { status, body } = await ask(true);
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.user.username, username);
  const client = await new Client(region).login({ user: username, accessToken: body.access_token });
  assert.equal(client.connection.isOpened(), true);
});

test('the package renews a token without a new login', async () => {
  const { app, rest } = region;
  const user = await rest.newUser();
  const client = await Client.of(region, user);
  const answer = await client.connection.renewToken(userToken(app, user.username, 900));
  assert.ok(answer.status, JSON.stringify(answer));
  assert.equal(client.connection.isOpened(), true);
});
