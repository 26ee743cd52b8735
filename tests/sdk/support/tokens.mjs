// AccessToken2 as a customer's own token server makes it: with the published packages for Node and Python.

import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { deflateSync, inflateSync } from 'node:zlib';

const require = createRequire(import.meta.url);
const { ChatTokenBuilder } = require('agora-token');
const { AccessToken2, ServiceChat } = require('agora-token/src/AccessToken2');

const run = promisify(execFile);
const PYTHON = fileURLToPath(new URL('../.venv/bin/python', import.meta.url));

export function userToken(app, user, expireS = 600) {
  return ChatTokenBuilder.buildUserToken(app.app_id, app.app_certificate, user, expireS);
}

export function appToken(app, expireS = 600) {
  return ChatTokenBuilder.buildAppToken(app.app_id, app.app_certificate, expireS);
}

// A token of the user that was issued `agoS` seconds ago for `expireS` seconds.
export function oldUserToken(app, user, agoS, expireS) {
  return old(app, new ServiceChat(user), ServiceChat.kPrivilegeUser, agoS, expireS);
}

// The same with the app privilege.
export function oldAppToken(app, agoS, expireS) {
  return old(app, new ServiceChat(), ServiceChat.kPrivilegeApp, agoS, expireS);
}

function old(app, service, privilege, agoS, expireS) {
  const issued = Math.floor(Date.now() / 1000) - agoS;
  const token = new AccessToken2(app.app_id, app.app_certificate, issued, expireS);
  service.add_privilege(privilege, expireS);
  token.add_service(service);
  return token.build();
}

// The token with one bit of its signature changed; all that it says is true.
export function forged(token) {
  const bytes = inflateSync(Buffer.from(token.slice(3), 'base64'));
  // The signature is the first string: two bytes of length, then its bytes.
  bytes[2] ^= 1;
  return `007${deflateSync(bytes).toString('base64')}`;
}

// The same tokens by the published Python package.
export async function pythonUserToken(app, user, expireS = 600) {
  return python('build_user_token(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))', [
    app.app_id, app.app_certificate, user, String(expireS),
  ]);
}

export async function pythonAppToken(app, expireS = 600) {
  return python('build_app_token(sys.argv[1], sys.argv[2], int(sys.argv[3]))', [
    app.app_id, app.app_certificate, String(expireS),
  ]);
}

async function python(call, parameters) {
  const program = `import sys
from agoraiotools.ChatTokenBuilder2 import ChatTokenBuilder
print(ChatTokenBuilder.${call})`;
  const { stdout } = await run(PYTHON, ['-c', program, ...parameters]);
  return stdout.trim();
}
