import { get } from "node:http";
import { json } from "node:stream/consumers";
import { z } from "zod";
import { GranaryError } from "../../proto/errors.ts";
import { isFitNatsVersion, MIN_NATS_VERSION } from "./nats-version.ts";

const ANSWER_TIMEOUT_MS = 2_000;

/** "ok" when a server says that it is up and its JetStream is ready (`/healthz`), else what it says, "" when it does not answer. */
export async function natsHealth(monitorUrl: string): Promise<string> {
  try {
    const answer = z.object({ status: z.string(), error: z.string().optional() });
    const { status, error } = answer.parse(await ask(`${monitorUrl}/healthz`));
    return error ?? status;
  } catch {
    return "";
  }
}

/**
 * Checks that a server is new enough and fsyncs before it acknowledges; anything else may lose acknowledged commands in
 * a power cut.
 * @returns its version
 * @throws GranaryError NATS_UNFIT
 */
export async function assertNatsFit(monitorUrl: string): Promise<string> {
  const { version } = z.object({ version: z.string() }).parse(await ask(`${monitorUrl}/varz`));
  if (!isFitNatsVersion(version)) {
    throw new GranaryError("NATS_UNFIT", `nats-server is version ${version}`, {
      version,
      minimum: MIN_NATS_VERSION,
    });
  }
  const jetstream = z
    .object({ config: z.object({ sync_always: z.boolean().optional() }).optional() })
    .parse(await ask(`${monitorUrl}/jsz`));
  if (jetstream.config?.sync_always !== true) {
    throw new GranaryError(
      "NATS_UNFIT",
      "nats-server does not run with jetstream { sync_interval: always }",
      { version },
    );
  }
  return version;
}

/** Without `fetch`, whose first use takes 30 ms of CPU at each start of a farm. */
function ask(url: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }, (response) =>
      resolve(json(response)),
    ).on("error", reject);
  });
}
