// What each test file begins with: a region of its own, ended with every connection to it.

import { after, before } from 'node:test';

import { closeAll } from './client.mjs';
import { Region } from './region.mjs';

// An object that becomes the running region before the first test.
export function regionForThisFile(...apps) {
  const holder = { region: null };
  before(async () => {
    holder.region = await Region.start(...apps);
  });
  after(async () => {
    closeAll();
    await holder.region?.stop();
  });
  return holder;
}
