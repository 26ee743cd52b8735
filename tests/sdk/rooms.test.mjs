import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { eventually, refusal, within } from './support/wait.mjs';

const region = await regionForThisFile();

const call = (client, method, parameters) => within(method, client.connection[method](parameters));

const clients = async (...prefixes) =>
  Promise.all((await region.rest.newUsers(...prefixes)).map((user) => Client.of(region, user)));

// A room as the back end makes it; its owner is somebody who is not there.
async function room() {
  const { username } = await region.rest.newUser('host');
  const { data } = await region.rest.admin('POST', '/chatrooms', { name: 'lobby', description: 'd', owner: username });
  return data.id;
}

const join = (client, roomId) => call(client, 'joinChatRoom', { roomId });

const say = (client, roomId, msg) => client.text(roomId, msg, { chatType: 'chatRoom' });

const told = (client, operation, id) =>
  client.next('onChatroomEvent', (event) => event.operation === operation && event.id === id);

async function heardNothing(from, client) {
  await from.text(client.connection.user, 'are you there');
  await client.next('onTextMessage', (message) => message.msg === 'are you there');
  assert.deepEqual(client.texts().filter((text) => text !== 'are you there'), []);
}

test('those in a room hear who comes and goes and what is said, others nothing', async () => {
  const [first, second, outsider] = await clients('first', 'second', 'outsider');
  const id = await room();
  await join(first, id);
  await join(second, id);
  const came = await told(first, 'memberPresence', id);
  assert.equal(came.from, second.connection.user);
  await say(second, id, 'hello');
  const message = await first.next('onTextMessage', ({ msg }) => msg === 'hello');
  assert.deepEqual([message.chatType, message.to], ['chatRoom', id]);
  await refusal('an outsider sends', say(outsider, id, 'let me in'));
  const history = (client) => call(client, 'getHistoryMessages', { targetId: id, chatType: 'chatRoom', pageSize: 20 });
  assert.deepEqual((await history(first)).messages.map(({ msg }) => msg), ['hello']);
  await refusal('history of an outsider', history(outsider));
  await call(second, 'leaveChatRoom', { roomId: id });
  const went = await told(first, 'memberAbsence', id);
  assert.equal(went.from, second.connection.user);
  await say(first, id, 'alone');
  await heardNothing(first, outsider);
  await heardNothing(first, second);
  await refusal('one who left sends', say(second, id, 'still here'));
});

test('who closes the connection is out of the room', async () => {
  const [first, second] = await clients('first', 'second');
  const id = await room();
  await join(first, id);
  await join(second, id);
  await told(first, 'memberPresence', id);
  const name = second.connection.user;
  second.close();
  assert.equal((await told(first, 'memberAbsence', id)).from, name);
});

test('a room is listed, shown, changed and destroyed', async () => {
  const [first, second] = await clients('first', 'second');
  const id = await room();
  await join(first, id);
  const listed = await call(second, 'getChatRooms', { pagenum: 1, pagesize: 100 });
  assert.ok(listed.data.some((entry) => entry.id === id));
  const shown = (await call(second, 'getChatRoomDetails', { chatRoomId: id })).data[0];
  assert.deepEqual([shown.id, shown.name, shown.affiliations_count], [id, 'lobby', 2]);
  const { data } = await call(second, 'getChatRoomMembers', { chatRoomId: id, limit: 20, cursor: '' });
  assert.ok(data.members.some(({ role, userId }) => role === 'member' && userId === first.connection.user));
  const mine = await call(first, 'getJoinedChatRooms', { pageNum: 1, pageSize: 20 });
  assert.deepEqual(mine.data.map((entry) => [entry.id, entry.name]), [[id, 'lobby']]);
  assert.match(mine.data[0].owner, /^host-/);
  await region.rest.admin('PUT', `/chatrooms/${id}`, { name: 'hall' });
  await told(first, 'updateInfo', id);
  await refusal('a member changes', call(first, 'modifyChatRoom', { chatRoomId: id, chatRoomName: 'mine' }));
  await refusal('a user makes a room',
    call(first, 'createChatRoom', { name: 'mine', description: 'd', maxusers: 5, members: [] }));
  await region.rest.admin('DELETE', `/chatrooms/${id}`);
  await told(first, 'destroy', id);
  await refusal('joining what is gone', join(second, id));
});

test('the back end sends to a room and puts members in and out', async () => {
  const [first, second] = await clients('first', 'second');
  const names = [first, second].map((client) => client.connection.user);
  const id = await room();
  const added = await region.rest.admin('POST', `/chatrooms/${id}/users`, { usernames: names });
  assert.deepEqual(added.data.newmembers.sort(), [...names].sort());
  await eventually('both are told', () => [first, second].every((client) => client.named('onChatroomEvent').length > 0));
  await region.rest.admin('POST', '/messages/chatrooms', {
    from: names[0], to: [id], type: 'txt', body: { msg: 'for all' }, chatroom_msg_level: 'high',
  });
  await second.next('onTextMessage', ({ msg }) => msg === 'for all');
  await region.rest.admin('DELETE', `/chatrooms/${id}/users/${names[1]}`);
  await told(second, 'removeMember', id);
  await refusal('one who was removed sends', say(second, id, 'still here'));
});
