// What a test sees of its region, however that is put together: apps, gateways, the REST API, and the operator's hand.

import { Rest } from './rest.mjs';

export class Region {
  name;
  // In the order in which they were asked for, the first one (`demo/chat` or one like it) with the users alice and bob.
  apps = [];
  // { rest_url, ws_url } of each.
  gateways = [];
  #clients = 0;

  get app() {
    return this.apps[0];
  }

  get restUrl() {
    return this.gateways[0].rest_url;
  }

  // Where the next client goes: to one gateway after the other, and for REST to another one than for its socket.
  nextAddresses() {
    const at = (index) => this.gateways[index % this.gateways.length];
    const client = this.#clients++;
    return { wsUrl: at(client).ws_url, restUrl: at(client + 1).rest_url };
  }

  serveAt(name, gateways, apps) {
    this.name = name;
    this.gateways = gateways;
    this.apps = apps;
    this.rest = new Rest(gateways.map((gateway) => gateway.rest_url), this.app);
  }

  // Commands of `bulkhead admin` on this region: what an operator changes.
  async operate(...commands) {
    throw new Error(`${this.name} has no operator for ${commands}`);
  }

  // Ends what was started for this file.
  async stop() {}
}
