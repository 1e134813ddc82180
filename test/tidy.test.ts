import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { REPOSITORY_ROOT } from "./helpers/repository-root.ts";
import { type Source, tidyProblems } from "./helpers/tidy-problems.ts";

const FOLDERS = ["proto", "store", "workers", "services", "test"];

test("the sources keep the rules of the house", () => {
  assert.deepEqual(tidyProblems(readSources()), []);
});

test("the rules look at the real sources", () => {
  const sources = readSources();
  for (const folder of FOLDERS) {
    assert.ok(
      sources.some(({ file }) => file.startsWith(`${folder}/`)),
      `no source in ${folder}/`,
    );
  }
  const self = sources.find(({ file }) => file === "test/tidy.test.ts");
  assert.ok(self?.text.includes("the rules look at the real sources"));
});

const BROKEN: readonly { file: string; text: string; problem: RegExp | undefined }[] = [
  { file: "proto/a.ts", text: 'import { x } from "../store/x.ts";', problem: /proto may not import store/ },
  {
    file: "store/a.ts",
    text: 'import { x } from "../workers/x.ts";',
    problem: /store may not import workers/,
  },
  {
    file: "workers/a.ts",
    text: 'export * from "../services/shared/x.ts";',
    problem: /workers may not import services/,
  },
  {
    file: "services/api/a.ts",
    text: 'import { x } from "../../test/x.ts";',
    problem: /services may not import test/,
  },
  { file: "services/api/a.ts", text: 'import { x } from "../../proto/x.ts";', problem: undefined },
  {
    file: "services/api/a.ts",
    text: 'import { x } from "../node/x.ts";',
    problem: /services\/api may not import services\/node/,
  },
  {
    file: "services/api/a.ts",
    text: 'import type { X } from "../node/x.ts";',
    problem: /may not import services\/node/,
  },
  {
    file: "services/api/a.ts",
    text: 'await import("../node/x.ts");',
    problem: /may not import services\/node/,
  },
  { file: "services/api/a.ts", text: 'new URL("../node/x-main.js", import.meta.url)', problem: undefined },
  { file: "services/api/a.ts", text: 'import { x } from "../shared/x.ts";', problem: undefined },
  {
    file: "services/shared/a.ts",
    text: 'import { x } from "../api/x.ts";',
    problem: /services\/shared may not import/,
  },
  { file: "services/farm/a.ts", text: 'import { x } from "../api/x.ts";', problem: undefined },
  {
    file: "services/api/a.ts",
    text: 'import { x } from "../farm/x.ts";',
    problem: /may not import services\/farm/,
  },
  {
    file: "store/blob.ts",
    text: 'import { open } from "lmdb";',
    problem: /lmdb is imported only by store\/open-lmdb.ts/,
  },
  { file: "store/open-lmdb.ts", text: 'createRequire(import.meta.url)("lmdb")', problem: undefined },
  {
    file: "services/node/a.ts",
    text: 'import { connect } from "@nats-io/transport-node";',
    problem: /@nats-io\/\* is imported only by/,
  },
  {
    file: "services/shared/bus.ts",
    text: 'import { connect } from "@nats-io/transport-node";',
    problem: undefined,
  },
  { file: "workers/archive/a.ts", text: 'import { Unzip } from "minizlib";', problem: undefined },
  {
    file: "workers/pack/a.ts",
    text: 'import { Unzip } from "minizlib";',
    problem: /minizlib is imported only by/,
  },
  { file: "services/node/routes.ts", text: 'import type { X } from "fastify";', problem: undefined },
  {
    file: "services/node/loop.ts",
    text: 'import type { X } from "fastify";',
    problem: /fastify is imported only by/,
  },
  { file: "services/node/a.ts", text: "const home = process.env.HOME;", problem: /process\.env/ },
  { file: "services/node/main.ts", text: "const home = process.env.HOME;", problem: undefined },
  { file: "workers/worker-main.ts", text: 'const { HOME } = process["env"];', problem: undefined },
  { file: "workers/worker.ts", text: 'const { HOME } = process["env"];', problem: /process\.env/ },
  { file: "store/a.ts", text: 'import { env } from "node:process";', problem: /process\.env/ },
  { file: "proto/a.ts", text: "\n".repeat(400), problem: undefined },
  { file: "proto/a.ts", text: "\n".repeat(401), problem: /401 lines/ },
  { file: "services/shared/a.ts", text: "if (Date.now() - at > 2_000) x();", problem: /performance\.now/ },
  { file: "store/a.ts", text: "const deadline = atMs + Date.now();", problem: /performance\.now/ },
  { file: "services/shared/a.ts", text: "const now = (): number => Date.now();", problem: undefined },
  { file: "proto/a.ts", text: `// ${"TO"}${"DO"}: later`, problem: /marks unfinished work/ },
  { file: "proto/a.ts", text: 'const kind = "todo";', problem: undefined },
];

for (const { file, text, problem } of BROKEN) {
  test(`${problem ? "refused" : "allowed"}: ${JSON.stringify(text.slice(0, 60))} in ${file}`, () => {
    const problems = tidyProblems([{ file, text }]);
    if (problem) assert.match(problems.join("\n"), problem);
    else assert.deepEqual(problems, []);
  });
}

function readSources(): Source[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(path.join(REPOSITORY_ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => path.posix.join(folder, name.split(path.sep).join("/")))
      .map((file) => ({ file, text: readFileSync(path.join(REPOSITORY_ROOT, file), "utf8") })),
  );
}
