import type { Page } from "./http.ts";
import type { LogLine } from "./publish-log.ts";
import type { PublishState } from "./records.ts";

/** One line of a publish's log. */
export interface LogLineJson extends Omit<LogLine, "attempt" | "n"> {
  /** Where reading goes on behind it. */
  readonly cursor: string;
}

/** `GET /v1/publishes/{id}/logs`. */
export interface PublishLogJson extends Page<LogLineJson> {
  readonly state: PublishState;
}
