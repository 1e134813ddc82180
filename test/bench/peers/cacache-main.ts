import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { buffer } from "node:stream/consumers";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";

/** `node cacache-main.js MODULES STORE ARCHIVE`: prints how many files the archive has. */
interface Cacache {
  put(cache: string, key: string, data: Buffer): Promise<unknown>;
}

/** Puts at once: what lies behind them is the thread pool of four. */
const AT_ONCE = 16;

const [modules = "", store = "", archive = ""] = process.argv.slice(2);
const { put } = createRequire(modules)("cacache") as Cacache;
const running = new Set<Promise<unknown>>();
let files = 0;
for await (const entry of createReadStream(archive).pipe(createGunzip()).pipe(extract())) {
  const content = await buffer(entry);
  if (entry.header.type !== "file") continue;
  files += 1;
  if (running.size >= AT_ONCE) await Promise.race(running);
  const one: Promise<unknown> = put(store, entry.header.name, content).finally(() => running.delete(one));
  running.add(one);
}
await Promise.all(running);
process.stdout.write(String(files));
