import { setTimeout as sleep } from "node:timers/promises";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { NodeJson, Page } from "../../../proto/http.ts";
import { changeNodes } from "../change-nodes.ts";
import { plural } from "../output/format.ts";
import type { VerbHandler } from "../verb-context.ts";

const POLL_MS = 500;

/** Cordons nodes and waits until nothing runs on them. */
export const drain: VerbHandler<"drain"> = async (context) => {
  const { flags, output, api, interrupted, pasteable } = context;
  const deadline = performance.now() + (flags.durationMs("timeout") ?? 0);
  const names = (await changeNodes(context, { cordoned: true })).map((node) => node.node);
  let told = 0;
  for (;;) {
    const { items } = await api().get<Page<NodeJson>>("/v1/nodes");
    const nodes = items.filter((node) => names.includes(node.node));
    const jobs = nodes.reduce((sum, node) => sum + node.jobs, 0);
    if (jobs === 0) {
      output.emit(nodes, () => {
        for (const name of names)
          output.line(`${name} is drained; let it work again: ${pasteable("uncordon", name)}`);
      });
      return EXIT.ok;
    }
    if (performance.now() > deadline)
      throw new GranaryError(
        "TIMED_OUT",
        `${jobs} jobs still run on ${names.join(", ")}; no new ones are taken`,
        { jobs },
      );
    if (jobs !== told) output.note(`${plural(jobs, "job")} still running on ${names.join(", ")}...`);
    told = jobs;
    await sleep(POLL_MS, undefined, { signal: interrupted });
  }
};
