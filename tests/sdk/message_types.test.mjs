import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';

const region = await regionForThisFile();
const [a, b] = await region.rest.newUsers('a', 'b');
const left = await Client.of(region, a);
const right = await Client.of(region, b);

// Sends from a to b and answers what b sees, after what every kind of message must carry.
async function delivered(event, parameters) {
  const sent = await left.send({ to: b.username, ...parameters });
  const message = await right.next(event);
  assert.equal(message.id, sent.serverMsgId);
  assert.equal(message.from, a.username);
  assert.equal(message.to, b.username);
  return message;
}

test('a command arrives with its action', async () => {
  const message = await delivered('onCmdMessage', { type: 'cmd', action: 'open-door', ext: { door: 3 } });
  assert.equal(message.action, 'open-door');
  assert.deepEqual(message.ext, { door: 3 });
});

test('a custom message arrives with its event and its fields', async () => {
  const customExts = { gift: 'rose', count: '3' };
  const message = await delivered('onCustomMessage', { type: 'custom', customEvent: 'gift', customExts });
  assert.equal(message.customEvent, 'gift');
  assert.deepEqual(message.customExts, customExts);
});

test('a location arrives with its place', async () => {
  const place = { addr: 'Marina Bay', buildingName: 'Tower 2', lat: 1.2834, lng: 103.8607 };
  const message = await delivered('onLocationMessage', { type: 'loc', ...place });
  assert.equal(message.addr, place.addr);
  assert.equal(message.buildingName, place.buildingName);
  assert.ok(Math.abs(message.lat - place.lat) < 1e-4 && Math.abs(message.lng - place.lng) < 1e-4);
});

// Attachments that are already uploaded: the message carries the address of the file and its secret.
const uploaded = (name) => {
  const { app, restUrl } = region;
  const url = `${restUrl}/${app.org_name}/${app.app_name}/chatfiles/5fd74830-0000-4000-8000-000000000001`;
  return { url, filename: name, secret: 'share-secret-1', file_length: 1234 };
};

test('an image that is already uploaded arrives with its address and its size', async () => {
  const { url, file_length } = uploaded('a.png');
  const message = await delivered('onImageMessage', { type: 'img', url, file_length, width: 640, height: 480 });
  assert.ok(message.url.startsWith(url), message.url);
  assert.equal(Number(message.width), 640);
  assert.equal(Number(message.height), 480);
  assert.equal(Number(message.file_length), 1234);
});

test('a file that is already uploaded arrives with its address, its name and its length', async () => {
  const body = { ...uploaded('a.pdf'), type: 'file' };
  const message = await delivered('onFileMessage', { type: 'file', filename: 'a.pdf', body });
  assert.ok(message.url.startsWith(body.url), message.url);
  assert.equal(message.secret, body.secret);
  assert.equal(message.filename, 'a.pdf');
  assert.equal(Number(message.file_length), 1234);
});

test('a voice message that is already uploaded arrives with its address and its duration', async () => {
  const body = { ...uploaded('a.amr'), type: 'audio', length: 7 };
  const message = await delivered('onAudioMessage', { type: 'audio', filename: 'a.amr', length: 7, body });
  assert.ok(message.url.startsWith(body.url), message.url);
  assert.equal(message.secret, body.secret);
  assert.equal(message.filename, 'a.amr');
  assert.equal(Number(message.length), 7);
});

test('a video that is already uploaded arrives with its address and its duration', async () => {
  const body = { ...uploaded('a.mp4'), type: 'video', length: 9 };
  const message = await delivered('onVideoMessage', { type: 'video', filename: 'a.mp4', length: 9, body });
  assert.ok(message.url.startsWith(body.url), message.url);
  assert.equal(message.secret, body.secret);
  assert.equal(message.filename, 'a.mp4');
  assert.equal(Number(message.length), 9);
});

test('a message for those who are online reaches one who is', async () => {
  const parameters = { type: 'txt', msg: 'now or never', deliverOnlineOnly: true };
  const message = await delivered('onTextMessage', parameters);
  assert.equal(message.msg, 'now or never');
});

test('the back end sends every kind that needs no upload of its own', async () => {
  const { url } = uploaded('x');
  const file = { url, secret: 's' };
  const kinds = [
    ['onCmdMessage', 'cmd', { action: 'ring' }, (seen) => assert.equal(seen.action, 'ring')],
    [
      'onCustomMessage', 'custom', { customEvent: 'gift', customExts: { a: 'b' } },
      (seen) => assert.deepEqual(seen.customExts, { a: 'b' }),
    ],
    [
      'onLocationMessage', 'loc', { lat: '1.5', lng: '2.5', addr: 'here' },
      (seen) => assert.equal(seen.addr, 'here'),
    ],
    [
      'onImageMessage', 'img', { ...file, filename: 'i.png', size: { width: 3, height: 4 } },
      (seen) => assert.deepEqual([seen.secret, Number(seen.width), Number(seen.height)], ['s', 3, 4]),
    ],
    ['onFileMessage', 'file', { ...file, filename: 'f.pdf' }, (seen) => assert.equal(seen.filename, 'f.pdf')],
    [
      'onAudioMessage', 'audio', { ...file, filename: 'a.amr', length: 3 },
      (seen) => assert.equal(Number(seen.length), 3),
    ],
    [
      'onVideoMessage', 'video', { ...file, filename: 'v.mp4', length: 4 },
      (seen) => assert.equal(Number(seen.length), 4),
    ],
  ];
  for (const [event, type, body, check] of kinds) {
    const { data } = await region.rest.admin('POST', '/messages/users', {
      from: a.username, to: [b.username], type, body,
    });
    const message = await right.next(event);
    assert.equal(message.id, data[b.username]);
    check(message);
  }
});
