// What each test file begins with: a region of its own, ended with every connection to it. BULKHEAD_COMPOSITION says how
// that is put together (dev: one process; cluster: a share of a cluster); a test cannot tell them apart.

import { after } from 'node:test';

import { closeAll } from './client.mjs';
import { ClusterRegion } from './cluster_region.mjs';
import { DevRegion } from './dev_region.mjs';

const COMPOSITIONS = { dev: DevRegion, cluster: ClusterRegion };

// The running region, with a first app and further ones (`ORG/APP`); awaited before the first test.
export async function regionForThisFile(...apps) {
  const region = await COMPOSITIONS[process.env.BULKHEAD_COMPOSITION ?? 'dev'].start(apps);
  after(async () => {
    closeAll();
    await region.stop();
  });
  return region;
}
