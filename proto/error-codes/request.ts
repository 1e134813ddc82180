import { type CodeSpec, EXIT, spec } from "../error-spec.ts";

/** What a request says, and who sends it. */
export const REQUEST_CODES = {
  USAGE: spec(
    400,
    EXIT.usage,
    false,
    "The request or command line is not valid.",
    "See `granary VERB --help`, or `/openapi.json` of the farm.",
  ),
  CONFIG_INVALID: spec(
    400,
    EXIT.usage,
    false,
    "A configuration file is not valid.",
    "Correct what is named; `granary config check` checks the files that are read here, `granary config check FILE` that of a farm.",
  ),
  NAME_INVALID: spec(
    400,
    EXIT.usage,
    false,
    "A name is not valid.",
    "Use lower-case letters, digits and single dashes, 63 at most.",
  ),
  COMMIT_REQUIRED: spec(
    400,
    EXIT.usage,
    false,
    "No commit is known for this publish.",
    "Pass --commit SHA or set GRANARY_COMMIT.",
  ),
  BODY_TOO_LARGE: spec(
    413,
    EXIT.limit,
    false,
    "The request body is larger than the limit.",
    "Send a smaller body.",
  ),
  UNAUTHENTICATED: spec(
    401,
    EXIT.unauthorized,
    false,
    "No valid token was sent.",
    "Pass --token, set GRANARY_TOKEN, or run `granary login`.",
  ),
  ID_TOKEN_REFUSED: spec(
    401,
    EXIT.unauthorized,
    false,
    "The CI's id token is not accepted.",
    "Compare the claims of the token with `granary trust ls`; the farm's log has the reason under this request id.",
  ),
  FORBIDDEN: spec(
    403,
    EXIT.unauthorized,
    false,
    "The token does not allow this.",
    "Use a token with that scope: `granary whoami` shows what this one may, an admin of the org makes others with `granary token create`.",
  ),
  NOT_FOUND: spec(
    404,
    EXIT.notFound,
    false,
    "There is no such thing here.",
    "Check the name; `granary projects` lists what this token can see, `granary whoami` says whose it is.",
  ),
} as const satisfies Record<string, CodeSpec>;
