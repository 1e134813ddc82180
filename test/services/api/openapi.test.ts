import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ReleaseJson } from "../../../proto/http.ts";
import { appArchive } from "../../helpers/app-archive.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../../helpers/farm.ts";
import { publishReady, send } from "../../helpers/farm-requests.ts";
import { asRegistered, OPENAPI, OPERATIONS, openApiSpelling } from "../../helpers/openapi.ts";
import { type RouteCase, routeCases } from "../../helpers/route-cases.ts";

/** What `/openapi.json` says is what a real farm answers. Its table against the services and the docs: test/docs-of-routes.test.ts. */
interface Validator {
  addSchema(schema: object): void;
  compile(schema: object): ((value: unknown) => boolean) & { errors?: unknown };
}

/** Ajv comes with fastify, which validates with it; draft 2020-12 is what OpenAPI 3.1 means. */
function validator(): Validator {
  const load = createRequire(createRequire(import.meta.url).resolve("fastify"));
  const { default: Ajv2020 } = load(["ajv", "dist", "2020.js"].join("/")) as {
    default: new (options: object) => Validator;
  };
  const ajv = new Ajv2020({ strict: false, formats: { "date-time": true }, code: { optimize: false } });
  ajv.addSchema({ $id: "document", components: OPENAPI.components });
  return ajv;
}

const ajv = validator();

/** What the schemas refer to is compiled once, not for each of them. */
function compile(schema: object): ReturnType<Validator["compile"]> {
  return ajv.compile(
    JSON.parse(JSON.stringify(schema).replaceAll('"#/components/', '"document#/components/')) as object,
  );
}

test("every schema of the document is valid JSON Schema 2020-12", () => {
  const schemas: object[] = Object.values(OPENAPI.components.schemas);
  JSON.stringify(OPENAPI.paths, (key, value) => {
    if (key === "schema") schemas.push(value as object);
    return value as unknown;
  });
  assert.ok(schemas.length > 200, `${schemas.length} schemas`);
  compile({ allOf: schemas });
});

describe("a real farm", () => {
  const folder = tempDir("openapi");
  let farm: TestFarm;
  let release: ReleaseJson;
  before(async () => {
    farm = await startTestFarm({ data: join(folder, "data") });
    release = await publishReady(farm, "app", appArchive({ a: "1" }), { query: { commit: "1234567" } });
    await publishReady(farm, "app", appArchive({ a: "2" }));
  });
  after(async () => {
    assert.equal(await farm.stop(), 0);
    removeDir(folder);
  });

  test("hands the document out without a token", async () => {
    const answer = await fetch(`${farm.url}/openapi.json`);
    assert.equal(answer.headers.get("content-type"), "application/json; charset=utf-8");
    const { paths } = (await answer.json()) as typeof OPENAPI;
    assert.deepEqual(Object.keys(paths), Object.keys(OPENAPI.paths));
  });

  test("asks on every route for the scopes that the document names", () => {
    for (const one of routeCases(release)) {
      // The registry is one route to fastify, several operations here.
      for (const { line, operation } of documented(one).filter((found) => !found.line.includes(" /v2"))) {
        const named = new Set(operation.security.flatMap((entry) => entry["bearer"] ?? []));
        for (const scope of one.scopes ?? []) assert.ok(named.has(scope), `${line}: ${scope}`);
        if (one.about === "public") assert.deepEqual(operation.security, [], line);
      }
    }
    const tried = routeCases(release);
    for (const { line, operation } of OPERATIONS) {
      const cases = tried.filter(({ route }) => openApiSpelling(route) === asRegistered(line));
      const allowed = new Set(cases.flatMap(({ scopes = [] }) => scopes));
      for (const scope of operation.security.flatMap((entry) => entry["bearer"] ?? []))
        assert.ok(allowed.has(scope as never), `${line} names ${scope}, which opens nothing`);
    }
  });

  test("answers every route with a status and a body that the document describes", async () => {
    let checked = 0;
    for (const one of routeCases(release)) {
      // Redirects are followed here: test/e2e/console.test.ts has those of the forms.
      if (/\/v2|POST \/console/.test(one.route) || one.method === "HEAD") continue;
      const [found] = documented(one);
      assert.ok(found, one.route);
      const answer = await send<unknown>(farm, one.path, one);
      const declared = found.operation.responses[answer.status];
      assert.ok(declared, `${found.line} answers ${answer.status}: ${answer.text.slice(0, 200)}`);
      const media = answer.headers.get("content-type")?.split(";")[0] ?? "";
      const schema = media.endsWith("problem+json")
        ? OPENAPI.components.schemas["Problem"]
        : declared.content?.[media]?.schema;
      if (schema === undefined || !media.endsWith("json")) {
        const listed = answer.text === "" || declared.content?.[media] !== undefined;
        assert.ok(listed, `${found.line}: ${media} is not in the document`);
        continue;
      }
      const validate = compile(schema);
      assert.ok(
        validate(answer.body),
        `${found.line}: ${JSON.stringify(validate.errors)}\n${answer.text.slice(0, 500)}`,
      );
      checked += 1;
    }
    assert.ok(checked > 60, `${checked} bodies`);
  });
});

function documented(one: RouteCase): typeof OPERATIONS {
  return OPERATIONS.filter(({ line }) => asRegistered(line) === openApiSpelling(one.route));
}
