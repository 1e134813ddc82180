import { arg, list, text, toggle, verb } from "../verb-spec.ts";
import { ASK_AGAIN, CURSOR, EVENT_FORMAT, LIMIT, ORG } from "./arguments.ts";

const WEBHOOK_ID = arg("ID", "Webhook id, as `webhook ls` shows it.");

/** Webhooks: where events are delivered, and what came of it. */
export const WEBHOOK_VERBS = [
  verb({
    name: "webhook add",
    aliases: ["webhooks add"],
    group: "Access",
    summary: "Deliver an org's events to a URL; the signing secret is shown once",
    details: [
      "Messages are CloudEvents, signed as Standard Webhooks says; docs/events.md has the retries and the order.",
      "The URL is https and public.",
    ],
    args: [arg("URL", "Where to POST to.")],
    flags: [
      ORG,
      text("project", "O/P", "Only this project's events.", { short: "p" }),
      list("type", "TYPE", "Only this event type, or a family such as release.*; may be repeated."),
      EVENT_FORMAT,
      ASK_AGAIN,
    ],
    example: "granary webhook add https://ci.example.com/granary --type 'release.*'",
  }),
  verb({
    name: "webhook ls",
    aliases: ["webhooks", "webhooks ls"],
    group: "Access",
    summary: "List webhooks and whether they are enabled",
    flags: [ORG, LIMIT, CURSOR],
    example: "granary webhook ls",
  }),
  verb({
    name: "webhook set",
    aliases: ["webhooks set"],
    group: "Access",
    summary: "Change a webhook, enable it again, or give it a new secret",
    args: [WEBHOOK_ID],
    flags: [
      ORG,
      text("to", "URL", "Another URL."),
      list("type", "TYPE", "Other event types; `all` for all; may be repeated."),
      EVENT_FORMAT,
      toggle("enable", "Deliver again, from where it stopped."),
      toggle("disable", "Stop delivering; the place is kept."),
      toggle("rotate-secret", "Make a new secret; it is shown once."),
      ASK_AGAIN,
    ],
    example: "granary webhook set whk_example --enable",
  }),
  verb({
    name: "webhook rm",
    aliases: ["webhooks rm"],
    group: "Access",
    summary: "Remove a webhook",
    args: [WEBHOOK_ID],
    flags: [ORG],
    example: "granary webhook rm whk_example",
  }),
  verb({
    name: "webhook deliveries",
    aliases: ["webhooks deliveries"],
    group: "Access",
    summary: "List the newest attempts of a webhook, newest first",
    args: [WEBHOOK_ID],
    flags: [ORG],
    example: "granary webhook deliveries whk_example",
  }),
  verb({
    name: "webhook replay",
    aliases: ["webhooks replay"],
    group: "Access",
    summary: "Send events again, with the ids that they had",
    args: [WEBHOOK_ID],
    flags: [
      ORG,
      text("from", "CURSOR", "All events behind this place; `start` for what is kept."),
      text("event", "CURSOR", "The one event at this place, as `webhook deliveries` shows it."),
    ],
    example: "granary webhook replay whk_example --from start",
  }),
  verb({
    name: "webhook test",
    aliases: ["webhooks test"],
    group: "Access",
    summary: "Send a ping and show what the endpoint answers",
    args: [WEBHOOK_ID],
    flags: [ORG],
    example: "granary webhook test whk_example",
  }),
] as const;
