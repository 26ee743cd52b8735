// What each test file begins with: a region of its own, ended with every connection to it.

import { after } from 'node:test';

import { closeAll } from './client.mjs';
import { Region } from './region.mjs';

// The running region, with the app demo/chat and further ones (`ORG/APP`); awaited before the first test.
export async function regionForThisFile(...apps) {
  const region = await Region.start(...apps);
  after(async () => {
    closeAll();
    await region.stop();
  });
  return region;
}
