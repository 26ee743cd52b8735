// Files between two unmodified clients: uploaded by one package, downloaded by the other's link, byte by byte the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';

import { Client, sdk } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { refusal, within } from './support/wait.mjs';

const region = await regionForThisFile('other/app');
const [a, b] = await region.rest.newUsers('a', 'b');
const left = await Client.of(region, a);
const right = await Client.of(region, b);

// Bytes that no two places share.
function content(length) {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (Math.imul(at, 2654435761) >>> 13) & 0xff;
  return bytes;
}

function fileOf(bytes, name, type) {
  const data = new File([bytes], name, { type });
  return { data, filename: name, filetype: type, url: '' };
}

// Sends a file message and answers what b sees of it.
async function sent(event, parameters) {
  const { serverMsgId } = await left.send({ to: b.username, ...parameters });
  const message = await right.next(event, (message) => message.id === serverMsgId);
  assert.equal(message.from, a.username);
  return message;
}

// The package's own download, with the token of that client; answers the bytes, or is refused as the package says.
function download(client, url, secret) {
  const done = new Promise((resolve, reject) => {
    sdk.utils.download.call(client.connection, {
      url,
      secret,
      onFileDownloadComplete: resolve,
      onFileDownloadError: reject,
    });
  });
  return within('the file is downloaded', done);
}

async function bytesOf(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}

// The link without what the package appends to it.
const bare = (url) => url.split('?')[0];
const secretIn = (url) => new URL(url).searchParams.get('share-secret');

test('an image is uploaded, announced and downloaded as it was', async () => {
  const bytes = content(300_001);
  const file = fileOf(bytes, 'photo.png', 'image/png');
  const message = await sent('onImageMessage', { type: 'img', file, width: 640, height: 480 });
  assert.ok(message.url.startsWith(`${region.rest.base}/chatfiles/`), message.url);
  assert.equal(Number(message.file_length), bytes.length);
  assert.equal(Number(message.width), 640);
  assert.deepEqual(await bytesOf(await download(right, message.url, message.secret)), bytes);
});

// A gray PNG: header, one block of rows, end.
function png(width, height) {
  const chunk = (name, body) => {
    const bytes = Buffer.alloc(12 + body.length);
    bytes.writeUInt32BE(body.length, 0);
    bytes.write(name, 4, 'latin1');
    body.copy(bytes, 8);
    bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + body.length)), 8 + body.length);
    return bytes;
  };
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0]);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  const rows = deflateSync(Buffer.alloc((width + 1) * height, 0));
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', rows), chunk('IEND', Buffer.alloc(0))]);
}

// What a page gets that shows a link, without a token.
async function shown(link) {
  const answer = await fetch(link);
  assert.equal(answer.status, 200, link);
  assert.equal(answer.headers.get('content-type'), 'image/png');
  return Buffer.from(await answer.arrayBuffer());
}

test('a page shows an image by its link alone, and a small one by the link of its thumbnail', async () => {
  const bytes = png(640, 320);
  const message = await sent('onImageMessage', { type: 'img', file: fileOf(bytes, 'photo.png', 'image/png') });
  assert.deepEqual(await shown(message.url), bytes);
  const small = await shown(message.thumb);
  assert.deepEqual([small.readUInt32BE(16), small.readUInt32BE(20)], [170, 85]);
});

test('an image that is none is its own thumbnail', async () => {
  const bytes = Buffer.from(content(1000));
  const message = await sent('onImageMessage', { type: 'img', file: fileOf(bytes, 'photo.png', 'image/png') });
  assert.deepEqual(await shown(message.thumb), bytes);
});

test('a file larger than the package sends in one part arrives whole', async () => {
  const bytes = content(9 * 1024 * 1024 + 7);
  const file = fileOf(bytes, 'report ü.pdf', 'application/pdf');
  const message = await sent('onFileMessage', { type: 'file', file, filename: file.filename });
  assert.equal(message.filename, 'report ü.pdf');
  assert.deepEqual(await bytesOf(await download(right, message.url, message.secret)), bytes);
  const answer = await fetch(message.url, { headers: { range: 'bytes=4194300-4194310' } });
  assert.equal(answer.status, 206);
  assert.equal(answer.headers.get('content-range'), `bytes 4194300-4194310/${bytes.length}`);
  assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), bytes.slice(4194300, 4194311));
});

test('voice and video are uploaded and downloaded', async () => {
  for (const [event, type, name, kind] of [
    ['onAudioMessage', 'audio', 'a.amr', 'audio/amr'],
    ['onVideoMessage', 'video', 'v.mp4', 'video/mp4'],
  ]) {
    const bytes = content(70_000);
    const message = await sent(event, { type, file: fileOf(bytes, name, kind), filename: name, length: 3 });
    assert.equal(Number(message.length), 3);
    assert.deepEqual(await bytesOf(await download(right, message.url, message.secret)), bytes);
  }
});

test('combined messages are bundled by one package and read by the other', async () => {
  const texts = ['first', 'second', 'dritte: ü'];
  const messageList = [];
  for (const text of texts) {
    const { local, serverMsgId } = await left.text(b.username, text);
    messageList.push({ ...local, id: serverMsgId, from: a.username, time: Date.now() });
    await right.next('onTextMessage', (message) => message.id === serverMsgId);
  }
  const { serverMsgId } = await left.send({
    type: 'combine',
    to: b.username,
    compatibleText: 'your app cannot show this',
    title: 'a chat',
    summary: 'three messages',
    messageList,
  });
  const message = await right.next('onCombineMessage', (message) => message.id === serverMsgId);
  assert.equal(message.title, 'a chat');
  assert.equal(message.summary, 'three messages');
  const parsed = right.connection.downloadAndParseCombineMessage({ url: message.url, secret: message.secret });
  const found = await within('the bundle is read', parsed);
  assert.deepEqual(found.map((message) => message.msg), texts);
  assert.deepEqual(found.map((message) => message.id), messageList.map((message) => message.id));
});

test('the wrong share secret is refused as the package knows it', async () => {
  const message = await sent('onFileMessage', { type: 'file', file: fileOf(content(10), 'a.txt', 'text/plain') });
  const secret = secretIn(message.url);
  assert.ok(secret.length >= 20, secret);
  const refused = await refusal('a wrong secret', download(right, bare(message.url), 'wrong'));
  assert.equal(refused.type, sdk.statusCode.WEBIM_DOWNLOADFILE_ERROR_NO_PERMISSION);
  const answer = await fetch(`${bare(message.url)}?share-secret=wrong`);
  assert.equal(answer.status, 403);
  const body = await answer.json();
  assert.equal(body.error, 'forbidden_op');
  assert.equal(body.error_description, 'chatfile no permission');
  assert.equal((await fetch(bare(message.url))).status, 401);
});

test('a file is reached through its own app only', async () => {
  const message = await sent('onFileMessage', { type: 'file', file: fileOf(content(10), 'a.txt', 'text/plain') });
  const [, other] = region.apps;
  const [user] = other.users.length > 0 ? other.users : [null];
  const login = user
    ? { grant_type: 'password', username: user.username, password: user.password }
    : { grant_type: 'client_credentials', client_id: other.client_id, client_secret: other.client_secret };
  const base = `${region.restUrl}/${other.org_name}/${other.app_name}`;
  const granted = await fetch(`${base}/token`, { method: 'POST', body: JSON.stringify(login) });
  const headers = { authorization: `Bearer ${(await granted.json()).access_token}` };
  assert.equal((await fetch(message.url, { headers })).status, 401, 'with its link and a token of another app');
  const elsewhere = message.url.replace(region.rest.base, base);
  const answer = await fetch(elsewhere, { headers });
  assert.equal(answer.status, 404);
  assert.equal((await answer.json()).error, 'storage_object_not_found');
});

test('a file above the limit is not sent', async () => {
  const file = fileOf(content(10 * 1024 * 1024 + 1), 'large.bin', 'application/octet-stream');
  const refused = await refusal('a large file', left.send({ type: 'file', to: b.username, file }));
  assert.equal(refused.type, sdk.statusCode.WEBIM_UPLOADFILE_ERROR);
});

test('a back end uploads a file and reads it with its own token alone', async () => {
  const bytes = content(12_345);
  const form = new FormData();
  form.append('filename', 'invoice.pdf');
  form.append('file', new Blob([bytes], { type: 'application/pdf' }), 'blob');
  const headers = { authorization: `Bearer ${await region.rest.appToken()}`, 'restrict-access': 'true' };
  const uploaded = await fetch(`${region.rest.base}/chatfiles`, { method: 'POST', headers, body: form });
  assert.equal(uploaded.status, 200);
  const { uri, entities } = await uploaded.json();
  const answer = await fetch(`${uri}/${entities[0].uuid}`, { headers });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-disposition'), "attachment; filename*=UTF-8''invoice.pdf");
  assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), bytes);
});
