import assert from "node:assert/strict";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import { resolveProject } from "../../../services/cli/publish/resolve-project.ts";

const NOTHING = { flag: undefined, configured: undefined, kartaName: undefined, file: undefined };

test("the project is named by flag, configuration, karta.toml, directory, in that order", () => {
  const all = {
    flag: "acme/flag",
    configured: { value: "conf", source: ".granary.toml" },
    kartaName: "Karta Name",
    file: "/x/My_Dir",
  };
  assert.deepEqual(resolveProject(all), { org: "acme", project: "flag", source: "-p" });
  assert.deepEqual(resolveProject({ ...all, flag: undefined }), {
    org: undefined,
    project: "conf",
    source: ".granary.toml",
  });
  assert.equal(resolveProject({ ...all, flag: undefined, configured: undefined }).project, "karta-name");
  assert.equal(resolveProject({ ...NOTHING, file: "/x/My_Dir" }).project, "my-dir");
});

test("an archive gives its name without its ending", () => {
  assert.equal(resolveProject({ ...NOTHING, file: "/x/bot.tar.gz" }).project, "bot");
  assert.equal(resolveProject({ ...NOTHING, file: "/x/bot.tgz" }).project, "bot");
});

test("names that were written for us must be valid as they are", () => {
  const refuse = (sources: Partial<Parameters<typeof resolveProject>[0]>, code: string): void => {
    assert.throws(
      () => resolveProject({ ...NOTHING, ...sources }),
      (error) => error instanceof GranaryError && error.code === code,
    );
  };
  refuse({ flag: "Acme/bot" }, "NAME_INVALID");
  refuse({ flag: "acme/" }, "NAME_INVALID");
  refuse({ configured: { value: "a/b/c", source: "x" } }, "NAME_INVALID");
  refuse({}, "USAGE");
  refuse({ file: "/___" }, "USAGE");
});
