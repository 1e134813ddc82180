import path from "node:path";
import { inspect } from "node:util";
import { nameSources } from "./name-sources.mjs";

/** What is kept of a file's output, to show it beside its failures. */
const MAX_OUTPUT_CHARS = 8_000;

/** @typedef {{passed: number, failed: number, skipped: {name: string, reason: string}[]}} Results */

/**
 * Turns the events of node:test (https://nodejs.org/api/test.html#class-teststream) into a line per file and every
 * failure in full, with what its file printed. Results come file by file, in the order of the files.
 */
export class TestReport {
  /** @param {string} root paths are shown relative to it @param {Results} results added to */
  constructor(root, results) {
    this.root = root;
    this.results = results;
    this.files = new Map();
    this.current = undefined;
  }

  on({ type, data }) {
    const isFile = data.file !== undefined && path.resolve(data.name ?? "") === data.file;
    if (type === "test:dequeue" && isFile) this.of(data.file);
    if (type === "test:complete" && isFile) this.of(data.file).durationMs = data.details.duration_ms;
    if (type === "test:stdout" || type === "test:stderr") this.keepOutput(data);
    if (type === "test:start") this.start(data);
    if (type === "test:pass") this.pass(data, isFile);
    if (type === "test:fail") this.fail(data, isFile);
  }

  /** Prints the line of the last file. */
  end() {
    this.switchTo(undefined);
  }

  /** The files that have begun and not ended. */
  running() {
    const open = [...this.files].filter(([, state]) => state.durationMs === undefined);
    return open.map(([name]) => name).join(", ");
  }

  start(data) {
    this.switchTo(this.sourceOf(data.file));
    const { parents } = this.of(data.file);
    parents.length = data.nesting;
    parents.push(data.name);
  }

  pass(data, isFile) {
    if (data.skip !== undefined || data.todo !== undefined) this.skip(data);
    else if (isFile) this.showFailure(data, "the file has no test");
    else if (data.details.type !== "suite") {
      this.of(data.file).passed++;
      this.results.passed++;
    }
  }

  fail(data, isFile) {
    const error = data.details.error;
    // Its subtest was shown and counted.
    if (error?.failureType === "subtestsFailed") return;
    if (data.todo !== undefined) this.skip(data);
    else if (isFile) this.showFailure(data, error?.message ?? "the file failed");
    else this.showFailure(data, describe(error));
  }

  skip(data) {
    const reason = [data.skip, data.todo].find((text) => typeof text === "string" && text !== "");
    this.of(data.file).skipped++;
    this.results.skipped.push({ name: this.title(data), reason: reason ?? "no reason given" });
  }

  showFailure(data, text) {
    const state = this.of(data.file);
    state.failed++;
    this.results.failed++;
    print(`\nFAILED  ${this.title(data)}\n${indent(nameSources(text))}`);
    if (state.output !== "")
      print(`    -- printed by the file:\n${indent(nameSources(state.output.trimEnd()))}`);
    print("");
    state.output = "";
  }

  title(data) {
    const names = [...this.of(data.file).parents.slice(0, data.nesting), data.name];
    const name = this.sourceOf(data.file);
    return path.resolve(data.name) === data.file ? name : `${name}: ${names.join(" > ")}`;
  }

  switchTo(name) {
    if (this.current === name) return;
    const done = this.current && this.files.get(this.current);
    if (done) {
      const skipped = done.skipped > 0 ? `, ${done.skipped} skipped` : "";
      const failed = done.failed > 0 ? `, ${done.failed} FAILED` : "";
      const seconds = done.durationMs === undefined ? "" : ` (${(done.durationMs / 1000).toFixed(1)} s)`;
      print(
        `${done.failed > 0 ? "FAILED" : "ok    "}  ${this.current}: ${done.passed} passed${skipped}${failed}${seconds}`,
      );
    }
    this.current = name;
  }

  keepOutput(data) {
    const state = this.of(data.file);
    state.output = (state.output + data.message).slice(-MAX_OUTPUT_CHARS);
  }

  /** With --enable-source-maps in NODE_OPTIONS some events name the source and some what it was compiled to. */
  sourceOf(file) {
    const name = path.relative(path.join(this.root, "dist"), file);
    return name.startsWith("..") ? path.relative(this.root, file) : name.replace(/\.js$/, ".ts");
  }

  of(file) {
    const name = this.sourceOf(file);
    let state = this.files.get(name);
    if (!state) {
      state = { passed: 0, failed: 0, skipped: 0, output: "", parents: [], durationMs: undefined };
      this.files.set(name, state);
    }
    return state;
  }
}

/** The error that the test threw, which node:test wraps. */
function describe(error) {
  const cause = error?.cause ?? error;
  return typeof cause === "string" ? cause : inspect(cause, { depth: 4 });
}

function indent(text) {
  return text.replace(/^/gm, "    ");
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
