import { type CodeSpec, EXIT, spec } from "../error-spec.ts";

/** The farm itself: its parts, its bus, its log and replicas, its machine. */
export const FARM_CODES = {
  UNAVAILABLE: spec(
    503,
    EXIT.unavailable,
    true,
    "A part of the farm is not available.",
    "Try again after the time in Retry-After; `granary doctor` shows the parts.",
  ),
  NO_FARM: spec(503, EXIT.unavailable, true, "No farm answers there.", "Start one: npm start"),
  ADDRESS_REFUSED: spec(
    500,
    EXIT.unavailable,
    false,
    "The address cannot be listened on.",
    "Choose another with --port or --listen; --port 0 takes any free port.",
  ),
  NATS_MISSING: spec(
    500,
    EXIT.unavailable,
    false,
    "No nats-server >= 2.12 was found.",
    "`npm run setup` finds or fetches one; or install nats-server, or set NATS_SERVER_BIN.",
  ),
  NATS_UNFIT: spec(
    500,
    EXIT.unavailable,
    false,
    "The nats-server is too old or not configured durably.",
    "Use nats-server >= 2.12 with jetstream { sync_interval: always }.",
  ),
  REPLICA_BEHIND: spec(
    503,
    EXIT.unavailable,
    true,
    "This process has not applied the position of the command log that was asked for.",
    "Try again, or ask another api; a `min_seq` comes from a Granary-Seq header of the same farm.",
  ),
  STATE_BEHIND: spec(
    500,
    EXIT.store,
    false,
    "The command log and the local state do not fit together.",
    "The NATS data was replaced or lost its end: restore it, or go on from the state with `granary pointer reseed`.",
  ),
  STATE_DIVERGED: spec(
    500,
    EXIT.store,
    false,
    "This replica's state differs from what another replica has after the same commands.",
    "Stop the farm here and move its state folder away: the next start makes it anew from a snapshot and the log. Keep the old one for a bug report.",
  ),
  CAPABILITY_MISSING: spec(
    501,
    EXIT.other,
    false,
    "This machine cannot do that.",
    "`granary doctor` lists what it can do.",
  ),
  INTERNAL: spec(
    500,
    EXIT.other,
    false,
    "Something went wrong inside Granary.",
    "Report it with the request id; the farm's log has the details.",
  ),
} as const satisfies Record<string, CodeSpec>;
