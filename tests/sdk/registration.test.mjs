import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { refusal, within } from './support/wait.mjs';

const region = await regionForThisFile();

const register = (client, parameters) =>
  within('the registration', client.connection.registerUser(parameters));

const setRegistration = (mode) => {
  const { org_name, app_name } = region.app;
  return region.operate(['app', 'registration', `${org_name}/${app_name}`, mode]);
};

test('nobody registers himself where the operator has not opened it', async () => {
  await setRegistration('authorized');
  const client = new Client(region);
  const username = `self-${crypto.randomUUID().slice(0, 8)}`;
  const error = await refusal('registration', register(client, { username, password: 'secret-1' }));
  assert.ok(error.type !== 0, JSON.stringify(error));
  const { status } = await region.rest.call('GET', `/users/${username}`, {
    token: await region.rest.appToken(),
  });
  assert.equal(status, 404);
});

test('where registration is open a user registers himself and logs in', async () => {
  await setRegistration('open');
  const client = new Client(region);
  const user = { username: `self-${crypto.randomUUID().slice(0, 8)}`, password: 'secret-1', nickname: 'Self' };
  const answer = await register(client, user);
  assert.equal(answer.entities[0].username, user.username);
  assert.equal(answer.entities[0].activated, true);
  await client.login({ user: user.username, pwd: user.password });

  const again = await refusal('the name a second time', register(client, user));
  assert.ok(again.type !== 0, JSON.stringify(again));
});
