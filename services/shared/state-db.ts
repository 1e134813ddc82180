import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import type { Database, RootDatabase, Transaction } from "lmdb";
import { GranaryError } from "../../proto/errors.ts";
import { Lru } from "../../store/lru.ts";
import { openLmdb } from "../../store/open-lmdb.ts";
import type { KeyRange, RangeOptions, StateKey, StateRow, StateTx, StateView } from "./state-db-tx.ts";
import { onStateDisk } from "./state-failure.ts";
import { KEYS, STATE_VERSION } from "./state-keys.ts";
import { openRow, sealRow } from "./state-row.ts";

/**
 * The state on disk. `transact` has fsynced when it returns (see {@link openStateWriter}): call it on a thread that serves nobody else.
 *
 * A second, local map next to the replicated one holds what belongs to this copy alone (the log's epoch, relay cursors);
 * it takes no part in the digest.
 */
export interface StateWriter {
  /** Runs `body` as one transaction: all of it is durable, or none when it throws. @throws GranaryError STORE_FULL, STORE_IO */
  transact<T>(body: (tx: StateTx, local: LocalTx) => T): T;
  read<T>(body: (view: StateView) => T): T;
  readLocal(key: string): string | undefined;
  rows(): Iterable<readonly [key: string, json: string]>;
  /** The rows as they are now, to be walked while later transactions go on; LMDB keeps their pages until `release`. */
  pin(): PinnedRows;
  /** Writes a compacted copy of one moment, both maps, to a new file. Not synced. */
  copy(file: string): Promise<void>;
  /** When it returns, everything that was committed before is durable, also of a writer that may lose its last transaction. */
  settle(): void;
  close(): Promise<void>;
}

export interface PinnedRows {
  rows(): Iterable<readonly [key: string, json: string]>;
  release(): void;
}

export interface LocalTx {
  put(key: string, value: string): void;
  remove(key: string): void;
}

/** Reads the state that another thread or process writes. */
export interface StateReader {
  /** Runs `body` on the newest committed state; everything it reads is of one moment. It must be synchronous. */
  read<T>(body: (view: StateView) => T): T;
  readLocal(key: string): string | undefined;
  /** Every row as it is stored, in key order. */
  rows(): Iterable<readonly [key: string, json: string]>;
  /** As {@link StateWriter.copy}. */
  copy(file: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * With `replayable` a power cut may undo the last transaction, and only that one: for who makes it again from the log. LMDB syncs a
 * commit's pages, then its meta page; that second sync is left out (MDB_NOMETASYNC), and the next commit's first makes up for it. The
 * file stays whole: a transaction overwrites only pages that neither of the last two states has. Measured on a loaded
 * machine, a transaction of 12 rows: p50 0.6 instead of 2.1 ms, CPU 0.21 instead of 0.35 ms.
 * @throws GranaryError STORE_FORMAT when another version of the state machine wrote it; STORE_FULL, STORE_IO
 */
export function openStateWriter(dir: string, { replayable = false } = {}): StateWriter {
  mkdirSync(dir, { recursive: true });
  const db = onStateDisk(dir, () => openDatabases(dir, { noMetaSync: replayable }));
  const view = viewOf(db.state);
  const tx: StateTx = {
    ...view,
    put: (key, value) => db.state.putSync(key, sealRow(key, JSON.stringify(value))),
    remove: (key) => {
      db.state.removeSync(key);
    },
  };
  const local: LocalTx = {
    put: (key, value) => db.local.putSync(key, value),
    remove: (key) => {
      db.local.removeSync(key);
    },
  };
  const writer: StateWriter = {
    transact: (body) => onStateDisk(dir, () => db.root.transactionSync(() => body(tx, local))),
    read: (body) => {
      db.root.resetReadTxn();
      return body(view);
    },
    readLocal: (key) => {
      db.root.resetReadTxn();
      return db.local.get(key);
    },
    rows: () => rowsOf(db.state),
    pin: () => {
      db.root.resetReadTxn();
      const transaction = db.root.useReadTransaction();
      return { rows: () => rowsOf(db.state, { transaction }), release: () => transaction.done() };
    },
    copy: (file) => db.root.backup(file, true),
    // The sync of this transaction's pages is that of the meta page before it.
    settle: () => writer.transact((_, own) => own.put(SETTLED, String(Date.now()))),
    close: () => db.root.close(),
  };
  const meta = writer.read((state) => state.get(KEYS.meta()));
  if (meta !== undefined && meta.version !== STATE_VERSION) {
    const detail = { found: meta.version, expected: STATE_VERSION };
    throw new GranaryError("STORE_FORMAT", `the state in ${dir} has version ${meta.version}`, detail);
  }
  return writer;
}

/** @throws GranaryError UNAVAILABLE when nothing was ever written there */
export function openStateReader(dir: string): StateReader {
  if (!existsSync(path.join(dir, DATA_FILE))) {
    throw new GranaryError("UNAVAILABLE", `there is no state in ${dir} yet`);
  }
  const db = openDatabases(dir);
  const view = viewOf(db.state, rememberingParser());
  return {
    read: (body) => {
      // LMDB keeps a read transaction over several calls: without this, a commit of another thread is seen late.
      db.root.resetReadTxn();
      return body(view);
    },
    readLocal: (key) => {
      db.root.resetReadTxn();
      return db.local.get(key);
    },
    rows: () => {
      db.root.resetReadTxn();
      return rowsOf(db.state);
    },
    copy: (file) => db.root.backup(file, true),
    close: () => db.root.close(),
  };
}

export const DATA_FILE = "state.mdb";
/** A local row whose writing is what matters. */
const SETTLED = "settled";

interface Databases {
  readonly root: RootDatabase<string, string>;
  readonly state: Database<string, string>;
  readonly local: Database<string, string>;
}

function openDatabases(dir: string, { noMetaSync = false } = {}): Databases {
  const root = openLmdb<string, string>({
    path: path.join(dir, DATA_FILE),
    encoding: "string",
    // The default loses the last acknowledged write in a power cut (13 of 30 cycles; with false 0 of 80), at the same speed.
    overlappingSync: false,
    noMetaSync,
    maxReaders: 512,
  });
  const named = { encoding: "string", cache: false } as const;
  return {
    root,
    state: root.openDB<string, string>({ name: "state", ...named }),
    local: root.openDB<string, string>({ name: "local", ...named }),
  };
}

/** From a row's key and sealed text to its value. */
type Parser = (key: string, text: string) => unknown;

const parseRow: Parser = (key, text) => JSON.parse(openRow(key, text));

function viewOf(db: Database<string, string>, parse = parseRow): StateView {
  return {
    get: <T>(key: StateKey<T>) => {
      const text = db.get(key);
      return text === undefined ? undefined : (parse(key, text) as T);
    },
    range: (range, options = {}) => rangeOf(db, range, { ...options, parse }),
  };
}

/** Smaller rows are parsed as fast as they are found. */
const REMEMBERED_ROW_LENGTH = 2_048;
/** About twice as much memory. */
const REMEMBERED_LENGTH = 8 * 1024 * 1024;

/**
 * A parser that knows the large rows which were read last: releases with their layers are read several times a publish, at 0.1 ms each. A
 * row whose text is another one is parsed anew. What it answers is shared, hence frozen.
 */
function rememberingParser(): Parser {
  const rows = new Lru<string, { text: string; value: unknown }>(
    REMEMBERED_LENGTH,
    ({ text }) => text.length,
  );
  return (key, text) => {
    if (text.length < REMEMBERED_ROW_LENGTH) return parseRow(key, text);
    const known = rows.get(key);
    if (known?.text === text) return known.value;
    const value = deepFreeze(parseRow(key, text));
    rows.set(key, { text, value });
    return value;
  };
}

function deepFreeze(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}

function* rangeOf<T>(
  db: Database<string, string>,
  range: KeyRange<T>,
  { parse, ...options }: RangeOptions & { parse: Parser },
): Generator<StateRow<T>> {
  const { reverse = false, limit, after } = options;
  const bounded = limit === undefined ? {} : { limit };
  const entries = reverse
    ? db.getRange({
        // The upper bound is excluded, the lower one included, as in the other direction.
        start: after !== undefined && after < range.end ? after : range.end,
        exclusiveStart: true,
        end: range.start,
        inclusiveEnd: true,
        reverse: true,
        ...bounded,
      })
    : db.getRange({
        start: after !== undefined && after >= range.start ? after : range.start,
        exclusiveStart: after !== undefined && after >= range.start,
        end: range.end,
        ...bounded,
      });
  for (const { key, value } of entries) yield { key, value: parse(key, value) as T };
}

function* rowsOf(
  db: Database<string, string>,
  at: { transaction?: Transaction } = {},
): Generator<readonly [key: string, json: string]> {
  for (const { key, value } of db.getRange(at)) yield [key, openRow(key, value)];
}
