import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROUTES } from "../proto/routes.ts";
import { asRegistered, OPENAPI, OPERATIONS, openApiSpelling } from "./helpers/openapi.ts";
import { REPOSITORY_ROOT } from "./helpers/repository-root.ts";
import { registeredRoutes } from "./helpers/route-cases.ts";

/** The table of routes (`proto/routes.ts`) is what the services register and what the docs list. */

/** What there is only to say no: `/v2/` is read-only. */
const REFUSALS = new Set(["POST", "PUT", "PATCH", "DELETE"].map((method) => `${method} /v2/*`));

const sortedSet = (lines: Iterable<string>): string[] => [...new Set(lines)].sort();

test("proto/routes.ts has every route that the services register, and none that they do not", () => {
  const registered = [...registeredRoutes()].filter((route) => !REFUSALS.has(route)).map(openApiSpelling);
  const described = OPERATIONS.map(({ line }) => asRegistered(line));
  const lacks = registered.filter((line) => !described.includes(line));
  assert.deepEqual(lacks, [], "describe it in proto/routes.ts, or in a table beside it");
  assert.deepEqual(sortedSet(described), sortedSet(registered));
  assert.equal(OPERATIONS.length, ROUTES.length, "a route is in the table twice");
});

test("docs/http-api.md has a heading for every operation, and for nothing else", () => {
  const page = readFileSync(join(REPOSITORY_ROOT, "docs/http-api.md"), "utf8");
  const headings = [...page.matchAll(/^### `([A-Z, ]+) (\/[^`?]*)`/gm)].flatMap(
    ([, methods = "", path = ""]) => methods.split(", ").map((method) => `${method} ${path}`),
  );
  assert.deepEqual(sortedSet(headings), sortedSet(OPERATIONS.map(({ line }) => asRegistered(line))));
});

test("operation ids are unique, path parameters are declared, and every reference resolves", () => {
  const ids = OPERATIONS.map(({ operation }) => operation.operationId);
  assert.deepEqual(ids.length, new Set(ids).size);
  for (const { line, operation } of OPERATIONS) {
    const named = [...line.matchAll(/\{([a-z]+)\}/g)].map((match) => match[1]);
    const declared = operation.parameters.filter((one) => one.in === "path").map((one) => one.name);
    assert.deepEqual(declared, named, line);
  }
  for (const [, pointer = ""] of JSON.stringify(OPENAPI).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const target = pointer
      .split("/")
      .reduce((at: unknown, key) => (at as Record<string, unknown>)?.[key], OPENAPI);
    assert.ok(target !== undefined, pointer);
  }
});
