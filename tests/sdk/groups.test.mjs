import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client } from './support/client.mjs';
import { regionForThisFile } from './support/setup.mjs';
import { eventually, refusal, within } from './support/wait.mjs';

const region = await regionForThisFile();

const call = (client, method, parameters) => within(method, client.connection[method](parameters));

// A group of the first client's, with the others in it.
async function group(owner, ...members) {
  const answer = await call(owner, 'createGroupVNext', {
    groupName: 'climbers', description: 'on rocks', members: members.map((member) => member.connection.user),
    isPublic: true, needApprovalToJoin: false, allowMemberToInvite: false, inviteNeedConfirm: false, maxMemberCount: 10,
  });
  return answer.data.groupId;
}

const clients = async (...prefixes) =>
  Promise.all((await region.rest.newUsers(...prefixes)).map((user) => Client.of(region, user)));

const say = (client, groupId, msg) => client.text(groupId, msg, { chatType: 'groupChat' });

const told = (client, operation, id) =>
  client.next('onGroupEvent', (event) => event.operation === operation && event.id === id);

// Users who must have heard nothing so far: a direct text after all else shows that nothing else came.
async function heardNothing(from, client) {
  await from.text(client.connection.user, 'are you there');
  await client.next('onTextMessage', (message) => message.msg === 'are you there');
  assert.deepEqual(client.texts().filter((text) => text !== 'are you there'), []);
}

test('members hear of their group and of what is said in it, outsiders of nothing', async () => {
  const [owner, first, second, outsider] = await clients('owner', 'first', 'second', 'outsider');
  const id = await group(owner, first, second);
  for (const member of [first, second]) {
    const event = await told(member, 'directJoined', id);
    assert.equal(event.from, owner.connection.user);
  }
  await say(owner, id, 'hello');
  await say(first, id, 'hello too');
  for (const member of [first, second]) {
    const message = await member.next('onTextMessage', ({ msg }) => msg === 'hello');
    assert.deepEqual([message.chatType, message.to, message.from], ['groupChat', id, owner.connection.user]);
  }
  await second.next('onTextMessage', ({ msg }) => msg === 'hello too');
  await owner.next('onTextMessage', ({ msg }) => msg === 'hello too');
  assert.deepEqual(first.texts(), ['hello']);
  await refusal('an outsider sends', say(outsider, id, 'let me in'));
  await heardNothing(owner, outsider);
});

test('a member who was away pulls what was said, once and in order', async () => {
  const [owner] = await clients('owner');
  const user = await region.rest.newUser('away');
  const member = await Client.of(region, user);
  const id = await group(owner, member);
  await told(member, 'directJoined', id);
  member.close();
  const texts = Array.from({ length: 60 }, (_, index) => `text ${index}`);
  for (const text of texts) await say(owner, id, text);
  await member.login({ user: user.username, pwd: user.password });
  await eventually('all are there', () => member.texts().length >= texts.length);
  await say(owner, id, 'live');
  await member.next('onTextMessage', ({ msg }) => msg === 'live');
  assert.deepEqual(member.texts(), [...texts, 'live']);
});

test('members read the history, outsiders do not', async () => {
  const [owner, member, outsider] = await clients('owner', 'member', 'outsider');
  const id = await group(owner, member);
  for (const text of ['one', 'two', 'three']) await say(owner, id, text);
  const history = (client) =>
    call(client, 'getHistoryMessages', { targetId: id, chatType: 'groupChat', pageSize: 20, searchDirection: 'down' });
  const { messages } = await history(member);
  assert.deepEqual(messages.map(({ msg }) => msg), ['one', 'two', 'three']);
  await refusal('history of an outsider', history(outsider));
});

test('who leaves or is removed gets no more', async () => {
  const [owner, leaver, removed, stays] = await clients('owner', 'leaver', 'removed', 'stays');
  const id = await group(owner, leaver, removed, stays);
  for (const member of [leaver, removed, stays]) await told(member, 'directJoined', id);
  assert.equal((await call(leaver, 'leaveGroup', { groupId: id })).data.result, true);
  await told(owner, 'memberAbsence', id);
  await refusal('an ordinary member removes',
    call(stays, 'removeGroupMember', { groupId: id, username: removed.connection.user }));
  await call(owner, 'removeGroupMember', { groupId: id, username: removed.connection.user });
  await told(removed, 'removeMember', id);
  await say(owner, id, 'those who stayed');
  await stays.next('onTextMessage', ({ msg }) => msg === 'those who stayed');
  await heardNothing(owner, leaver);
  await heardNothing(owner, removed);
  await refusal('one who was removed sends', say(removed, id, 'still here'));
  await refusal('the owner leaves', call(owner, 'leaveGroup', { groupId: id }));
});

test('members come in by invitation or by themselves', async () => {
  const [owner, invited, comer, other] = await clients('owner', 'invited', 'comer', 'other');
  const id = await group(owner, other);
  await call(owner, 'inviteUsersToGroup', { groupId: id, users: [invited.connection.user] });
  await told(invited, 'directJoined', id);
  await call(comer, 'joinGroup', { groupId: id, message: 'please' });
  await told(owner, 'memberPresence', id);
  await say(comer, id, 'thank you');
  await invited.next('onTextMessage', ({ msg }) => msg === 'thank you');
  const { data } = await call(invited, 'getGroupMembers', { groupId: id, limit: 20, cursor: '' });
  const names = [owner, invited, comer, other].map((client) => client.connection.user);
  const paged = await call(invited, 'listGroupMembers', { groupId: id, pageNum: 1, pageSize: 20 });
  assert.deepEqual(paged.data.map(({ owner: first, member }) => first ?? member).sort(), [...names].sort());
  assert.deepEqual(data.members.map(({ userId }) => userId).sort(), names.sort());
  assert.equal(data.members.find(({ role }) => role === 'owner').userId, owner.connection.user);
});

test('a group is found, shown, changed, handed over and destroyed', async () => {
  const [owner, member, outsider] = await clients('owner', 'member', 'outsider');
  const id = await group(owner, member);
  await told(member, 'directJoined', id);
  const joined = await call(member, 'getJoinedGroups', {
    pageNum: 1, pageSize: 20, needAffiliations: true, needRole: true,
  });
  const [mine] = joined.entities;
  assert.deepEqual([mine.groupId, mine.groupName, mine.role, mine.affiliationsCount], [id, 'climbers', 'member', 2]);
  const plain = await call(member, 'getJoinedGroups', { pageNum: 1, pageSize: 20 });
  assert.deepEqual(plain.data.map(({ groupid }) => groupid), [id]);
  const found = await call(outsider, 'getPublicGroups', { limit: 20 });
  assert.ok(found.data.some(({ groupid }) => groupid === id));

  await call(owner, 'modifyGroup', { groupId: id, groupName: 'hikers' });
  await told(member, 'updateInfo', id);
  await refusal('a member changes', call(member, 'modifyGroup', { groupId: id, groupName: 'mine' }));
  const shown = (await call(member, 'getGroupInfo', { groupId: id })).data[0];
  assert.deepEqual([shown.name, shown.owner, shown.affiliations_count], ['hikers', owner.connection.user, 2]);

  await call(owner, 'changeGroupOwner', { groupId: id, newOwner: member.connection.user });
  await told(member, 'changeOwner', id);
  await refusal('the old owner destroys', call(owner, 'destroyGroup', { groupId: id }));
  await call(member, 'destroyGroup', { groupId: id });
  await told(owner, 'destroy', id);
  await refusal('a text to what is gone', say(owner, id, 'anybody'));
  await refusal('details of what is gone', call(owner, 'getGroupInfo', { groupId: id }));
});

test('the back end makes a group, sends to it and to some of its members', async () => {
  const [owner, first, second] = await clients('owner', 'first', 'second');
  const names = [owner, first, second].map((client) => client.connection.user);
  const made = await region.rest.admin('POST', '/chatgroups', {
    groupname: 'made', public: false, owner: names[0], members: names.slice(1),
  });
  const id = made.data.groupid;
  for (const member of [first, second]) await told(member, 'directJoined', id);
  const message = (msg, more = {}) => ({ from: names[0], to: [id], type: 'txt', body: { msg }, ...more });
  await region.rest.admin('POST', '/messages/chatgroups/users', message('for one', { users: [names[1]] }));
  await region.rest.admin('POST', '/messages/chatgroups', message('for all'));
  await first.next('onTextMessage', ({ msg }) => msg === 'for one');
  for (const member of [first, second]) await member.next('onTextMessage', ({ msg }) => msg === 'for all');
  assert.deepEqual(second.texts(), ['for all']);
  await region.rest.admin('DELETE', `/chatgroups/${id}/users/${names[2]}`);
  await told(second, 'removeMember', id);
  const listed = await region.rest.admin('GET', `/chatgroups/${id}/users?pagenum=1&pagesize=10`);
  assert.deepEqual(listed.data, [{ owner: names[0] }, { member: names[1] }].sort((a, b) =>
    Object.values(a)[0] < Object.values(b)[0] ? -1 : 1));
});
