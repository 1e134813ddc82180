import { parentPort, workerData } from "node:worker_threads";
import type { Outcome } from "../proto/errors.ts";
import type { WorkerData } from "../proto/worker-tasks.ts";
import { accountErrors } from "./account-errors.ts";
import { asGranaryError } from "./as-granary-error.ts";
import { evacuateSegment } from "./evacuate-segment.ts";
import { findCopies } from "./find-copies.ts";
import { StoreFs } from "./fs.ts";
import type { GcCalls } from "./gc-client.ts";
import { absentContent, mark } from "./gc-mark.ts";
import { copyLiveRecords, segmentUse } from "./gc-segments.ts";
import { healListings } from "./heal-listings.ts";
import { openIndexForReading } from "./index-db.ts";
import { IndexView } from "./index-view.ts";
import { SegmentAppender } from "./segment-appender.ts";
import { StorePaths } from "./store-paths.ts";
import { openThreadStore, type ThreadStore } from "./thread-store.ts";

/** The thread of one run of GC or repair: reads listings and the whole index, and copies what lives of dying segments. Changes no row. */
const data = workerData as WorkerData;
const port = parentPort;
if (port === null) throw new RangeError("GC runs as a thread");
const paths = new StorePaths(data.storeDir);
const fs = new StoreFs(data.fsCells);
const index = openIndexForReading(paths.index);
let threadStore: ThreadStore | undefined;
const appender = new SegmentAppender({ paths, fs, segmentIds: data.segmentIds });

const calls: { [K in keyof GcCalls]: (input: GcCalls[K]["input"]) => GcCalls[K]["output"] } = {
  absent: ({ roots }) => absentContent({ roots, paths, fs, index }),
  mark: (input) => mark({ ...input, paths, fs, index }),
  use: () => segmentUse(index),
  accounts: () => accountErrors(index),
  find: (wanted) => findCopies({ paths, index, wanted }),
  evacuate: (segment) => evacuateSegment({ paths, fs, index, appender, segment }),
  heal: (artifacts) => {
    index.refresh();
    threadStore ??= openThreadStore(data);
    return healListings(artifacts, { store: threadStore, view: new IndexView(index) });
  },
  copy: (segment) => copyLiveRecords({ paths, fs, index, appender, segment }),
};

port.on("message", (message: { call: keyof GcCalls; input: never } | "close") => {
  if (message === "close") {
    appender.close();
    void Promise.all([threadStore?.close(), index.close()]).then(() => port.close());
    return;
  }
  let outcome: Outcome<unknown>;
  try {
    outcome = { ok: true, value: calls[message.call](message.input) };
  } catch (error) {
    outcome = { ok: false, error: asGranaryError(error).toWire() };
  }
  port.postMessage(outcome);
});
