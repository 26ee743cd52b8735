// One device of one user: a connection of the unmodified package, with every event written down.

import { createRequire } from 'node:module';

import { Profile, inProfile, leavePage } from './browser.mjs';
import { LIMIT_MS, eventually, within } from './wait.mjs';

export const PACKAGE = process.env.BULKHEAD_SDK ?? 'agora-chat';

const loaded = createRequire(import.meta.url)(PACKAGE);
export const sdk = loaded.default ?? loaded;
sdk.logger.disableAll();

const EVENTS = [
  'onConnected', 'onDisconnected', 'onReconnecting', 'onError', 'onTokenExpired', 'onTokenWillExpire',
  'onTextMessage', 'onCmdMessage', 'onCustomMessage', 'onLocationMessage', 'onImageMessage', 'onFileMessage',
  'onAudioMessage', 'onVideoMessage', 'onCombineMessage',
  'onReceivedMessage', 'onDeliveredMessage', 'onReadMessage', 'onChannelMessage',
  'onRecallMessage', 'onModifiedMessage', 'onGroupEvent', 'onChatroomEvent',
  'onOfflineMessageSyncStart', 'onOfflineMessageSyncFinish',
];

const open = new Set();

export class Client {
  // What happened, in order: { name, data }.
  events = [];
  #taken = new Set();

  // `options` go to the package's connection as they are; `app` may be another app of the region, `profile` the browser
  // of another client, which then is the same device.
  constructor(region, { app = region.app, profile = new Profile(), ...options } = {}) {
    this.profile = profile;
    const { restUrl, wsUrl } = region.nextAddresses();
    const settings = {
      appKey: app.app_key,
      isHttpDNS: false,
      https: false,
      url: wsUrl,
      apiUrl: restUrl,
      ...options,
    };
    this.connection = inProfile(profile, () => new sdk.connection(settings));
    const handler = {};
    for (const name of EVENTS) handler[name] = (data) => this.events.push({ name, data });
    this.connection.addEventHandler('record', handler);
    open.add(this);
  }

  // Logs in with what `open` of the package takes: { user, pwd | accessToken | agoraToken }.
  async login(credentials) {
    const before = this.named('onConnected').length;
    await within(`${credentials.user} logs in`, this.open(credentials));
    await eventually('onConnected', () => this.named('onConnected').length > before);
    return this;
  }

  // `open` of the package, as it is.
  open(credentials) {
    return inProfile(this.profile, () => this.connection.open(credentials));
  }

  // A new device of `user`, logged in with the password.
  static async of(region, user, options) {
    return new Client(region, options).login({ user: user.username, pwd: user.password });
  }

  get resource() {
    return this.connection.context.jid.clientResource;
  }

  // Everything that one event has brought so far.
  named(name) {
    return this.events.filter((event) => event.name === name).map((event) => event.data);
  }

  // Texts received so far, in the order in which they came.
  texts() {
    return this.named('onTextMessage').map((message) => message.msg);
  }

  // The next event of that name that `match` accepts and that nobody has taken yet.
  async next(name, match = () => true, limitMs = LIMIT_MS) {
    const event = await eventually(
      `${name} (so far: ${this.events.map((event) => event.name).join(', ')})`,
      () => this.events.find((event) => event.name === name && !this.#taken.has(event) && match(event.data)),
      limitMs,
    );
    this.#taken.add(event);
    return event.data;
  }

  // Sends a message made by the package's own `message.create`.
  async send(parameters) {
    const message = sdk.message.create({ chatType: 'singleChat', ...parameters });
    const acknowledged = inProfile(this.profile, () => this.connection.send(message));
    const answer = await within(`a ${parameters.type} is acknowledged`, acknowledged);
    return { ...answer, local: message };
  }

  text(to, msg, more = {}) {
    return this.send({ type: 'txt', to, msg, ...more });
  }

  // The network goes away under the package, without a goodbye.
  dropSocket() {
    this.connection.sock.terminate();
  }

  close() {
    this.connection.close();
  }
}

// Closes every connection that a test file has made.
export function closeAll() {
  for (const client of open) client.close();
  open.clear();
  leavePage();
}
