import { appArchive } from "./app-archive.ts";
import type { TestFarm } from "./farm.ts";
import { OPENAPI } from "./openapi.ts";
import { rawRequest } from "./raw-http.ts";

/** A part of a JSON schema, as far as requests are made from it. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly $ref?: string;
}

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly schema: Schema;
}

interface FuzzedOperation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body: Schema | undefined;
}

/** What a run found: answers that no request may get. */
export interface Finding {
  readonly request: string;
  readonly answer: string;
  readonly what: string;
}

/** What ends the org, the token or the farm's work, or reads the whole store: not for sending at random. */
const LEFT_OUT =
  /^(delete \/v1\/orgs\/\{org\}$|post \/v1\/(backup|store:)|delete .*\/tokens|put \/v1\/nodes|patch \/v1\/nodes)/;

/** A request that is not answered is a finding; a busy machine takes its time. */
const ANSWER_LIMIT_MS = 60_000;

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Requests like those of the API's description, each wrong in a place or two, some of them below HTTP. */
export class RequestFuzzer {
  readonly #random: () => number;
  readonly #farm: Pick<TestFarm, "url" | "token">;
  readonly #operations: readonly FuzzedOperation[];

  constructor(farm: Pick<TestFarm, "url" | "token">, seed: number) {
    this.#farm = farm;
    this.#random = randomOf(seed);
    this.#operations = operations();
  }

  /** Sends one request. @returns what is wrong with its answer, if anything */
  async next(): Promise<Finding[]> {
    const finding = await this.#send();
    return finding === undefined ? [] : [finding];
  }

  async #send(): Promise<Finding | undefined> {
    const operation = this.#pick(this.#operations);
    const { line, headers, body } = this.#request(operation);
    if (this.#random() < 0.15) return this.#sendRaw(operation, line, headers, body);
    const request = `${operation.method} ${line} ${JSON.stringify(headers)} ${String(body).slice(0, 300)}`;
    const [method, target] = [operation.method.toUpperCase(), line];
    try {
      const response = await fetch(`${this.#farm.url}${target}`, {
        method,
        headers,
        redirect: "manual",
        signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
        ...(body === undefined || method === "GET" || method === "HEAD" ? {} : { body }),
      });
      const type = response.headers.get("content-type") ?? "";
      // A feed goes on.
      if (type.startsWith("text/event-stream")) return void (await response.body?.cancel());
      const text = await response.text();
      const what = wrongAnswer(target, response.status, type, text, method);
      const answer = `${response.status} ${text.slice(0, 400)}`;
      return what === undefined ? undefined : { request, answer, what };
    } catch (error) {
      // What no client sends (header values with line feeds, say) is for the raw half.
      if (error instanceof TypeError && error.cause === undefined) return undefined;
      return { request, answer: String((error as Error).cause ?? error), what: "no answer" };
    }
  }

  #request(operation: FuzzedOperation): {
    line: string;
    headers: Record<string, string>;
    body: string | Uint8Array<ArrayBuffer> | undefined;
  } {
    const headers: Record<string, string> = { authorization: this.#authorization() };
    const line = this.#fill(operation, headers);
    if (operation.body === undefined) {
      const sends = operation.method === "post" || operation.method === "put";
      return { line, headers, body: sends && this.#random() < 0.7 ? this.#bytes() : undefined };
    }
    headers["content-type"] =
      this.#random() < 0.95 ? "application/json" : this.#pick(["text/plain", "x/y", "application/json;"]);
    return { line, headers, body: this.#json(operation.body) };
  }

  /** Path and query of a request; what goes into headers is put there. */
  #fill(operation: FuzzedOperation, headers: Record<string, string>): string {
    let line = operation.path;
    const query = new URLSearchParams();
    for (const { name, in: where, ...parameter } of operation.parameters) {
      const value = this.#parameter({ name, in: where, ...parameter }).toWellFormed();
      const wanted = this.#random() < (parameter.required === true ? 0.9 : 0.4);
      if (where === "path") line = line.replace(`{${name}}`, () => encodeURIComponent(value));
      else if (wanted && where === "query") query.append(name, value);
      else if (wanted && /^[\x20-\x7e]*$/.test(value)) headers[name.toLowerCase()] = value;
    }
    return query.size > 0 ? `${line}?${query}` : line;
  }

  #authorization(): string {
    if (this.#random() < 0.93) return `Bearer ${this.#farm.token}`;
    const { token } = this.#farm;
    const at = Math.floor(this.#random() * token.length);
    return this.#pick([
      "Bearer",
      `Bearer ${token.slice(0, -1)}`,
      `Bearer ${token.slice(0, at)}X${token.slice(at + 1)}`,
      `Basic ${Buffer.from(`x:${token}y`).toString("base64")}`,
      `Bearer ${"a.".repeat(2_000)}`,
      "Digest x",
    ]);
  }

  #parameter({ name, schema, in: where }: Parameter): string {
    if (this.#random() < 0.25) return this.#hostileText();
    const known: Readonly<Record<string, readonly string[]>> = {
      org: ["default"],
      project: ["app"],
      ref: ["v1", "current", "v2", "preview/pr-1", "1234567"],
      from: ["v1", "current"],
      to: ["v1", "current"],
      version: ["v1", "v2"],
      digest: [`sha256:${"0".repeat(64)}`],
      cursor: ["0-0", "1-1", "000000000000001/0001"],
      wait: ["0", "1"],
      format: ["granary", "cdevents", "x"],
    };
    const values = known[name];
    if (values !== undefined && (where === "path" || this.#random() < 0.7)) return this.#pick(values);
    const value = this.#valid(schema, 0);
    return typeof value === "string" ? value : JSON.stringify(value);
  }

  #json(schema: Schema): string {
    const chance = this.#random();
    let value = this.#valid(schema, 0);
    if (chance < 0.75) value = this.#broken(value, 0);
    const text = JSON.stringify(value) ?? "null";
    if (chance < 0.9) return text;
    const at = Math.floor(this.#random() * text.length);
    return this.#pick([
      text.slice(0, at),
      `${text.slice(0, at)}\u0000${text.slice(at)}`,
      `${"[".repeat(200)}${text}${"]".repeat(200)}`,
      `${text}${text}`,
      `{"__proto__":${text}}`,
      `\ufeff${text}`,
      "",
    ]);
  }

  /** A value that the schema takes, more or less. */
  #valid(schema: Schema, depth: number): unknown {
    if (schema.$ref !== undefined) {
      const name = schema.$ref.split("/").at(-1) ?? "";
      return depth > 4 ? null : this.#valid((OPENAPI.components.schemas[name] ?? {}) as Schema, depth + 1);
    }
    if (schema.const !== undefined) return schema.const;
    if (schema.enum !== undefined) return this.#pick(schema.enum);
    if (schema.anyOf !== undefined) return this.#valid(this.#pick(schema.anyOf), depth);
    const type = typeof schema.type === "string" ? schema.type : schema.type?.[0];
    if (type === "object" || schema.properties !== undefined) {
      const entries = Object.entries(schema.properties ?? {}).filter(() => this.#random() < 0.7);
      return Object.fromEntries(entries.map(([name, inner]) => [name, this.#valid(inner, depth + 1)]));
    }
    if (type === "array") return this.#random() < 0.2 ? [] : [this.#valid(schema.items ?? {}, depth + 1)];
    if (type === "integer" || type === "number") return this.#pick([0, 1, 2, 7, 50, 200, 3_600]);
    if (type === "boolean") return this.#random() < 0.5;
    return this.#pick(["a", "app", "v1", "default", "1h", "72h", "read", "https://example.com/x", "main"]);
  }

  /** The value with one place of it replaced. */
  #broken(value: unknown, depth: number): unknown {
    if (depth > 4 || typeof value !== "object" || value === null || this.#random() < 0.15)
      return this.#hostileValue();
    if (Array.isArray(value)) return [...value, this.#hostileValue()];
    const names = Object.keys(value);
    if (names.length === 0 || this.#random() < 0.2)
      return {
        ...value,
        [this.#pick(["x", "__proto__", "constructor", "", "a".repeat(1_000)])]: this.#hostileValue(),
      };
    const name = this.#pick(names);
    return { ...value, [name]: this.#broken((value as Record<string, unknown>)[name], depth + 1) };
  }

  #hostileValue(): unknown {
    const text = this.#hostileText();
    return this.#pick<unknown>([
      null,
      true,
      -1,
      1.5,
      1e308,
      2 ** 53,
      {},
      [],
      [[]],
      { a: { b: 1 } },
      text,
      text,
      text,
    ]);
  }

  #hostileText(): string {
    return this.#pick([
      "",
      " ",
      "..",
      "../../etc/passwd",
      "a/b",
      "A",
      "-",
      "_x",
      "base",
      "\u0000",
      "\r\nx: y",
      "\u001b[31mred",
      "\ud800",
      "\u202egnp",
      "a".repeat(64),
      "a".repeat(3_000),
      "%00",
      "%2e%2e",
      "<script>",
      "0",
      "-1",
      "1e9",
      "1000000000",
      "99999999999999999999",
      "NaN",
      "true",
      "v0",
      "v999999999",
      "sha256:x",
      "2026-13-45T99:99:99Z",
      "http://127.0.0.1:1/",
      "https://[::1]/",
      "file:///etc/passwd",
      "999999-999999",
      "zzz",
      "0000000000000000.AAAA",
    ]);
  }

  #bytes(): Uint8Array<ArrayBuffer> {
    const good = Buffer.from(appArchive({ a: String(this.#random()) }));
    if (this.#random() < 0.3) return new Uint8Array(good);
    const at = Math.floor(this.#random() * good.length);
    const broken =
      this.#random() < 0.5
        ? good.subarray(0, at)
        : Buffer.concat([good.subarray(0, at), Buffer.from("x"), good.subarray(at)]);
    return new Uint8Array(this.#random() < 0.2 ? Buffer.alloc(0) : broken);
  }

  async #sendRaw(
    operation: FuzzedOperation,
    line: string,
    headers: Readonly<Record<string, string>>,
    body: string | Uint8Array | undefined,
  ): Promise<Finding | undefined> {
    const { host } = new URL(this.#farm.url);
    const bytes = Buffer.from(body ?? "");
    const fields = Object.entries({
      host,
      connection: "close",
      ...headers,
      "content-length": String(bytes.length),
    });
    const head = `${operation.method.toUpperCase()} ${line} HTTP/1.1\r\n${fields.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n`;
    const at = Math.floor(this.#random() * head.length);
    const broken = this.#pick([
      head.replace(/host: [^\r]*\r\n/, (own) => own + own),
      head.replace(/host: [^\r]*\r\n/, ""),
      head.replace("HTTP/1.1", this.#pick(["HTTP/9.9", "HTTP/1.0", "", "HTTP/1.1 x"])),
      head.replace(
        /content-length: [0-9]+/,
        this.#pick([
          "content-length: -1",
          "content-length: 99999999999",
          "content-length: 1\r\ncontent-length: 2",
          "transfer-encoding: chunked\r\ncontent-length: 3",
        ]),
      ),
      head.replace(/content-length: [0-9]+/, "transfer-encoding: chunked"),
      `${head.slice(0, at)}${this.#pick(["\u0000", "\r", "\n", "\u00ff", " ", "\t"])}${head.slice(at)}`,
      head.replace(/ \//, this.#pick([" //", " http://evil/", " *", " /%", " /%ff%fe", " /..%2f..", " /\\"])),
      head.replace("\r\n", `\r\nx-long: ${"y".repeat(20_000)}\r\n`),
      head.slice(0, at),
    ]);
    const request = JSON.stringify(broken.slice(0, 600));
    const answer = await rawRequest(this.#farm.url, [Buffer.from(broken, "latin1"), bytes], {
      timeoutMs: 2_000,
    });
    // Half a request is waited for, or cut off: both without an answer.
    if (answer.status === 0) return undefined;
    const type = /^content-type: *([^\r]*)/im.exec(answer.head)?.[1] ?? "";
    const what = wrongAnswer(line, answer.status, type, answer.body, operation.method.toUpperCase());
    return what === undefined
      ? undefined
      : { request, answer: `${answer.status} ${answer.body.slice(0, 400)}`, what };
  }

  #pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)] as T;
  }
}

function operations(): FuzzedOperation[] {
  return Object.entries(OPENAPI.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([method]) => !LEFT_OUT.test(`${method} ${path}`))
      .map(([method, operation]) => {
        const { requestBody } = operation as unknown as {
          requestBody?: { content?: Record<string, { schema?: Schema }> };
        };
        return {
          method,
          path,
          parameters: operation.parameters as unknown as readonly Parameter[],
          body: requestBody?.content?.["application/json"]?.schema,
        };
      }),
  );
}

/** Codes with which a farm that is well may answer a wrong request; those of 5xx say "try again". */
const BUSY = new Set(["UNAVAILABLE", "REPLICA_BEHIND", "OUTCOME_UNKNOWN", "STORE_FULL"]);

function wrongAnswer(
  target: string,
  status: number,
  type: string,
  text: string,
  method: string,
): string | undefined {
  if (status < 400) return undefined;
  if (method === "HEAD") return status >= 500 ? "a 5xx" : undefined;
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return type.startsWith("text/html") && target.startsWith("/console") ? undefined : "not JSON";
  }
  if (status >= 500 && !BUSY.has(String(body["code"]))) return "a 5xx";
  if (text.length > 8_000) return "the answer repeats the question";
  if (target.startsWith("/v2") && !type.startsWith("application/problem+json"))
    return Array.isArray(body["errors"]) ? undefined : "no OCI error";
  if (!type.startsWith("application/problem+json")) return `not a problem but ${type}`;
  for (const field of ["code", "hint", "detail", "request_id", "status"])
    if (body[field] === undefined || body[field] === "") return `a problem without ${field}`;
  return undefined;
}
