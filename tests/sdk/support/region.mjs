// A region of its own for one test file: `bulkhead dev` in a temporary folder on a free port, or, on what that made,
// the four roles as separate processes. BULKHEAD_COMPOSITION (dev, roles) says which; a test cannot tell them apart.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Rest } from './rest.mjs';
import { eventually, within } from './wait.mjs';

const BINARY =
  process.env.BULKHEAD_BINARY ?? fileURLToPath(new URL('../../../target/debug/bulkhead', import.meta.url));
const COMPOSITION = process.env.BULKHEAD_COMPOSITION ?? 'dev';
const START_LIMIT_MS = 60_000;

// What the processes see: to them BULKHEAD_* are settings, and the names of this harness are none.
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('BULKHEAD_')),
);

export class Region {
  #folder;
  #processes = [];
  #hasAuthority = false;

  // Starts a region with the app demo/chat and further ones (`ORG/APP`).
  static async start(...apps) {
    const region = new Region();
    region.#folder = await mkdtemp(join(tmpdir(), 'bulkhead-sdk-'));
    try {
      await region.#startDev(apps);
      if (COMPOSITION === 'roles') await region.#startRoles();
    } catch (error) {
      await region.stop();
      throw error;
    }
    return region;
  }

  get app() {
    return this.apps[0];
  }

  // Ends every process and removes the folder.
  async stop() {
    await this.#end();
    await rm(this.#folder, { recursive: true, force: true });
  }

  // `bulkhead admin` on the data of this region, which is down meanwhile: for what an operator changes.
  async whileDown(...commands) {
    await this.#end();
    for (const command of commands) {
      await promisify(execFile)(BINARY, ['admin', '--data-dir', this.#dataDir, ...command], { env: ENVIRONMENT });
    }
    if (COMPOSITION === 'roles') await this.#startRoles();
    else await this.#startDev([]);
  }

  get #dataDir() {
    return join(this.#folder, 'data');
  }

  async #startDev(apps) {
    await rm(join(this.#dataDir, 'dev.json'), { force: true });
    const more = apps.flatMap((app) => ['--app', app]);
    const listen = `127.0.0.1:${this.port ?? 0}`;
    const dev = this.#spawn('dev', ['dev', '--listen', listen, '--data-dir', this.#dataDir, ...more]);
    const description = await eventually(
      'dev.json',
      async () => {
        if (dev.exitCode !== null) throw new Error(`dev ended: ${await this.#logs()}`);
        try {
          return JSON.parse(await readFile(join(this.#dataDir, 'dev.json'), 'utf8'));
        } catch {
          return null;
        }
      },
      START_LIMIT_MS,
    );
    const [{ region, rest_url, ws_url, apps: made }] = description.regions;
    this.name = region;
    this.apps = made;
    this.#serveAt(rest_url, ws_url);
    await this.#serves();
  }

  async #startRoles() {
    await this.#end();
    const [auth, router, storage] = await freePorts(3);
    const endpoints = { auth, router, storage };
    const settings = {
      storage: `[storage]\nlisten = "127.0.0.1:${storage}"\ndata_dir = "${this.#dataDir}"\n` +
        `region_key_file = "${join(this.#dataDir, 'region.key')}"\n`,
      auth: `[auth]\nlisten = "127.0.0.1:${auth}"\n`,
      router: `[router]\nlisten = "127.0.0.1:${router}"\n`,
      gateway: `[gateway]\nlisten = "127.0.0.1:${this.port}"\n`,
    };
    await this.#makeAuthority();
    for (const [role, own] of Object.entries(settings)) {
      const identity = await this.#certify(role);
      const file = join(this.#folder, `${role}.toml`);
      const others = Object.entries(endpoints)
        .filter(([name]) => name !== role)
        .map(([name, port]) => `[endpoints.${name}]\nurl = "https://127.0.0.1:${port}"\nregion = "${this.name}"\n`);
      await writeFile(file, `region = "${this.name}"\n\n${own}\n${identity}\n${others.join('\n')}`);
      this.#spawn(role, [role, '--config', file]);
    }
    await this.#serves();
  }

  // The region's own authority, as an operator makes it.
  async #makeAuthority() {
    if (!this.#hasAuthority) await this.#ca('init');
    this.#hasAuthority = true;
  }

  // A certificate for the role, and the section of its configuration that names it.
  async #certify(role) {
    const out = join(this.#folder, 'certificates');
    await this.#ca('issue', '--service', role, '--out', out, '--replace');
    return `[identity]\nca_file = "${out}/ca.pem"\n` +
      `certificate_file = "${out}/${role}.pem"\nkey_file = "${out}/${role}.key"\n`;
  }

  async #ca(...command) {
    const authority = ['--region', this.name, '--dir', join(this.#folder, 'ca')];
    await promisify(execFile)(BINARY, ['admin', 'ca', ...command, ...authority], { env: ENVIRONMENT });
  }

  #serveAt(restUrl, wsUrl) {
    this.restUrl = restUrl;
    this.wsUrl = wsUrl;
    this.port = Number(new URL(restUrl).port);
    this.rest = new Rest(restUrl, this.app);
  }

  // Waits until a user can get a token: then every service answers.
  async #serves() {
    const [user] = this.app.users;
    await eventually(
      'the region serves',
      async () => {
        const ended = this.#processes.find(({ process }) => process.exitCode !== null);
        if (ended) throw new Error(`${ended.name} ended: ${await this.#logs()}`);
        return this.rest.userToken(user).catch(() => null);
      },
      START_LIMIT_MS,
    );
  }

  #spawn(name, parameters) {
    const log = openSync(join(this.#folder, `${name}.log`), 'a');
    const child = spawn(BINARY, parameters, { env: ENVIRONMENT, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#processes.push({ name, process: child });
    return child;
  }

  // SIGTERM, gateways first; whatever is left after the limit is killed.
  async #end() {
    for (const { name, process: child } of this.#processes.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      try {
        await within(`${name} ends`, ended, START_LIMIT_MS);
      } catch (error) {
        child.kill('SIGKILL');
        throw error;
      }
    }
    this.#processes = [];
  }

  async #logs() {
    const names = [...new Set(this.#processes.map(({ name }) => name))];
    const texts = await Promise.all(
      names.map((name) => readFile(join(this.#folder, `${name}.log`), 'utf8').catch(() => '')),
    );
    return texts.join('\n').slice(-4000);
  }
}

// Ports that are free now, all different.
async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
