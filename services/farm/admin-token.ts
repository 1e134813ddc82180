import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command, CommandResult } from "../../proto/commands.ts";
import { GranaryError } from "../../proto/errors.ts";
import { parseName } from "../../proto/names.ts";
import { formatToken, parseToken, tokenHash } from "../../proto/token.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { findOrg, findTokenByHash } from "../shared/state-queries.ts";

const DEFAULT_ORG = "default";

/**
 * The farm's own token: `admin.token` in the data folder (0600), admin of org `default` with farm:admin. Made on the first
 * start, and again when it was revoked; registered again when the state does not know it (a restored or emptied log).
 */
export async function ensureAdminToken(options: {
  dataDir: string;
  read<T>(body: (view: StateView) => T): T;
  submit(command: Command): Promise<CommandResult>;
}): Promise<{ token: string; file: string }> {
  const file = join(options.dataDir, "admin.token");
  let token = existsSync(file) ? readFileSync(file, "utf8").trim() : createToken(file);
  const known = options.read((view) => findTokenByHash(view, tokenHash(token)));
  if (known?.revoked_at !== undefined) token = createToken(file);
  const parsed = parseToken(token);
  if (parsed === undefined)
    throw new GranaryError("CONFIG_INVALID", `${file} holds no token; remove it and start again`);
  if (options.read((view) => findTokenByHash(view, tokenHash(token))) === undefined) {
    const org = parseName(DEFAULT_ORG, "org");
    const base = { v: 1, actor: { kind: "system", id: "farm" }, org } as const;
    if (options.read((view) => findOrg(view, org)) === undefined)
      await options.submit({ ...base, id: `cmd_org_${parsed.id}`, body: { type: "org.create" } });
    const result = await options.submit({
      ...base,
      id: `cmd_token_${parsed.id}`,
      body: {
        type: "token.create",
        token_id: parsed.id,
        hash: tokenHash(token),
        scopes: ["admin", "farm:admin"],
      },
    });
    if (!result.ok) throw GranaryError.fromWire(result.error);
  }
  return { token, file };
}

function createToken(file: string): string {
  const token = formatToken("adm", randomBytes(8).toString("hex"), randomBytes(16).toString("hex"));
  writeFileSync(`${file}.new`, `${token}\n`, { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
  return token;
}
