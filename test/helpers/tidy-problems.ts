import path from "node:path";

/** A source file: its path from the checkout, with slashes, and its text. */
export interface Source {
  readonly file: string;
  readonly text: string;
}

/** Imports go from right to left. */
const LAYERS = ["proto", "store", "workers", "services", "test"];

/** The composition root, which alone puts services together. */
const MAY_IMPORT_ALL_SERVICES = /^services\/farm\//;

/** Third-party libraries that enter through one door each. */
const SOLE_IMPORTERS: readonly { library: RegExp; name: string; files: RegExp; where: string }[] = [
  {
    library: /^lmdb$/,
    name: "lmdb",
    files: /^(store\/(open-lmdb|index-db)|services\/shared\/state-db)\.ts$/,
    where: "store/open-lmdb.ts and, for its types, store/index-db.ts and services/shared/state-db.ts",
  },
  { library: /^piscina$/, name: "piscina", files: /^workers\/pool\.ts$/, where: "workers/pool.ts" },
  { library: /^tar-stream$/, name: "tar-stream", files: /^test\//, where: "test/ (as an oracle)" },
  { library: /^minizlib$/, name: "minizlib", files: /^workers\/archive\//, where: "workers/archive/" },
  {
    library: /^@nats-io\//,
    name: "@nats-io/*",
    files: /^(services\/shared\/(bus(-[a-z-]+)?|nats-keys)\.ts$|test\/)/,
    where: "services/shared/bus*.ts, services/shared/nats-keys.ts and test/",
  },
  {
    library: /^jose$/,
    name: "jose",
    files: /^(services\/api\/verify-id-token\.ts$|test\/)/,
    where: "services/api/verify-id-token.ts and test/ (as an issuer)",
  },
  {
    library: /^fastify$/,
    name: "fastify",
    files: /^services\/(shared\/http-server\.ts$|[^/]+\/routes)/,
    where: "services/shared/http-server.ts and services/*/routes*",
  },
];

/** Who may read the environment. */
const READS_ENVIRONMENT = /(^|\/)(main|[^/]+-main)\.ts$|^services\/shared\/environment\.ts$|^test\//;
const ENVIRONMENT =
  /\bprocess\s*(\.\s*env\b|\[\s*["']env["'])|import\s*\{[^}]*\benv\b[^}]*\}\s*from\s*"node:process"/;

/** A clock that is set measures nothing: a step back kept a silent log healthy for as long as it was. Times that people say are of that clock. */
const MEASURED_BY_WALL_CLOCK = /(?:[-+<]|(?<!=)>)=?\s*Date\.now\(\)|\bDate\.now\(\)\s*[-+<>]/;
const MAY_ADD_TO_WALL_CLOCK = /^(services\/cli|test)\//;

const MAX_LINES = 400;
/** Spelt in two halves, so that this file keeps its own rule. */
const UNFINISHED = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "XX" + "X"].join("|")})\\b`);

/**
 * What breaks the rules of the house, one line each. The rules are the tables above.
 * @param sources comments and strings are read like code, so an import in an example counts
 */
export function tidyProblems(sources: readonly Source[]): string[] {
  return sources.flatMap(({ file, text }) => {
    const problems = importsOf(text).flatMap((specifier) => importProblem(file, specifier) ?? []);
    if (!READS_ENVIRONMENT.test(file) && ENVIRONMENT.test(code(text))) {
      problems.push("process.env is read only in main.ts, *-main.ts and services/shared/environment.ts");
    }
    if (!MAY_ADD_TO_WALL_CLOCK.test(file) && MEASURED_BY_WALL_CLOCK.test(code(text)))
      problems.push("durations are measured with performance.now()");
    const lines = text.split("\n").length - 1;
    if (lines > MAX_LINES) problems.push(`${lines} lines are more than ${MAX_LINES}`);
    const mark = UNFINISHED.exec(text)?.[0];
    if (mark) problems.push(`${mark} marks unfinished work`);
    return problems.map((problem) => `${file}: ${problem}`);
  });
}

/** Without comments: docstrings may name what code may not use. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}

/** The specifiers of static, side-effect, dynamic and re-exporting imports. */
function importsOf(text: string): string[] {
  const forms =
    /(?:^|[;\s])(?:import|export)\b[^"';]*?\bfrom\s*["']([^"']+)["']|\bimport\s*\(?\s*["']([^"']+)["']/g;
  return [...code(text).matchAll(forms)].map((match) => match[1] ?? match[2] ?? "");
}

function importProblem(file: string, specifier: string): string | undefined {
  if (specifier.startsWith("."))
    return directionProblem(file, path.posix.join(path.posix.dirname(file), specifier));
  const rule = SOLE_IMPORTERS.find(({ library }) => library.test(specifier));
  if (!rule || rule.files.test(file)) return undefined;
  return `${rule.name} is imported only by ${rule.where}`;
}

function directionProblem(file: string, imported: string): string | undefined {
  const [layer = "", service = ""] = file.split("/");
  const [importedLayer = "", importedService = ""] = imported.split("/");
  if (LAYERS.indexOf(importedLayer) > LAYERS.indexOf(layer))
    return `${layer} may not import ${importedLayer}`;
  const crosses = layer === "services" && importedLayer === "services" && service !== importedService;
  if (!crosses || importedService === "shared" || MAY_IMPORT_ALL_SERVICES.test(file)) return undefined;
  return `services/${service} may not import services/${importedService}`;
}
