import type { Command } from "../../../proto/commands.ts";
import type { ErrorCode, ErrorDetail, WireError } from "../../../proto/errors.ts";
import type { EventRecord, EventType } from "../../../proto/events.ts";
import type { Name } from "../../../proto/names.ts";
import type { Actor, AuditRecord, ProjectRecord } from "../../../proto/records.ts";
import type { KeyRange, RangeOptions, StateKey, StateRow, StateTx } from "../../shared/state-db-tx.ts";
import { KEYS } from "../../shared/state-keys.ts";

/**
 * One command on its way through the state machine: the state, the log's time, and what the command leaves behind (events,
 * audit rows). There is no clock and no randomness here, and nothing that differs between two replicas.
 */
export class Step {
  readonly command: Command;
  readonly seq: number;
  readonly timeMs: number;
  /** {@link timeMs} as RFC 3339. */
  readonly at: string;
  readonly #tx: StateTx;
  readonly #onEvent: ((event: EventRecord) => void) | undefined;
  #project: ProjectRecord | undefined;
  #projectChanged = false;
  #wrote = false;
  #events = 0;
  /** Number 0 is the row of the command itself, although it is written last. */
  #audits = 1;

  constructor(
    tx: StateTx,
    command: Command,
    at: { seq: number; timeMs: number; onEvent?: ((event: EventRecord) => void) | undefined },
  ) {
    this.#tx = tx;
    this.command = command;
    this.seq = at.seq;
    this.timeMs = at.timeMs;
    this.at = timeText(at.timeMs);
    this.#onEvent = at.onEvent;
  }

  get<T>(key: StateKey<T>): T | undefined {
    return this.#tx.get(key);
  }

  range<T>(range: KeyRange<T>, options?: RangeOptions): Iterable<StateRow<T>> {
    return this.#tx.range(range, options);
  }

  put<T>(key: StateKey<T>, value: T): void {
    this.#wrote = true;
    this.#tx.put(key, value);
  }

  remove(key: StateKey<unknown>): void {
    this.#wrote = true;
    this.#tx.remove(key);
  }

  /** Ends the command as refused. Only before its first write: a refused command changes nothing. */
  refuse(code: ErrorCode, message: string, detail: ErrorDetail = {}): never {
    if (this.#wrote)
      throw new Error(`${this.command.body.type} was refused after it had written: ${message}`);
    throw new Refusal({ code, message, detail });
  }

  /** The project the step works on. Refuses with NOT_FOUND when there is none. */
  openProject(project: Name | undefined = this.command.project): ProjectRecord {
    if (this.#project !== undefined) return this.#project;
    const { org } = this.command;
    const record = project === undefined ? undefined : this.get(KEYS.project({ org, project }));
    if (record === undefined) return this.refuse("NOT_FOUND", `there is no project ${org}/${project ?? ""}`);
    this.#project = record;
    return record;
  }

  /** A project as a whole: a new one, or in place of the opened one. */
  putProject(record: ProjectRecord): void {
    this.#wrote = true;
    this.#project = record;
    this.#projectChanged = true;
  }

  /** Changes members of the opened project. */
  updateProject(changes: Partial<ProjectRecord>): ProjectRecord {
    this.#wrote = true;
    this.#project = { ...this.openProject(), ...changes };
    this.#projectChanged = true;
    return this.#project;
  }

  /** Writes the next event of the opened project. */
  emit(type: EventType, subject: string, data: EventRecord["data"]): void {
    const project = this.openProject();
    const event: EventRecord = {
      seq: this.seq,
      k: this.#events,
      org: project.org,
      project: project.project,
      n: project.event_n + 1,
      at: this.at,
      type,
      subject,
      data,
    };
    this.#events += 1;
    this.put(KEYS.event(event), event);
    this.put(KEYS.orgEvent(event.org, event), KEYS.event(event));
    this.put(KEYS.projectEvent(event, event), KEYS.event(event));
    this.updateProject({ event_n: event.n, event_seq: event.seq });
    this.#onEvent?.(event);
  }

  /** Writes the audit row of the command itself. */
  auditCommand(row: AuditEntry): void {
    this.#writeAudit(row, 0);
  }

  /** Writes an audit row of something that the command brought about. */
  audit(row: AuditEntry): void {
    this.#writeAudit(row, this.#audits);
    this.#audits += 1;
  }

  #writeAudit(row: AuditEntry, k: number): void {
    const { command } = this;
    const project = command.project ?? this.#project?.project;
    const record: AuditRecord = {
      seq: this.seq,
      at: this.at,
      org: command.org,
      ...(project !== undefined && { project }),
      action: row.action,
      resource: row.resource,
      actor: row.actor ?? command.actor,
      ok: row.code === undefined,
      ...(row.code !== undefined && { code: row.code }),
      ...(row.reason !== undefined && { reason: row.reason }),
      ...(command.request_id !== undefined && { request_id: command.request_id }),
      ...(command.remote !== undefined && { remote: command.remote }),
    };
    this.put(KEYS.audit(command.org, { seq: this.seq, k }), record);
  }

  /** Writes what was gathered about the project. The last call on a step. */
  close(): void {
    if (this.#projectChanged && this.#project !== undefined)
      this.put(KEYS.project(this.#project), this.#project);
  }
}

interface AuditEntry {
  readonly action: string;
  readonly resource: string;
  readonly code?: ErrorCode;
  readonly reason?: string;
  readonly actor?: Actor;
}

/**
 * How a handler ends a command early. A class of its own, because a GranaryError that comes out of the state itself
 * (STORE_CORRUPT) must halt the replica instead of being recorded as the command's result.
 */
export class Refusal extends Error {
  readonly wire: WireError;

  constructor(wire: WireError) {
    super(wire.message);
    this.wire = wire;
  }
}

function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
