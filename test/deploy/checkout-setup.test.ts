import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { REPOSITORY_ROOT } from "../helpers/repository-root.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

test("dependencies are installed when they are missing and when the lock changes, and not otherwise", async () => {
  const checkout = fakeCheckout();
  await runStep(checkout, "dependencies", "installDependencies");
  assert.deepEqual(checkout.calls("npm"), ["ci --ignore-scripts --no-fund --no-audit"]);
  await runStep(checkout, "dependencies", "installDependencies");
  assert.equal(checkout.calls("npm").length, 1);
  writeLock(checkout.root, "1.0.1");
  await runStep(checkout, "dependencies", "installDependencies");
  assert.equal(checkout.calls("npm").length, 2);
});

test("dependencies that somebody installed by hand from the same lock are taken as they are", async () => {
  const { root, calls } = fakeCheckout();
  const installed = (version: string) => {
    mkdirSync(path.join(root, "node_modules", "left-pad"), { recursive: true });
    writeFileSync(path.join(root, "node_modules", "left-pad", "package.json"), "{}");
    const packages = { "node_modules/left-pad": { version } };
    writeFileSync(path.join(root, "node_modules", ".package-lock.json"), JSON.stringify({ packages }));
  };
  installed("1.0.0");
  await runStep({ root, calls }, "dependencies", "installDependencies");
  assert.deepEqual(calls("npm"), [], "left out: an optional package for another system");
  rmSync(path.join(root, "node_modules", ".granary-setup"));
  installed("0.9.0");
  await runStep({ root, calls }, "dependencies", "installDependencies");
  assert.equal(calls("npm").length, 1);
});

test("npm's own words are shown when it fails", async () => {
  const checkout = fakeCheckout();
  writeProgram(
    path.join(checkout.root, "tools", "npm"),
    "console.error('the registry is closed'); process.exit(1)",
  );
  await assert.rejects(
    runStep(checkout, "dependencies", "installDependencies"),
    /npm ci failed:\n(.*\n)*the registry is closed/,
  );
});

test("sources are compiled once, again when one changes, and what a removed one left is taken away", async () => {
  const checkout = fakeCheckout();
  const { root, calls } = checkout;
  const inDist = (name: string) => path.join(root, "dist", name);
  const build = () => runStep(checkout, "build", "build");
  await build();
  await build();
  assert.equal(calls("tsc").length, 1);
  assert.equal(readlinkSync(path.join(root, "node_modules/.bin/granary")), "../../dist/services/cli/main.js");
  assert.equal(statSync(inDist("services/cli/main.js")).mode & 0o111, 0o111);

  writeFileSync(path.join(root, "proto/a.ts"), "2");
  await build();
  assert.equal(calls("tsc").length, 2);
  rmSync(inDist("proto/a.js"));
  await build();
  assert.equal(calls("tsc").length, 3, "an output that is missing is made again");
  assert.ok(existsSync(inDist("test/gone.test.js")));
  rmSync(path.join(root, "test/gone.test.ts"));
  await build();
  assert.equal(calls("tsc").length, 4);
  assert.ok(!existsSync(inDist("test/gone.test.js")), "a test that was removed does not go on running");
});

test("a failing compiler is shown in full and tried again next time", async () => {
  const checkout = fakeCheckout();
  const tsc = path.join(checkout.root, "node_modules/.bin/tsc");
  writeProgram(tsc, "console.log('a.ts(1,1): error TS1: no\\nb.ts(1,1): error TS2: no'); process.exit(2)");
  for (const _ of [1, 2]) {
    await assert.rejects(
      runStep(checkout, "build", "build"),
      /the build failed:\na\.ts.*TS1: no\nb\.ts.*TS2: no/,
    );
  }
});

test("a Node that is too old is refused in one line", async () => {
  const { checkNodeVersion }: { checkNodeVersion(version: string): void } = await import(
    pathToFileURL(path.join(REPOSITORY_ROOT, "deploy/setup/node-version.mjs")).href
  );
  for (const version of ["20.19.0", "20.20.2", "22.0.0", "24.1.0"]) checkNodeVersion(version);
  for (const version of ["20.18.3", "18.20.0"]) {
    assert.throws(() => checkNodeVersion(version), {
      message: `Node ${version} is too old; install Node 20.19 or newer (nodejs.org)`,
    });
  }
});

test("one set-up of a checkout runs at a time, and the lock of a dead one is taken over", async () => {
  const { root } = fakeCheckout();
  const script = `
    import { withCheckoutLock } from ${JSON.stringify(pathToFileURL(path.join(REPOSITORY_ROOT, "deploy/setup/checkout-lock.mjs")).href)};
    import fs from "node:fs";
    await withCheckoutLock(${JSON.stringify(root)}, async () => {
      fs.writeFileSync("inside", "", { flag: "wx" });
      await new Promise((resolve) => setTimeout(resolve, 50));
      fs.rmSync("inside");
    });`;
  const setUp = () =>
    promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { cwd: root });
  await Promise.all(Array.from({ length: 5 }, setUp));
  writeFileSync(path.join(root, "dist/.setup-lock"), "4194304");
  await setUp();
  assert.ok(!existsSync(path.join(root, "dist/.setup-lock")));
});

interface Checkout {
  readonly root: string;
  /** The arguments of each call of a program. */
  calls(program: string): string[];
}

/** A checkout with a few sources, and an npm and a tsc that note their calls and do roughly what the real ones do. */
function fakeCheckout(): Checkout {
  const root = tempFolder();
  for (const folder of ["tools", "dist", "proto", "store", "workers", "services/cli", "test"]) {
    mkdirSync(path.join(root, folder), { recursive: true });
  }
  for (const name of ["proto/a.ts", "services/cli/main.ts", "test/gone.test.ts"])
    writeFileSync(path.join(root, name), "1");
  for (const name of ["package.json", "tsconfig.json"]) writeFileSync(path.join(root, name), "{}");
  writeLock(root, "1.0.0");
  const note = (program: string) =>
    `const fs = require("node:fs"); fs.appendFileSync("${program}.calls", process.argv.slice(2).join(" ") + "\\n");`;
  writeProgram(
    path.join(root, "tools", "npm"),
    `${note("npm")} fs.mkdirSync("node_modules", { recursive: true });`,
  );
  writeProgram(
    path.join(root, "node_modules/.bin/tsc"),
    `${note("tsc")} for (const name of fs.readdirSync(".", { recursive: true })) if (name.endsWith(".ts")) {
      const out = "dist/" + name.replace(/ts$/, "js");
      fs.mkdirSync(require("node:path").dirname(out), { recursive: true });
      fs.writeFileSync(out, "");
    }`,
  );
  const calls = (program: string) => {
    const file = path.join(root, `${program}.calls`);
    return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
  };
  return { root, calls };
}

function writeLock(root: string, version: string): void {
  const packages = {
    "": { name: "x" },
    "node_modules/left-pad": { version },
    "node_modules/left-pad-aix": { version, optional: true, os: ["aix"], cpu: ["ppc64"] },
  };
  writeFileSync(path.join(root, "package-lock.json"), JSON.stringify({ packages }));
}

function writeProgram(file: string, code: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!${process.execPath}\n${code}\n`, { mode: 0o755 });
}

/** Runs one step of set-up in a process that finds our npm; rejects with what it said. */
async function runStep({ root }: Checkout, module: string, step: string): Promise<void> {
  const href = pathToFileURL(path.join(REPOSITORY_ROOT, "deploy", "setup", `${module}.mjs`)).href;
  const script = `
    import { ${step} } from ${JSON.stringify(href)};
    try { await ${step}(${JSON.stringify(root)}); }
    catch (error) { process.stderr.write(error.message); process.exitCode = 1; }`;
  const env = { PATH: path.join(root, "tools") };
  await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { cwd: root, env });
}
