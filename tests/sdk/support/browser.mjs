// The part of a browser that the client packages use, for plain Node: they are bundles for the web and run here as
// published. Each missing global is put beside the package; nothing in the package is touched.

import { AsyncLocalStorage } from 'node:async_hooks';

import { WebSocket as NodeWebSocket } from 'ws';

// What one browser keeps for one site; the packages keep the id of the device there.
export class Profile {
  #values = new Map();
  getItem(key) {
    return this.#values.get(key) ?? null;
  }
  setItem(key, value) {
    this.#values.set(key, String(value));
  }
  removeItem(key) {
    this.#values.delete(key);
  }
  clear() {
    this.#values.clear();
  }
}

// XMLHttpRequest on fetch: the asynchronous requests that the packages make, for text or for a Blob.
class XMLHttpRequest extends EventTarget {
  readyState = 0;
  status = 0;
  responseText = '';
  response = '';
  responseType = '';
  timeout = 0;
  onreadystatechange = null;
  onerror = null;
  ontimeout = null;
  onabort = null;
  #method;
  #url;
  #headers = {};
  #abort = new AbortController();

  open(method, url) {
    this.#method = method;
    this.#url = url;
    this.#step(1);
  }

  setRequestHeader(name, value) {
    this.#headers[name] = String(value);
  }

  abort() {
    this.#abort.abort();
  }

  send(body) {
    this.#fetch(body).catch((error) => {
      const kind = error.name === 'TimeoutError' ? 'timeout' : error.name === 'AbortError' ? 'abort' : 'error';
      this.readyState = 4;
      this[`on${kind}`]?.(error);
      this.dispatchEvent(new Event(kind));
    });
  }

  async #fetch(body) {
    const signals = [this.#abort.signal];
    if (this.timeout > 0) signals.push(AbortSignal.timeout(this.timeout));
    const answer = await fetch(this.#url, {
      method: this.#method,
      headers: this.#headers,
      body: this.#method === 'GET' ? undefined : (body ?? undefined),
      signal: AbortSignal.any(signals),
    });
    this.status = answer.status;
    if (this.responseType === 'blob') {
      this.response = await answer.blob();
    } else {
      this.responseText = await answer.text();
      this.response = this.responseText;
    }
    this.#step(4);
    this.dispatchEvent(new Event('load'));
  }

  #step(state) {
    this.readyState = state;
    this.onreadystatechange?.(new Event('readystatechange'));
  }
}

// FileReader on Blob: the two ways in which the packages read one.
class FileReader extends EventTarget {
  result = null;
  onload = null;
  onerror = null;

  readAsText(blob) {
    this.#read(blob.text());
  }

  readAsArrayBuffer(blob) {
    this.#read(blob.arrayBuffer());
  }

  async #read(reading) {
    this.result = await reading;
    const event = new Event('load');
    Object.defineProperty(event, 'target', { value: this });
    this.onload?.(event);
    this.dispatchEvent(new Event('loadend'));
  }
}

// A browser does not end the page when a socket fails; without a listener Node would end the process.
class WebSocket extends NodeWebSocket {
  constructor(...parameters) {
    super(...parameters);
    this.on('error', () => {});
  }
}

class Target extends EventTarget {}

const page = new Target();
const globals = {
  window: globalThis,
  self: globalThis,
  WebSocket,
  XMLHttpRequest,
  FileReader,
  location: { protocol: 'http:', host: 'localhost', hostname: 'localhost', href: 'http://localhost/' },
  navigator: { userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0', onLine: true },
  document: Object.assign(new Target(), { cookie: '', domain: 'localhost', hidden: false }),
  addEventListener: page.addEventListener.bind(page),
  removeEventListener: page.removeEventListener.bind(page),
};

const profiles = new AsyncLocalStorage();
const shared = new Profile();

// Runs `call`, and whatever it starts, in the browser of that profile: two clients of one process are two devices.
export function inProfile(profile, call) {
  return profiles.run(profile, call);
}

// The page is closed: the packages let go of their timers, and the process can end.
export function leavePage() {
  page.dispatchEvent(new Event('beforeunload'));
}

Object.defineProperty(globalThis, 'localStorage', { configurable: true, get: () => profiles.getStore() ?? shared });

for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
