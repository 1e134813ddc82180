import { type CodeSpec, EXIT, rejected, spec } from "../error-spec.ts";

/** Publishing a directory, and following events. */
export const UPLOAD_CODES = {
  LISTING_INVALID: rejected(
    "The listing is not a canonical tree.",
    "List files as docs/image-spec.md says, or let `granary publish DIR` do it.",
  ),
  UPLOAD_OFFSET: spec(
    409,
    EXIT.conflict,
    false,
    "The upload continues at another offset.",
    "Send what follows the offset that is named.",
  ),
  SESSION_UNKNOWN: spec(
    404,
    EXIT.notFound,
    false,
    "There is no such upload session, or it has expired.",
    "Plan the publish again.",
  ),
  SUBSCRIPTION_LOST: spec(
    409,
    EXIT.conflict,
    false,
    "Another subscriber of the group has taken over.",
    "Stop handling; claim the group again and go on behind its cursor.",
  ),
  EVENT_GAP: spec(
    500,
    EXIT.other,
    false,
    "An event stream left out a number of its project.",
    "Read again from the last cursor that was handled; if it is still missing, report it.",
  ),
  CONTENT_GONE: spec(
    409,
    EXIT.conflict,
    true,
    "Content that was there when the publish was planned is gone.",
    "Plan the publish again: it will be asked for.",
  ),
} as const satisfies Record<string, CodeSpec>;
