import path from "node:path";

/** The checkout: compiled tests lie in dist/test/helpers. */
export const REPOSITORY_ROOT = path.resolve(import.meta.dirname, "../../..");
