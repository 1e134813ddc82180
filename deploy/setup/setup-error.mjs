/** An expected failure of set-up: `message` is the one line the user sees, without a stack. */
export class SetupError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = "SetupError";
  }
}
