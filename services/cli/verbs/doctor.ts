import { execFile } from "node:child_process";
import os from "node:os";
import { EXIT, GranaryError, isErrorCode } from "../../../proto/errors.ts";
import type { WhoamiJson } from "../../../proto/http.ts";
import type { PointerJson } from "../../../proto/http-pointer.ts";
import type { StoreJson } from "../../../proto/http-store.ts";
import { findNatsBinary } from "../../shared/nats-binary.ts";
import { cliVersion } from "../cli-version.ts";
import { formatCount, formatTime } from "../output/format.ts";
import { scrubText } from "../output/scrub-text.ts";
import { renderTable } from "../output/table.ts";
import type { VerbContext, VerbHandler } from "../verb-context.ts";

interface Finding {
  readonly check: string;
  readonly state: "ok" | "missing" | "note";
  readonly detail: string;
}

const NODE_MIN: readonly [number, number] = [20, 19];

/** Checks machine, configuration and farm. Exits 0 when nothing that publishing needs is missing. */
export const doctor: VerbHandler<"doctor"> = async (context) => {
  const { output, env } = context;
  const findings: Finding[] = [
    { check: "granary", state: "ok", detail: cliVersion() },
    nodeFinding(),
    platformFinding(),
    await finding(
      "nats-server",
      async () => {
        const found = await findNatsBinary(env);
        return `${found.version} at ${found.path}`;
      },
      "note",
    ),
    await finding("git", () => toolVersion("git", ["--version"]), "note"),
    await finding(
      "configuration",
      async () => `${context.settings().url.value} (${context.settings().url.source})`,
      "missing",
    ),
    ...(await farmFindings(context)),
  ];
  output.emit(findings, () =>
    // Not cut to the terminal: what is wrong is at the end of the line.
    output.line(
      renderTable(
        ["CHECK", "STATE", "DETAIL"],
        findings.map((row) => [row.check, row.state, row.detail]),
      ).join("\n"),
    ),
  );
  return findings.some((row) => row.state === "missing") ? EXIT.unavailable : EXIT.ok;
};

function nodeFinding(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const fit = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  return {
    check: "node",
    state: fit ? "ok" : "missing",
    detail: `${process.versions.node}${fit ? "" : `; ${NODE_MIN.join(".")} or newer is needed`}`,
  };
}

function platformFinding(): Finding {
  const detail = `${os.platform()} ${os.arch()}, ${os.availableParallelism()} cores`;
  if (os.platform() === "win32")
    return { check: "platform", state: "missing", detail: `${detail}: use WSL 2` };
  return { check: "platform", state: "ok", detail };
}

async function farmFindings(context: VerbContext): Promise<Finding[]> {
  const reach = await finding(
    "farm",
    async () => {
      const { version } = await context.api().get<{ version: string }>("/version");
      return `${version} at ${context.api().url}`;
    },
    "missing",
  );
  if (reach.state !== "ok") return [reach];
  const ready = await finding(
    "farm's parts",
    async () => {
      await context.api().get<unknown>("/readyz");
      return "all ready";
    },
    "missing",
  );
  const token = await finding(
    "token",
    async () => {
      const who = await context.api().get<WhoamiJson>("/v1/whoami");
      return `${who.token_id} of ${who.org}: ${who.scopes.join(", ")}`;
    },
    "missing",
  );
  const pointer = await finding(
    "pointer",
    async () => pointerText(await context.api().get("/v1/pointer")),
    "note",
  );
  const scrub = await finding(
    "scrub",
    async () => scrubFinding(await context.api().get("/v1/store")),
    "note",
  );
  const content = await finding(
    "content",
    async () => contentFinding(await context.api().get("/v1/store")),
    "note",
  );
  const garbage = await finding(
    "garbage collection",
    async () => gcFinding(await context.api().get("/v1/store")),
    "note",
  );
  return [reach, ready, token, pointer, content, scrub, garbage];
}

/** @throws GranaryError STORE_CORRUPT when some of it is refused, whoever has found that */
function contentFinding({ blobs, damaged_blobs: damaged }: StoreJson): string {
  if (damaged === 0) return `${formatCount(blobs)} blobs, none known to be damaged`;
  throw new GranaryError(
    "STORE_CORRUPT",
    `${damaged} blobs are damaged and refused; granary store fsck --repair names what needs them`,
  );
}

/** @throws GranaryError STORE_CORRUPT when the last pass, or the one under way, has found damage */
function scrubFinding({ scrub }: StoreJson): string {
  const found = [scrub.pass, scrub.last].flatMap((pass) => (pass === null ? [] : Object.values(pass.found)));
  const text = scrubText(scrub);
  if (found.every((count) => count === 0)) return text;
  throw new GranaryError("STORE_CORRUPT", `${text}; see granary store fsck --repair`);
}

/** @throws GranaryError when the last run failed, or could not tell garbage from what damaged listings name */
function gcFinding({ last_gc: last }: StoreJson): string {
  if (last === null) return "no run since the start";
  if (last.error !== undefined && isErrorCode(last.error))
    throw new GranaryError(last.error, `the run of ${last.at} failed`);
  const damaged = (last.damaged ?? []).flatMap(({ references }) =>
    references.map(({ org, project, ref }) => `${org}/${project}@${ref}`),
  );
  if (last.held_back_blobs === undefined) return `last run ${formatTime(last.at)}`;
  const message = `damaged listings (${damaged.slice(0, 5).join(", ")}) keep content that nothing else names; see granary store gc --dry-run`;
  throw new GranaryError("STORE_CORRUPT", message);
}

function pointerText({ up, reason, applied_seq, state_version, compared }: PointerJson): string {
  const same =
    compared === null ? "not compared yet" : `compared at ${compared.seq}: ${compared.digest.slice(0, 12)}`;
  return `${up ? "" : `${reason}; `}${applied_seq} commands applied, state version ${state_version}, ${same}`;
}

async function finding(
  check: string,
  run: () => Promise<string>,
  otherwise: "missing" | "note",
): Promise<Finding> {
  try {
    return { check, state: "ok", detail: await run() };
  } catch (error) {
    if (!(error instanceof GranaryError)) throw error;
    return {
      check,
      state: otherwise,
      detail: `${error.message}${error.message.includes(error.spec.hint) ? "" : `. ${error.spec.hint}`}`,
    };
  }
}

function toolVersion(command: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: 10_000 }, (error, stdout) => {
      if (error === null) resolve(stdout.trim().split("\n")[0] ?? "");
      else
        reject(
          new GranaryError(
            "CAPABILITY_MISSING",
            `${command} does not run here; commits cannot be detected from a checkout`,
            {},
            { cause: error },
          ),
        );
    });
  });
}
