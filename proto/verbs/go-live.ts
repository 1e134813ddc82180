import { arg, text, toggle, verb } from "../verb-spec.ts";
import { ASK_AGAIN, CURSOR, LIMIT, OPTIONAL, PROJECT, REASON } from "./arguments.ts";

const HELD = arg("O/P", "Project ORG/PROJECT, or ORG for all of its projects.", OPTIONAL);
const EVERYWHERE = toggle("all", "The whole farm; needs farm:admin.");
const PREVIEW = [
  arg("O/P", "Project, or the whole reference O/P@preview/NAME."),
  arg("NAME", "Name of the preview.", OPTIONAL),
] as const;
const GENERATION = text(
  "expect-generation",
  "N",
  "Only if the pointer's generation is still N, else exit 7.",
);

/** What changes which release is live: pointers, holds, retirement, previews. */
export const GO_LIVE_VERBS = [
  verb({
    name: "activate",
    group: "Go live",
    summary: "Let a release go live",
    args: [arg("REF", "Release: O/P@v3 or O/P@COMMIT.")],
    flags: [GENERATION, REASON, ASK_AGAIN],
    example: "granary activate acme/bot@v3",
  }),
  verb({
    name: "rollback",
    group: "Go live",
    summary: "Go back to an earlier release and hold the project there",
    details: [
      "Without --to: the newest earlier activation that was never rolled back from.",
      "Later publishes become ready but do not go live until `granary unhold O/P`.",
    ],
    args: [PROJECT],
    flags: [text("to", "vN", "Release to go back to."), GENERATION, REASON, ASK_AGAIN],
    example: "granary rollback acme/bot --reason 'errors since v42'",
  }),
  verb({
    name: "hold",
    group: "Go live",
    summary: "Keep later publishes of a project, an org or the whole farm from going live",
    details: [
      "They become ready and say `held`. Activating and rolling back by hand goes on. Holds of a project, its org and the",
      "farm are three: each ends for itself. A hold that lasts until it is released, as a rollback leaves one, is not replaced",
      "by one with --for.",
    ],
    args: [HELD],
    flags: [
      EVERYWHERE,
      text("for", "DURATION", "Ends by itself after this time, such as 8h."),
      REASON,
      ASK_AGAIN,
    ],
    example: "granary hold acme/bot --for 8h",
  }),
  verb({
    name: "unhold",
    group: "Go live",
    summary: "Let later publishes go live again",
    details: ["Releases one hold: of the project, of the org, or with --all that of the farm."],
    args: [HELD],
    flags: [EVERYWHERE, ASK_AGAIN],
    example: "granary unhold acme/bot",
  }),
  verb({
    name: "retire",
    aliases: ["release retire"],
    group: "Go live",
    summary:
      "End a release: its image can no longer be pulled, its content no longer kept; there is no way back",
    details: [
      "What is live cannot be retired. `project set O/P retention=10,30d` lets old releases go by themselves.",
      "The space is free after the store's next garbage collection.",
    ],
    args: [arg("REF", "Release: O/P@v3.")],
    flags: [REASON, ASK_AGAIN],
    example: "granary retire acme/bot@v3 --reason 'leaked key'",
  }),
  verb({
    name: "project set",
    aliases: ["projects set"],
    group: "Go live",
    summary:
      "Change a project's settings: require_commit, portable_names, public_pull, overtake, default_ttl, retention, quota_bytes, max_concurrency",
    details: [
      "public_pull: whoever reaches the farm may pull the project's images without a token; all else stays closed.",
      "overtake: a queued publish ends when a newer one of its channel arrives; previews do so unless it is false.",
      "default_ttl: how long previews live after a publish, such as 24h.",
      "retention: how many of the newest releases stay, and for how long releases stay after they were made or live: 10,30d",
      "keeps what either says, what is live and where a rollback would go; `all` keeps every release, as does no setting.",
      "quota_bytes: publishes are refused when kept releases and previews have that many bytes, such as 10GiB; `none` is no quota.",
      "max_concurrency: so many publishes of the project are worked on at once, the others wait for a turn; `none` is no limit.",
    ],
    args: [
      PROJECT,
      arg("KEY=VALUE", "Setting and true or false, a number, a duration, or what retention takes.", {
        many: true,
      }),
    ],
    example: "granary project set acme/bot require_commit=true",
  }),
  verb({
    name: "preview ls",
    aliases: ["previews", "previews ls"],
    group: "Go live",
    summary: "List a project's previews",
    args: [PROJECT],
    flags: [toggle("all", "Those that have ended, too."), LIMIT, CURSOR],
    example: "granary preview ls acme/bot",
  }),
  verb({
    name: "preview promote",
    aliases: ["previews promote"],
    group: "Go live",
    summary: "Make what a preview shows a release and let it go live, without a rebuild",
    args: PREVIEW,
    flags: [
      toggle("no-activate", "Make the release ready, but do not let it go live."),
      GENERATION,
      REASON,
      ASK_AGAIN,
    ],
    example: "granary preview promote acme/bot pr-12",
  }),
  verb({
    name: "preview pin",
    aliases: ["previews pin"],
    group: "Go live",
    summary: "Keep a preview until it is removed or extended",
    args: PREVIEW,
    flags: [ASK_AGAIN],
    example: "granary preview pin acme/bot pr-12",
  }),
  verb({
    name: "preview extend",
    aliases: ["previews extend"],
    group: "Go live",
    summary: "Let a preview end a time to live from now, also when it was pinned",
    args: PREVIEW,
    flags: [
      text("ttl", "DURATION", "Its time to live from now on; the one it has when not given."),
      ASK_AGAIN,
    ],
    example: "granary preview extend acme/bot pr-12 --ttl 7d",
  }),
  verb({
    name: "preview rm",
    aliases: ["previews rm"],
    group: "Go live",
    summary: "End a preview now, and cancel what is on its way to it",
    args: PREVIEW,
    flags: [REASON, ASK_AGAIN],
    example: "granary preview rm acme/bot pr-12",
  }),
] as const;
