import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { WhoamiJson } from "../../../proto/http.ts";
import { readContexts, saveContext } from "../config/contexts.ts";
import { DEFAULT_URL, parseFarmUrl } from "../config/settings.ts";
import { createApiClient } from "../http/api-client.ts";
import { ciToken } from "../http/ci-token.ts";
import { readSecret } from "../read-secret.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Checks a token against the farm and saves both as a context, which becomes the current one. */
export const login: VerbHandler<"login"> = async ({ flags, output, env, stdin, interrupted }) => {
  const named = flags.text("context");
  const url = parseFarmUrl(
    flags.text("url") ??
      (named === undefined ? undefined : readContexts(env).contexts[named]?.url) ??
      DEFAULT_URL,
  );
  const job = ciToken({
    env,
    url: { value: url, source: flags.text("url") === undefined ? "saved contexts" : "flag" },
    named: [],
    signal: interrupted,
    userAgent: "granary-cli",
  });
  const token = (
    flags.text("token") ??
    (await job?.()) ??
    (await readSecret({ stdin, output, prompt: `token for ${url}: `, signal: interrupted }))
  ).trim();
  if (token === "")
    throw new GranaryError("USAGE", "no token: pass --token, set GRANARY_TOKEN, or send it on stdin");
  const client = createApiClient({ url, token, signal: interrupted, userAgent: "granary-cli" });
  const who = await client.get<WhoamiJson>("/v1/whoami");
  const name = named ?? new URL(url).host.replace(/[^A-Za-z0-9._-]/g, "-");
  saveContext(env, name, { url, token, org: who.org });
  output.emit({ context: name, url, org: who.org, scopes: who.scopes }, () =>
    output.line(`logged in to ${url} as ${who.token_id} of ${who.org}; saved as context ${name}`),
  );
  return EXIT.ok;
};
