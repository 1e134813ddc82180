/**
 * Prints one short progress line to stderr; stdout belongs to the program that set-up precedes.
 * @param {string} line
 */
export function say(line) {
  process.stderr.write(`setup: ${line}\n`);
}
