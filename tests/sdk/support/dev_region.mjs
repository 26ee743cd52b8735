// A region in one process for one test file: `bulkhead dev` in a temporary folder on a free port.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { BINARY, ENVIRONMENT, START_LIMIT_MS, admin } from './process.mjs';
import { Region } from './region.mjs';
import { eventually, within } from './wait.mjs';

export class DevRegion extends Region {
  #folder;
  #process;

  static async start(apps) {
    const region = new DevRegion();
    region.#folder = await mkdtemp(join(tmpdir(), 'bulkhead-sdk-'));
    try {
      await region.#start(apps);
    } catch (error) {
      await region.stop();
      throw error;
    }
    return region;
  }

  async stop() {
    await this.#end();
    await rm(this.#folder, { recursive: true, force: true });
  }

  // The folder belongs to one process at a time, so the region is down meanwhile.
  async operate(...commands) {
    await this.#end();
    for (const command of commands) await admin('--data-dir', this.#dataDir, ...command);
    await this.#start([]);
  }

  get #dataDir() {
    return join(this.#folder, 'data');
  }

  async #start(apps) {
    await rm(join(this.#dataDir, 'dev.json'), { force: true });
    const more = apps.flatMap((app) => ['--app', app]);
    const port = this.gateways.length > 0 ? new URL(this.restUrl).port : 0;
    this.#spawn(['dev', '--listen', `127.0.0.1:${port}`, '--data-dir', this.#dataDir, ...more]);
    const [{ region, rest_url, ws_url, apps: made }] = (await this.#description()).regions;
    this.serveAt(region, [{ rest_url, ws_url }], made);
    // A user can get a token: then every service answers.
    const [user] = this.app.users;
    await this.#eventually('the region serves', () => this.rest.userToken(user).catch(() => null));
  }

  #description() {
    return this.#eventually('dev.json', async () => {
      try {
        return JSON.parse(await readFile(join(this.#dataDir, 'dev.json'), 'utf8'));
      } catch {
        return null;
      }
    });
  }

  #eventually(what, probe) {
    const alive = async () => {
      if (this.#process.exitCode !== null) throw new Error(`dev ended: ${await this.#log()}`);
      return probe();
    };
    return eventually(what, alive, START_LIMIT_MS);
  }

  #spawn(parameters) {
    const log = openSync(join(this.#folder, 'dev.log'), 'a');
    this.#process = spawn(BINARY, parameters, { env: ENVIRONMENT, stdio: ['ignore', log, log] });
    closeSync(log);
  }

  // SIGTERM; if it is still there after the limit it is killed.
  async #end() {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    try {
      await within('dev ends', ended, START_LIMIT_MS);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  async #log() {
    const text = await readFile(join(this.#folder, 'dev.log'), 'utf8').catch(() => '');
    return text.slice(-4000);
  }
}
