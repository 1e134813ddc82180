/**
 * The process's environment, for entry points and the few defaults that depend on it (biome and test/tidy.test.ts keep
 * `process.env` out of everything else). Functions that need a variable take it as an argument.
 */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
