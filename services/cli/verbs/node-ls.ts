import { EXIT } from "../../../proto/errors.ts";
import type { NodeJson, Page } from "../../../proto/http.ts";
import { formatBytes, formatTime } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists the nodes. */
export const nodeLs: VerbHandler<"node ls"> = async ({ output, api }) => {
  const page = await api().get<Page<NodeJson>>("/v1/nodes");
  printPage(output, page, {
    header: ["NODE", "STATE", "THREADS", "GPUS", "DISK FREE", "LABELS", "SEEN", "VERSION"],
    spare: ["VERSION", "SEEN"],
    empty: "no nodes",
    row: (node) => [
      node.node,
      node.state,
      `${node.threads_busy}/${node.threads} busy${node.threads_default === undefined ? "" : ` (default ${node.threads_default})`}`,
      node.gpus.length === 0 ? undefined : node.gpus.map((gpu) => gpu.model).join(", "),
      formatBytes(node.disk.free_bytes),
      Object.entries(node.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
      formatTime(node.last_seen),
      node.version,
    ],
  });
  return EXIT.ok;
};
