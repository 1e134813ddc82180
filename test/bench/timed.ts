/** Milliseconds that `body` takes. */
export async function timed(body: () => Promise<unknown> | unknown): Promise<number> {
  const startedMs = performance.now();
  await body();
  return performance.now() - startedMs;
}
