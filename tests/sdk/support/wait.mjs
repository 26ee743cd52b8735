// Waiting with a limit: nothing in the tests sleeps and hopes.

export const LIMIT_MS = 15_000;

// Resolves as soon as `probe` returns something truthy (or a promise of it); fails with `what` after the limit.
export async function eventually(what, probe, limitMs = LIMIT_MS) {
  const end = performance.now() + limitMs;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// A promise, or a failure that says what was waited for.
export async function within(what, promise, limitMs = LIMIT_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limitMs} ms: ${what}`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// How a promise is refused; fails if it is fulfilled.
export async function refusal(what, promise) {
  try {
    await within(what, promise);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('not within')) throw error;
    return error;
  }
  throw new Error(`not refused: ${what}`);
}
