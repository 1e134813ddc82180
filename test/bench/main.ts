import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXIT } from "../../proto/error-spec.ts";
import { cacheFolder } from "../../services/shared/nats-binary.ts";
import type { Bench } from "./bench.ts";
import { nodeModulesCorpus } from "./corpus.ts";
import { describeMachine } from "./machine.ts";
import { MEASUREMENTS } from "./measurements.ts";
import { type BenchOptions, benchHelp, benchOptions } from "./options.ts";
import { CONTESTANTS } from "./peers/all.ts";
import { installPeers } from "./peers/install-peers.ts";
import { markdownReport } from "./report.ts";
import { runMeasurements } from "./run-measurements.ts";

/** `npm run bench`: see docs/bench.md. */
/** Enough for two threads to be busy for a while without a tree that is known. */
const CHANGED = 16;
const WARM_UP = 8;
/** Changes of no round. */
const WARM_UP_FIRST = 500;
const args = process.argv.slice(2);
const say = (line: string): void => void process.stderr.write(`bench: ${line}\n`);
const options = readOptions();

if (options.help) {
  process.stdout.write(benchHelp(MEASUREMENTS.map(({ name }) => name)));
} else {
  if (options.installPeers)
    await installPeers({ contestants: CONTESTANTS, cacheFolder: cacheFolder(process.env), say });
  await run();
}

function readOptions(): BenchOptions {
  try {
    return benchOptions(args);
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}; see npm run bench -- --help`);
    process.exit(EXIT.usage);
  }
}

async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "granary-bench-"));
  try {
    const machine = describeMachine(folder);
    const corpus = nodeModulesCorpus(join(folder, "corpus"));
    const { full, rounds, blobs, queued } = options;
    const bench: Bench = {
      folder,
      corpus,
      changed: Array.from({ length: Math.max(rounds, CHANGED) }, (_, round) => corpus.changed(round)),
      warmUp: [
        corpus.archive,
        ...Array.from({ length: WARM_UP }, (_, i) => corpus.changed(WARM_UP_FIRST + i)),
      ],
      rounds,
      full,
      blobs,
      queued,
      cacheFolder: cacheFolder(process.env),
    };
    const { sections, failed } = await runMeasurements(MEASUREMENTS, bench, { only: options.only, say });
    const report = {
      date: new Date().toISOString().slice(0, 10),
      command: ["npm run bench", ...(args.length > 0 ? ["--", ...args] : [])].join(" "),
      machine,
      corpus: {
        name: corpus.name,
        files: corpus.files,
        bytes: corpus.bytes,
        archiveBytes: corpus.archiveBytes,
      },
      sections,
    };
    const markdown = markdownReport(report);
    process.stdout.write(markdown);
    if (options.markdown !== undefined) writeFileSync(options.markdown, markdown);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
    if (failed.length > 0) {
      say(`failed: ${failed.join(", ")}`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
