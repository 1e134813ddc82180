import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { CD_EVENTS } from "../proto/cd-events.ts";
import { EVENT_TYPES } from "../proto/events.ts";
import { SettingsFile } from "../proto/settings.ts";
import { STREAMS } from "../proto/subjects.ts";
import { REPOSITORY_ROOT } from "./helpers/repository-root.ts";

/** Documentation that cannot drift: what it names exists, and what exists is named. Verbs and error codes: test/services/cli/docs.test.ts. */
const PAGES = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "store/README.md",
  "docs/image-spec.md",
  "docs/publish-from-ci.md",
  "docs/security.md",
  "docs/start.md",
  "docs/operate.md",
  "docs/events.md",
  "docs/settings.md",
];

function read(page: string): string {
  return readFileSync(path.join(REPOSITORY_ROOT, page), "utf8");
}

/** Paths of this repository that a page names in backquotes or links. */
function pathsIn(text: string): string[] {
  const quoted = [
    ...text.matchAll(/`((?:proto|store|workers|services|test|deploy|docs|examples)\/[A-Za-z0-9_./*-]*)`/g),
  ];
  const linked = [...text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)];
  return [...quoted, ...linked].map((match) => match[1] ?? "");
}

for (const page of PAGES) {
  test(`every path that ${page} names exists`, () => {
    for (const named of pathsIn(read(page))) {
      const from = named.startsWith(".") || /^[a-z-]+\.md$/.test(named) ? path.dirname(page) : ".";
      const target = path.join(REPOSITORY_ROOT, from, named);
      if (named.includes("*")) assert.ok(matchesSome(target), `${page} names ${named}`);
      else assert.ok(existsSync(target), `${page} names ${named}`);
    }
  });
}

/** `services/pointer/relay*.ts`: some file fits. */
function matchesSome(pattern: string): boolean {
  const [start, end] = path.basename(pattern).split("*");
  return readdirSync(path.dirname(pattern)).some(
    (name) => name.startsWith(start ?? "") && name.endsWith(end ?? ""),
  );
}

test("the check of paths finds paths", () => {
  assert.deepEqual(pathsIn("see `store/fs.ts` and [that](docs/cli.md), not `npm test`"), [
    "store/fs.ts",
    "docs/cli.md",
  ]);
  assert.ok(pathsIn(read("ARCHITECTURE.md")).length > 30);
});

test("docs/events.md lists every event type with its meaning, every stream, and nothing else", () => {
  const page = read("docs/events.md");
  const rows = page.matchAll(/^\| `([a-z]+\.[a-z]+)` \| (.*) \| (.*) \|$/gm);
  const cdEvents: Readonly<Record<string, readonly string[]>> = CD_EVENTS;
  assert.deepEqual(
    [...rows].map((row) => row.slice(1)),
    Object.entries(EVENT_TYPES).map(([type, meaning]) => {
      const words = (cdEvents[type] ?? []).map((name) => `\`${name}\``);
      return [type, meaning, words.join(", ")];
    }),
  );
  for (const stream of Object.values(STREAMS)) assert.ok(page.includes(`\`${stream}\``), stream);
});

test("docs/settings.md lists every setting with its meaning, and nothing else", () => {
  const schema = z.toJSONSchema(SettingsFile) as { properties: Record<string, { description?: string }> };
  const listed = [...read("docs/settings.md").matchAll(/^\| `([a-z_]+)` \| (.*) \|$/gm)].map((row) => [
    row[1],
    row[2],
  ]);
  assert.deepEqual(
    listed,
    Object.entries(schema.properties).map(([key, property]) => [key, property.description]),
  );
});

test("docs/http-api.md names every route that the services register, and none that they do not", () => {
  const page = read("docs/http-api.md");
  const documented = new Set(
    [...page.matchAll(/^### `(?:[A-Z, ]+) (\/[^`?]*)/gm)].map((match) =>
      (match[1] ?? "").replaceAll(/\{[a-z]+\}/g, "{}"),
    ),
  );
  const registered = new Set(["services/api", "services/registry"].flatMap(routesOf).map(normal));
  assert.deepEqual([...documented].sort(), [...registered].sort());
});

function routesOf(folder: string): string[] {
  return readdirSync(path.join(REPOSITORY_ROOT, folder))
    .filter((name) => /routes?\.ts$/.test(name))
    .flatMap((name) => {
      const text = read(`${folder}/${name}`);
      const prefix = /const PROJECT = "([^"]+)"/.exec(text)?.[1] ?? "";
      return [
        ...text.matchAll(
          /(?:server\.(?:get|post|put|delete|head|patch)\(\s*|url: )(?:PROJECT|["`]([^"`]+)["`])/g,
        ),
      ].map((match) => (match[1] ?? prefix).replace(/\$\{PROJECT\}/, prefix));
    });
}

/** fastify's spelling as the page's: `:org` is a parameter, also with a pattern of its own, `::cancel` a colon. */
function normal(route: string): string {
  return route
    .replaceAll("(^[^:]+)", "")
    .replaceAll("::", "\u0000")
    .replaceAll(/:[a-z]+/g, "{}")
    .replaceAll("\u0000", ":");
}
