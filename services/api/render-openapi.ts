import { z } from "zod";
import { ANSWER_SHAPES } from "../../proto/answer-shapes.ts";
import { ERROR_CODES, type ErrorCode } from "../../proto/errors.ts";
import type { AnswerSpec, RouteSpec } from "../../proto/route-spec.ts";
import { ROUTES } from "../../proto/routes.ts";

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of the routes in `proto/routes.ts` (https://spec.openapis.org/oas/v3.1.1.html). */
export function renderOpenApi(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const spec of ROUTES) {
    const [method = "", path = ""] = spec.route.split(" ");
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(spec, method, path) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Granary",
      version,
      description:
        "The release farm. Failures are problem documents (RFC 9457) with a `code`. What belongs to another org answers like what does " +
        "not exist. Every GET under `/v1` takes `min_seq` and `consistent`, see docs/http-api.md.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas: {
        ...Object.fromEntries(
          Object.entries(ANSWER_SHAPES).map(([name, shape]) => [name, jsonSchema(shape)]),
        ),
        Problem: problemSchema(),
      },
      responses: problemResponses(),
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "A token of the farm: `gr_...`." },
        basic: { type: "http", scheme: "basic", description: "Any user name, the token as password." },
      },
    },
  };
}

function operation(spec: RouteSpec, method: string, path: string): Json {
  const { access } = spec;
  const scopes = typeof access === "string" ? [] : access;
  return {
    operationId: operationId(method, path),
    summary: spec.summary,
    tags: [tagOf(path)],
    ...(scopes.length === 0
      ? {}
      : { description: `Scope: ${scopes.map((one) => `\`${one}\``).join(" or ")}.` }),
    // Each entry is an alternative: bearer or basic, with any one of the scopes.
    security:
      access === "public"
        ? []
        : ["bearer", "basic"].flatMap((scheme) =>
            scopes.length === 0 ? [{ [scheme]: [] }] : scopes.map((scope) => ({ [scheme]: [scope] })),
          ),
    parameters: [...pathParameters(path), ...otherParameters(spec)],
    ...(spec.body === undefined ? {} : { requestBody: requestBody(spec.body) }),
    responses: { ...answers(spec), ...problems(spec, path) },
  };
}

function answers(spec: RouteSpec): Json {
  return Object.fromEntries(
    Object.entries(spec.answers).map(([status, answer]) => [
      status,
      answer === null
        ? { description: "No body." }
        : { description: describe(answer), content: contentOf(answer) },
    ]),
  );
}

function describe(answer: NonNullable<AnswerSpec>): string {
  if (typeof answer !== "string") return "page" in answer ? `A page of ${answer.page}.` : answer.description;
  return jsonSchema(ANSWER_SHAPES[answer])["description"] as string;
}

function contentOf(answer: NonNullable<AnswerSpec>): Json {
  if (typeof answer === "string") return { "application/json": { schema: reference(answer) } };
  if ("media" in answer) return { [answer.media]: {} };
  const schema = {
    type: "object",
    required: ["items", "next_cursor"],
    properties: {
      items: { type: "array", items: reference(answer.page) },
      next_cursor: { type: ["string", "null"] },
    },
  };
  // Events are also a stream: one CloudEvent in the data of each.
  const stream = answer.page === "Event" ? { "text/event-stream": { schema: { type: "string" } } } : {};
  return { "application/json": { schema }, ...stream };
}

/** Statuses that follow from who may ask, what the path names and what is sent; and those of the codes that the route adds. */
function problems(spec: RouteSpec, path: string): Json {
  const codes: ErrorCode[] = ["USAGE", "INTERNAL", "UNAVAILABLE", ...(spec.errors ?? [])];
  if (spec.access !== "public") codes.push("UNAUTHENTICATED");
  if (Array.isArray(spec.access)) codes.push("FORBIDDEN");
  if (!/^(?:GET|HEAD) /.test(spec.route)) codes.push("RATE_LIMITED");
  if (path.includes("{")) codes.push("NOT_FOUND");
  if (spec.body !== undefined) codes.push("BODY_TOO_LARGE");
  const statuses = new Set(codes.map((code) => String(ERROR_CODES[code].http)));
  // A failed If-Match: the same code by another status.
  if (spec.errors?.includes("GENERATION_STALE") === true) statuses.add("412");
  const listed = [...statuses].filter((status) => !(status in spec.answers));
  return {
    ...Object.fromEntries(
      listed.map((status) => [status, { $ref: `#/components/responses/Problem${status}` }]),
    ),
    default: { $ref: "#/components/responses/Problem" },
  };
}

function problemResponses(): Json {
  const content = { "application/problem+json": { schema: reference("Problem") } };
  const codes = Object.entries(ERROR_CODES);
  const responses = [...new Set(codes.map(([, { http }]) => http))].map((status) => {
    const own = codes.filter(([, { http }]) => http === status).map(([code]) => code);
    return [`Problem${status}`, { description: own.join(", "), content }];
  });
  return {
    ...Object.fromEntries(responses),
    Problem412: { description: "GENERATION_STALE, where `If-Match` said the generation", content },
    Problem: { description: "Any other failure.", content },
  };
}

function problemSchema(): Json {
  const text = { type: "string" };
  return {
    type: "object",
    description: "RFC 9457.",
    required: [
      "type",
      "title",
      "status",
      "detail",
      "code",
      "hint",
      "retryable",
      "request_id",
      "params",
      "errors",
    ],
    properties: {
      type: text,
      title: text,
      status: { type: "integer" },
      detail: text,
      code: { type: "string", enum: Object.keys(ERROR_CODES) },
      hint: { type: "string", description: "What to do next." },
      retryable: { type: "boolean" },
      request_id: text,
      params: { type: "object" },
      errors: {
        type: "array",
        items: {
          type: "object",
          required: ["pointer", "message"],
          properties: { pointer: text, message: text },
        },
      },
    },
  };
}

function requestBody(body: NonNullable<RouteSpec["body"]>): Json {
  if ("media" in body)
    return {
      required: true,
      description: body.description,
      content: { [body.media]: { schema: { type: "string", contentMediaType: body.media } } },
    };
  return {
    required: !body.safeParse({}).success,
    content: { "application/json": { schema: jsonSchema(body) } },
  };
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{([a-z]+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string", ...(NAMES.has(name) ? { pattern: NAME_PATTERN, maxLength: 63 } : {}) },
  }));
}

const NAMES = new Set(["org", "project", "name", "node", "group"]);
const NAME_PATTERN = "^[a-z0-9]+(-[a-z0-9]+)*$";

function otherParameters({ parameters = {} }: RouteSpec): Json[] {
  return Object.entries(parameters).map(([name, shape]) => {
    const { description, ...schema } = jsonSchema(shape);
    const required = typeof description === "string" && /\brequired\b/.test(description);
    return {
      name,
      in: /^[A-Z]/.test(name) ? "header" : "query",
      ...(description === undefined ? {} : { description }),
      required,
      schema,
    };
  });
}

/** What may be sent, as JSON Schema 2020-12, which OpenAPI 3.1 uses. */
function jsonSchema(shape: z.ZodType): Json {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(shape, { io: "input" });
  return schema;
}

function reference(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

/** `getOrgsProjectsReleasesByRef`: stable, and unique because method and path are. */
function operationId(method: string, path: string): string {
  const words = path.split(/[/:.]/).flatMap((part) => {
    if (part === "" || part === "v1") return [];
    return /^\{(org|project)\}$/.test(part) ? [] : [part.replace("{", "by-").replace("}", "")];
  });
  const bare = /\{(?:org|project)\}$/.exec(path);
  if (bare !== null) words.push(`by-${bare[0].slice(1, -1)}`);
  if (path.endsWith("/")) words.push("root");
  return [method.toLowerCase(), ...words]
    .join("-")
    .replaceAll(/-([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

/** The collection that a path is about. */
function tagOf(path: string): string {
  if (path.startsWith("/v2")) return "registry";
  const words = path.split("/").filter((part) => part !== "" && !part.startsWith("{") && part !== "v1");
  const about = words.find((word) => word !== "orgs" && word !== "projects") ?? words.at(-1) ?? "";
  return about.split(":")[0] ?? "";
}
