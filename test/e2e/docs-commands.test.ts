import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CLI_MAIN } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { REPOSITORY_ROOT } from "../helpers/repository-root.ts";
import { missing, runProgram } from "../helpers/run-program.ts";

/** What docs/start.md and docs/operate.md tell people to type, typed: `console` blocks, in their order, in one folder. */
const folder = tempDir("docs");
const work = join(folder, "work");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
  mkdirSync(join(folder, "bin"));
  mkdirSync(work);
  symlinkSync(join(REPOSITORY_ROOT, "examples"), join(work, "examples"));
  const granary = `exec "${process.execPath}" "${CLI_MAIN}" "$@"\n`;
  for (const [name, text] of [
    ["granary", granary],
    ["npx", `shift\n${granary}`],
  ] as const) {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${text}`);
    chmodSync(join(folder, "bin", name), 0o755);
  }
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

interface Step {
  readonly command: string;
  readonly expected: readonly string[];
}

/** Commands of a page's `console` blocks, each with the lines under it. */
function stepsOf(page: string): Step[] {
  const text = readFileSync(join(REPOSITORY_ROOT, page), "utf8");
  return [...text.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, block = ""]) =>
    block.split(/^\$ /m).flatMap((step) => {
      const [command = "", ...expected] = step.trimEnd().split("\n");
      return command === "" ? [] : [{ command, expected }];
    }),
  );
}

/** `...` is any text of a line; a line of it, any lines. */
function patternOf(expected: readonly string[]): RegExp {
  const lines = expected.map((line) =>
    line === "..." ? "(?:.*\\n)*?" : `${line.split("...").map(literally).join(".*")}\\n`,
  );
  return new RegExp(`^${lines.join("")}$`);
}

function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** What is said meanwhile of what takes more than a second, as anything may on a busy machine. */
const PROGRESS = /^(?:the farm|\d+ jobs? still) .*\.\.\.\n/gm;

for (const page of ["docs/start.md", "docs/operate.md"]) {
  describe(page, () => {
    for (const { command, expected } of stepsOf(page)) {
      const skip = command.startsWith("skopeo") && missing("skopeo");
      test(command, { skip }, async () => {
        const { code, stdout } = await runProgram("/bin/sh", ["-c", `cd "${work}" && { ${command}\n} 2>&1`], {
          env: {
            PATH: `${join(folder, "bin")}${delimiter}${process.env["PATH"]}`,
            XDG_CONFIG_HOME: join(folder, "config"),
            NO_COLOR: "1",
            GRANARY_TOKEN: farm.token,
            GRANARY_REGISTRY: farm.registry,
          },
        });
        assert.equal(code, 0, stdout);
        if (expected.length > 0) assert.match(stdout.replace(PROGRESS, ""), patternOf(expected));
      });
    }
  });
}

test("the pages have commands to run", () => {
  assert.ok(stepsOf("docs/start.md").length >= 12);
  assert.ok(stepsOf("docs/operate.md").length >= 14);
});
