// The part of a browser that the client packages use, for plain Node: they are bundles for the web and run here as
// published. Each missing global is put beside the package; nothing in the package is touched.

import { WebSocket } from 'ws';

class Storage {
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

// XMLHttpRequest on fetch: the asynchronous text requests that the packages make.
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
    const text = await answer.text();
    this.status = answer.status;
    this.responseText = text;
    this.response = text;
    this.#step(4);
    this.dispatchEvent(new Event('load'));
  }

  #step(state) {
    this.readyState = state;
    this.onreadystatechange?.(new Event('readystatechange'));
  }
}

class Target extends EventTarget {}

const page = new Target();
const globals = {
  window: globalThis,
  self: globalThis,
  WebSocket,
  XMLHttpRequest,
  localStorage: new Storage(),
  location: { protocol: 'http:', host: 'localhost', hostname: 'localhost', href: 'http://localhost/' },
  navigator: { userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0', onLine: true },
  document: Object.assign(new Target(), { cookie: '', domain: 'localhost', hidden: false }),
  addEventListener: page.addEventListener.bind(page),
  removeEventListener: page.removeEventListener.bind(page),
};

for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
