import { parseDurationMs } from "../../../proto/duration.ts";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { LiveAtJson } from "../../../proto/http.ts";
import { formatTime } from "../output/format.ts";
import { printRelease } from "../output/print-release.ts";
import { findProject } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows what was live at a time. */
export const at: VerbHandler<"at"> = async ({ args, output, api }) => {
  const given = args[1] ?? "";
  const agoMs = parseDurationMs(given);
  if (agoMs === undefined && !/^[0-9]{4}-/.test(given))
    throw new GranaryError(
      "USAGE",
      `TIME wants 2026-11-21T12:00:00Z, or how long ago: 90s, 15m, 8h, 7d; not ${JSON.stringify(given)}`,
    );
  const client = api();
  const { path } = await findProject(client, args[0] ?? "");
  const time = agoMs === undefined ? given : new Date(Date.now() - agoMs).toISOString();
  const live = await client.get<LiveAtJson>(`${path}/at`, { time });
  output.emit(live, () => {
    if (output.quiet) output.line(live.image_ref);
    else
      printRelease(output, live, [
        ["live from", `${formatTime(live.live_from)} (${live.cause} by ${live.live_by})`],
        ["live until", live.live_until === null ? "now" : formatTime(live.live_until)],
        ["because", live.reason],
        ["generation", String(live.generation)],
      ]);
  });
  return EXIT.ok;
};
