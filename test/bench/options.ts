import { parseArgs } from "node:util";

export interface BenchOptions {
  readonly full: boolean;
  readonly installPeers: boolean;
  readonly help: boolean;
  readonly rounds: number;
  readonly blobs: number;
  readonly queued: number;
  /** Names of measurements; empty: all. */
  readonly only: readonly string[];
  readonly json: string | undefined;
  readonly markdown: string | undefined;
}

const ROUNDS = 5;
const FULL_ROUNDS = 7;
/** What the target is about. */
const BLOBS = 1e7;
const QUEUED = 1e5;

/** @param sections what `--only` may name */
export const benchHelp = (sections: readonly string[]): string => `npm run bench -- [FLAGS]

Measures a real farm on this machine, side by side with tar and with the other tools that are installed. Needs no network,
takes about three minutes on two idle cores. The report goes to stdout, what is being measured to stderr.

  --full             Also: real versions of packages, a large tree (18,000 files, 215 MB), growth of the store to
                     ${BLOBS.toExponential(0)} blobs, a long queue. Fetches packages with npm; much longer, and some 15 GB of disk.
  --install-peers    First get the tools to compare with: apt-get (as root) and npm, into the cache folder.
                     Says what it could not get. Without this flag nothing is installed.
  --only NAME        Only this part; may be repeated: ${sections.join(", ")}.
  --rounds N         Rounds of what is compared with tar (default ${ROUNDS}, --full ${FULL_ROUNDS}).
  --blobs N          Blobs up to which the store grows in --full (default ${BLOBS.toExponential(0)}).
  --queued N         Jobs that the queue grows to in --full (default ${QUEUED.toExponential(0)}).
  --json FILE        Write everything as JSON, too.
  --markdown FILE    Write the report to a file, too.
  --help             This.

One benchmark at a time, on a machine that does nothing else. GRANARY_CACHE says where peers and packages are kept
(default ~/.cache/granary), TMPDIR where the data goes: a disk, not a tmpfs.
`;

/** @throws TypeError for flags that there are not */
export function benchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      full: { type: "boolean", default: false },
      "install-peers": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      rounds: { type: "string" },
      blobs: { type: "string" },
      queued: { type: "string" },
      json: { type: "string" },
      markdown: { type: "string" },
    },
  });
  return {
    full: values.full,
    installPeers: values["install-peers"],
    help: values.help,
    only: values.only,
    rounds: positive("rounds", values.rounds) ?? (values.full ? FULL_ROUNDS : ROUNDS),
    blobs: positive("blobs", values.blobs) ?? BLOBS,
    queued: positive("queued", values.queued) ?? QUEUED,
    json: values.json,
    markdown: values.markdown,
  };
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new TypeError(`--${name} has to be a whole number above 0`);
  return value;
}
