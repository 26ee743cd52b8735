// The programs under test, and the environment in which they run.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const BINARY =
  process.env.BULKHEAD_BINARY ?? fileURLToPath(new URL('../../../target/debug/bulkhead', import.meta.url));

export const START_LIMIT_MS = 60_000;

// What the processes see: to them BULKHEAD_* are settings, and the names of this harness are none.
export const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('BULKHEAD_')),
);

// What a command of `bulkhead admin` prints.
export async function admin(...parameters) {
  const { stdout } = await promisify(execFile)(BINARY, ['admin', ...parameters], { env: ENVIRONMENT });
  return stdout;
}
