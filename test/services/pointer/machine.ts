import type {
  AcceptCommand,
  Command,
  CommandBody,
  CommandResult,
  CommandValue,
} from "../../../proto/commands.ts";
import { type Digest, digestOf } from "../../../proto/digest.ts";
import type { EventRecord } from "../../../proto/events.ts";
import type { Name } from "../../../proto/names.ts";
import type {
  ArtifactRecord,
  ProjectRecord,
  PublishRecord,
  PublishStats,
  ReleaseRecord,
} from "../../../proto/records.ts";
import { applyCommand } from "../../../services/pointer/apply/apply-command.ts";
import { stateDigest } from "../../../services/shared/state-db-digest.ts";
import { KEYS, RANGES } from "../../../services/shared/state-keys.ts";
import { findProject, findPublish, findRelease } from "../../../services/shared/state-queries.ts";
import { MemoryState } from "../../helpers/memory-state.ts";

export const ORG = "acme" as Name;
export const PROJECT = "bot" as Name;
export const AT = { org: ORG, project: PROJECT };
export const START_MS = Date.parse("2026-01-01T00:00:00.000Z");

export interface Applied {
  readonly command: Command;
  readonly timeMs: number;
}

/** The state machine in memory, with a log of its own and a clock that the test moves. */
export class Machine {
  readonly state = new MemoryState();
  readonly log: Applied[] = [];
  timeMs = START_MS;

  apply(body: CommandBody, options: Partial<Command> = {}): CommandResult {
    const command = commandOf(body, { id: `cmd_${this.log.length + 1}`, ...options });
    return this.applyCommand(command);
  }

  applyCommand(command: Command): CommandResult {
    this.timeMs += 1;
    const entry = { command, timeMs: this.timeMs };
    this.log.push(entry);
    return applyCommand(this.state, command, { seq: this.log.length, timeMs: entry.timeMs });
  }

  /** Applies, and fails the test when it is refused. */
  ok(body: CommandBody, options: Partial<Command> = {}): CommandValue {
    const result = this.apply(body, options);
    if (!result.ok) throw new Error(`${body.type} was refused: ${result.error.code} ${result.error.message}`);
    return result.value;
  }

  /** Accepts and starts a publish. @returns its id */
  begin(content: string, options: Partial<AcceptCommand> = {}): string {
    const publishId = options.publish_id ?? `pub_${this.log.length + 1}`;
    this.ok(acceptOf(content, { publish_id: publishId, ...options }));
    this.ok({ type: "start", publish_id: publishId, attempt: 1, node: "n1" });
    return publishId;
  }

  finish(publishId: string, image: string): CommandValue {
    return this.ok(readyOf(publishId, image));
  }

  /** A publish from accept to ready. @returns its record */
  publish(content: string, options: Partial<AcceptCommand> = {}): PublishRecord {
    const publishId = this.begin(content, options);
    this.finish(publishId, content);
    return this.publishRecord(publishId);
  }

  get project(): ProjectRecord {
    return must(findProject(this.state, AT), "project");
  }

  publishRecord(publishId: string): PublishRecord {
    return must(findPublish(this.state, publishId), publishId);
  }

  release(version: number): ReleaseRecord {
    return must(findRelease(this.state, AT, version), `v${version}`);
  }

  events(): EventRecord[] {
    return [...this.state.range(RANGES.events())].map((row) => row.value);
  }

  eventTypes(): string[] {
    return this.events().map((event) => event.type);
  }

  get digest(): string {
    return stateDigest(this.state.rows());
  }

  /** Rows without what every command leaves behind, refused ones too. */
  substance(): string {
    const rows = [...this.state.rows()].filter(
      ([key]) => !/^(?:meta$|audit\/|command\/|command-at\/)/.test(key),
    );
    return stateDigest(rows);
  }

  get appliedSeq(): number {
    return this.state.get(KEYS.meta())?.seq ?? 0;
  }
}

export function commandOf(body: CommandBody, options: Partial<Command> = {}): Command {
  return { v: 1, id: "cmd_1", actor: { kind: "token", id: "tok_1" }, ...AT, body, ...options };
}

export function acceptOf(content: string, options: Partial<AcceptCommand> = {}): AcceptCommand {
  return {
    type: "accept",
    publish_id: `pub_${content}`,
    upload: { digest: digestOf(content), size: content.length },
    channel: "production",
    commit: "0123456789abcdef",
    activate: true,
    create: { org: true, project: true },
    ...options,
  };
}

export function readyOf(publishId: string, image: string, attempt = 1): CommandBody {
  return {
    type: "ready",
    publish_id: publishId,
    attempt,
    node: "n1",
    artifact: artifactOf(image),
    stats: STATS,
  };
}

export function artifactOf(image: string): ArtifactRecord {
  const part = (what: string): { mediaType: string; digest: Digest; size: number } => {
    return { mediaType: `application/${what}`, digest: digestOf(`${what} ${image}`), size: 10 };
  };
  return {
    tree: digestOf(`tree ${image}`),
    tree_size: 100,
    image_digest: part("manifest").digest,
    manifest: part("manifest"),
    config: part("config"),
    layers: [part("layer")],
    recipe_version: 1,
    platform: "linux/amd64",
    user: "1000",
    build_kind: "file_copy",
    build_reason: "neither a Dockerfile nor a karta.toml",
    execution: "file_copy",
    size_bytes: 10,
    file_count: 1,
    warnings: [],
  };
}

export const STATS: PublishStats = {
  uploaded_bytes: 10,
  new_blob_bytes: 10,
  new_blobs: 1,
  reused_blob_bytes: 0,
  reused_blobs: 0,
  new_layers: 1,
  reused_layers: 0,
  timings_ms: { extract: 1.5 },
};

export function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`there is no ${what}`);
  return value;
}
