// Apps of its own for one test file in a region that is a cluster: two gateways, two routers, auth, storage on a real
// Cassandra, two Redis shards. BULKHEAD_CLUSTER describes a running one that many files share; without it the file starts
// one.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

import { BINARY, ENVIRONMENT, admin } from './process.mjs';
import { Region } from './region.mjs';
import { within } from './wait.mjs';

const FIRST_APP = 'demo/chat';
const START_LIMIT_MS = 240_000;

export class ClusterRegion extends Region {
  #operator;
  #process;

  static async start(apps) {
    const region = new ClusterRegion();
    try {
      await region.#start([FIRST_APP, ...apps]);
    } catch (error) {
      await region.stop();
      throw error;
    }
    return region;
  }

  async stop() {
    if (!this.#process) return;
    const ended = once(this.#process, 'exit');
    this.#process.stdin.end();
    await within('the cluster ends', ended);
  }

  async operate(...commands) {
    for (const command of commands) await this.#admin(...command);
  }

  async #start(names) {
    const shared = process.env.BULKHEAD_CLUSTER;
    const { region, gateways, operator } = JSON.parse(shared ?? (await this.#spawn()));
    this.#operator = operator;
    // Other files have apps of the same names.
    const own = crypto.randomUUID().slice(0, 8);
    const apps = [];
    for (const name of names) {
      const [org, app] = name.split('/');
      const made = await this.#admin('app', 'create', `${org}-${own}/${app}`, '--json');
      apps.push({ ...JSON.parse(made), users: [] });
    }
    this.serveAt(region, gateways, apps);
    for (const username of ['alice', 'bob']) {
      const password = crypto.randomUUID();
      const { entities } = await this.rest.admin('POST', '/users', { username, password });
      this.app.users.push({ username, password, uuid: entities[0].uuid });
    }
  }

  #admin(...command) {
    return admin(...command, ...this.#operator);
  }

  // The line of JSON with which the cluster says that it serves.
  async #spawn() {
    const program = join(dirname(BINARY), 'examples', 'cluster');
    this.#process = spawn(program, [BINARY], { env: ENVIRONMENT, stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: this.#process.stdout });
    const ended = once(this.#process, 'exit').then(([code]) => {
      throw new Error(`the cluster ended with ${code} while it started`);
    });
    const [line] = await within('the cluster serves', Promise.race([once(lines, 'line'), ended]), START_LIMIT_MS);
    ended.catch(() => {});
    return line;
  }
}
