import { arg, list, text, toggle, verb } from "./verb-spec.ts";

/**
 * The one table of the command line: help texts, shell completions, docs/cli.md and the parser come from it. A verb stands
 * here only when it works. Names of two words are a noun and its verb (`event tail`); plural nouns are aliases.
 */

const OPTIONAL = { optional: true } as const;
const PROJECT = arg("O/P", "Project, ORG/PROJECT; without ORG/ the token's org.");
const REF = arg(
  "REF",
  "Release: O/P (the live one), O/P@v3, O/P@current, O/P@preview/NAME or O/P@COMMIT (7+ hex).",
);
const HELD = arg("O/P", "Project ORG/PROJECT, or ORG for all of its projects.", OPTIONAL);
const EVERYWHERE = toggle("all", "The whole farm; needs farm:admin.");
const PREVIEW = [
  arg("O/P", "Project, or the whole reference O/P@preview/NAME."),
  arg("NAME", "Name of the preview.", OPTIONAL),
] as const;
const PUBLISH_ID = arg("ID", "Publish id, or a reference: O/P is the project's newest publish.");
const REASON = text("reason", "TEXT", "Why; kept in the audit trail.");
const GENERATION = text(
  "expect-generation",
  "N",
  "Only if the pointer's generation is still N, else exit 7.",
);
const LIMIT = text("limit", "N", "Rows at most.", { default: "50" });
const CURSOR = text("cursor", "CURSOR", "Go on behind this place; it is printed when there is more.");
const TIMEOUT = text("timeout", "DURATION", "How long to wait; then exit 14, and the work goes on.", {
  default: "15m",
});
const GITIGNORE = toggle("gitignore", "Leave out what .gitignore files name, too.");
const PROJECT_FLAG = text("project", "O/P", "Project, [ORG/]PROJECT.", {
  short: "p",
  env: "GRANARY_PROJECT",
});
const COMMIT = text("commit", "SHA", "Commit that the content belongs to.", { env: "GRANARY_COMMIT" });
const WEBHOOK_ID = arg("ID", "Webhook id, as `webhook ls` shows it.");
const WEBHOOK_ORG = text("org", "ORG", "Org; the token's when not given.");
const FARM_FLAGS = [
  text("data", "DIR", "Data folder; ./.granary when not given.", { env: "GRANARY_DATA" }),
  text("port", "N", "Port of api and registry: 7421 when not given, 0 takes a free one.", {
    env: "GRANARY_PORT",
  }),
  text("listen", "ADDR", "Address to listen on; 127.0.0.1 when not given.", { env: "GRANARY_LISTEN" }),
  toggle("insecure", "Listen beyond loopback without TLS: a proxy in front does it."),
  text("threads", "N", "Worker threads; as many as cores when not given.", { env: "GRANARY_THREADS" }),
  text("nats", "URL", "NATS servers to use instead of a private one.", { env: "GRANARY_NATS" }),
  text("node", "NAME", "This node's name.", { env: "GRANARY_NODE" }),
  list("label", "K=V", "Label of this node; may be repeated."),
  text("config", "FILE", "The farm's configuration file; flags win over it.", { env: "GRANARY_CONFIG" }),
] as const;

const NODES = [arg("NODE", "Name of a node.", { optional: true, many: true })];
const NODE_CHOICE = [
  list("label", "K=V", "Nodes with this label; may be repeated, then all have to fit.", { short: "l" }),
  toggle("all", "All nodes."),
] as const;

/** Flags that every verb takes. */
export const GLOBAL_FLAGS = [
  toggle("json", "One JSON document on stdout (one per line for streams); text for people goes to stderr."),
  toggle("quiet", "Only the result and warnings.", { short: "q" }),
  toggle("help", "Show this help.", { short: "h" }),
  text("url", "URL", "Where the farm is.", { env: "GRANARY_URL" }),
  text("token", "TOKEN", "Token to show to the farm.", { env: "GRANARY_TOKEN" }),
  text("context", "NAME", "Saved farm and token to use.", { env: "GRANARY_CONTEXT" }),
] as const;

export const VERBS = [
  verb({
    name: "publish",
    group: "Publish",
    summary: "Publish a directory or archive as a new release",
    details: [
      "PATH is a directory, a .tar.gz, or - for an archive on stdin. Of a directory only what the farm does not have is",
      "sent: files are hashed here (digests are kept in $XDG_CACHE_HOME/granary), and a broken connection is taken up again.",
      "Prints `O/P@vN IMAGE_REF`; with -q only the ref. GRANARY_OUTPUT_FILE names a file that gets the JSON as well.",
      "The project comes from -p, GRANARY_PROJECT, .granary.toml, karta.toml or the directory's name; the commit from",
      "--commit, GRANARY_COMMIT, the CI's variables or git. .git and .granary are left out, .granaryignore is honoured.",
      "Ctrl-C detaches: the publish goes on.",
    ],
    args: [arg("PATH", "Directory, .tar.gz or -.", OPTIONAL)],
    flags: [
      PROJECT_FLAG,
      COMMIT,
      text("source", "URL", "Where the content comes from; recorded with the release."),
      text("preview", "NAME", "Publish to a preview: no version, never live, ends by itself."),
      text("ttl", "DURATION", "How long the preview lives after this publish (72h when not given anywhere)."),
      toggle("no-activate", "Make the release ready, but do not let it go live."),
      toggle("require-active", "Exit 7 when the release is ready but not live."),
      toggle("no-wait", "Do not wait for the end; prints the publish id."),
      TIMEOUT,
      text("idempotency-key", "KEY", "Same key, same publish, for 7 days."),
      toggle("force-new", "Make a new release even when an identical one exists."),
      toggle("if-changed", "Publish nothing when what is live has the same image; exit 0. Directories only."),
      text("strip", "N", "Leave out N leading path segments of an archive."),
      GITIGNORE,
    ],
    example: "granary publish examples/support-bot",
  }),
  verb({
    name: "plan",
    group: "Publish",
    summary: "Show what publish would do, bytes to send included; publishes nothing, works offline",
    args: [arg("PATH", "Directory.", OPTIONAL)],
    flags: [PROJECT_FLAG, COMMIT, GITIGNORE],
    example: "granary plan examples/support-bot",
  }),
  verb({
    name: "wait",
    group: "Publish",
    summary: "Wait for the end of a publish; prints and exits like publish",
    args: [PUBLISH_ID],
    flags: [toggle("require-active", "Exit 7 when the release is ready but not live."), TIMEOUT],
    example: "granary wait acme/bot",
  }),
  verb({
    name: "status",
    group: "Publish",
    summary: "Show one publish: its state and what came of it",
    args: [PUBLISH_ID],
    example: "granary status acme/bot",
  }),
  verb({
    name: "cancel",
    group: "Publish",
    summary: "Stop a publish that has not ended",
    args: [PUBLISH_ID],
    flags: [REASON],
    example: "granary cancel acme/bot --reason 'wrong branch'",
  }),
  verb({
    name: "verify",
    group: "Publish",
    summary: "Recompute the image digest of a directory, offline, and compare it",
    details: [
      "Compares with --image-ref, --image-digest or a release that is fetched by its reference; exit 15 names what differs.",
      "With nothing to compare it prints the image digest.",
    ],
    args: [
      arg("PATH", "Directory.", OPTIONAL),
      arg("REF", "Release to compare with, such as O/P@v3.", OPTIONAL),
    ],
    flags: [
      text("image-ref", "REF", "Image reference to compare with; no request is made."),
      text("image-digest", "DIGEST", "Image digest to compare with; no request is made."),
      GITIGNORE,
    ],
    example: "granary verify examples/support-bot acme/support-bot@v1",
  }),
  verb({
    name: "materialize",
    group: "Publish",
    summary: "Write the files of a release into a folder",
    details: [
      "Every file is checked against its digest; DIR is there whole or not at all. A DIR that has the release already is checked",
      "again and left alone. Files are read-only (0444, 0555). Without DIR the farm makes the folder on its own disk, where releases",
      "of one project share unchanged files, and prints where it is (scope farm:admin).",
    ],
    args: [REF, arg("DIR", "Folder to make; empty or not there.", OPTIONAL)],
    example: "granary materialize acme/bot@v3 ./bot",
  }),
  verb({
    name: "projects",
    aliases: ["project ls", "projects ls"],
    group: "Look",
    summary: "List the projects of an org",
    flags: [text("org", "ORG", "Org; the token's when not given."), LIMIT, CURSOR],
    example: "granary projects",
  }),
  verb({
    name: "publishes",
    aliases: ["publishes ls"],
    group: "Look",
    summary: "List a project's publishes, newest first",
    args: [PROJECT],
    flags: [LIMIT, CURSOR],
    example: "granary publishes acme/bot --limit 10",
  }),
  verb({
    name: "releases",
    aliases: ["release ls", "releases ls"],
    group: "Look",
    summary: "List a project's releases, newest first",
    args: [PROJECT],
    flags: [LIMIT, CURSOR],
    example: "granary releases acme/bot",
  }),
  verb({
    name: "show",
    aliases: ["release show"],
    group: "Look",
    summary: "Show one release",
    args: [REF],
    example: "granary show acme/bot@v3",
  }),
  verb({
    name: "files",
    aliases: ["file ls"],
    group: "Look",
    summary: "List the files of a release",
    args: [REF],
    flags: [text("limit", "N", "Rows at most; all when not given."), CURSOR],
    example: "granary files acme/bot@v3",
  }),
  verb({
    name: "diff",
    group: "Look",
    summary: "Compare the files of two releases",
    args: [
      { name: "FROM", help: "O/P@vN, or another reference to a release." },
      { name: "TO", help: "A release of the same project; the live one when not given.", optional: true },
    ],
    flags: [text("limit", "N", "Rows at most (1,000 when not given).")],
    example: "granary diff acme/bot@v2 acme/bot@v3",
  }),
  verb({
    name: "current",
    group: "Look",
    summary: "Show what is live",
    args: [PROJECT],
    example: "granary current acme/bot",
  }),
  verb({
    name: "event ls",
    aliases: ["events", "events ls"],
    group: "Look",
    summary: "List past events, oldest first",
    flags: [
      text("from", "CURSOR", "Begin behind this place."),
      text("project", "O/P", "Only this project's events.", { short: "p" }),
      text("org", "ORG", "Only this org's events."),
      LIMIT,
    ],
    example: "granary event ls -p acme/bot",
  }),
  verb({
    name: "event tail",
    aliases: ["events tail"],
    group: "Look",
    summary: "Follow events as they happen, without gaps or repeats; reconnects by itself",
    flags: [
      text("from", "CURSOR", "Begin behind this place; `start` replays what is kept. Now, when not given."),
      text("project", "O/P", "Only this project's events.", { short: "p" }),
      text("org", "ORG", "Only this org's events."),
    ],
    example: "granary event tail --from start",
  }),
  verb({
    name: "audit",
    group: "Look",
    summary: "List who did what, newest first",
    args: [arg("O/P", "Org or project; the token's org when not given.", OPTIONAL)],
    flags: [LIMIT, CURSOR],
    example: "granary audit acme/bot",
  }),
  verb({
    name: "activate",
    group: "Go live",
    summary: "Let a release go live",
    args: [arg("REF", "Release: O/P@v3 or O/P@COMMIT.")],
    flags: [GENERATION, REASON],
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
    flags: [text("to", "vN", "Release to go back to."), GENERATION, REASON],
    example: "granary rollback acme/bot --reason 'errors since v42'",
  }),
  verb({
    name: "hold",
    group: "Go live",
    summary: "Keep later publishes of a project, an org or the whole farm from going live",
    details: [
      "They become ready and say `held`. Activating and rolling back by hand goes on. Holds of a project, its org and the",
      "farm are three: each ends for itself.",
    ],
    args: [HELD],
    flags: [EVERYWHERE, text("for", "DURATION", "Ends by itself after this time, such as 8h."), REASON],
    example: "granary hold acme/bot --for 8h",
  }),
  verb({
    name: "unhold",
    group: "Go live",
    summary: "Let later publishes go live again",
    details: ["Releases one hold: of the project, of the org, or with --all that of the farm."],
    args: [HELD],
    flags: [EVERYWHERE],
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
    flags: [REASON],
    example: "granary retire acme/bot@v3 --reason 'leaked key'",
  }),
  verb({
    name: "project set",
    aliases: ["projects set"],
    group: "Go live",
    summary:
      "Change a project's settings: require_commit, portable_names, public_pull, overtake, default_ttl, retention",
    details: [
      "overtake: a queued publish ends when a newer one of its channel arrives; previews do so unless it is false.",
      "default_ttl: how long previews live after a publish, such as 24h.",
      "retention: how many of the newest releases stay, and for how long releases stay after they were made or live: 10,30d",
      "keeps what either says, what is live and where a rollback would go; `all` keeps every release, as does no setting.",
    ],
    args: [
      PROJECT,
      arg("KEY=VALUE", "Setting and true or false, a duration, or what retention takes.", { many: true }),
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
    flags: [toggle("no-activate", "Make the release ready, but do not let it go live."), GENERATION, REASON],
    example: "granary preview promote acme/bot pr-12",
  }),
  verb({
    name: "preview pin",
    aliases: ["previews pin"],
    group: "Go live",
    summary: "Keep a preview until it is removed or extended",
    args: PREVIEW,
    example: "granary preview pin acme/bot pr-12",
  }),
  verb({
    name: "preview extend",
    aliases: ["previews extend"],
    group: "Go live",
    summary: "Let a preview end a time to live from now, also when it was pinned",
    args: PREVIEW,
    flags: [text("ttl", "DURATION", "Its time to live from now on; the one it has when not given.")],
    example: "granary preview extend acme/bot pr-12 --ttl 7d",
  }),
  verb({
    name: "preview rm",
    aliases: ["previews rm"],
    group: "Go live",
    summary: "End a preview now, and cancel what is on its way to it",
    args: PREVIEW,
    flags: [REASON],
    example: "granary preview rm acme/bot pr-12",
  }),
  verb({
    name: "login",
    group: "Access",
    summary: "Check a token and save it as a context",
    details: [
      "The token comes from --token, GRANARY_TOKEN or stdin; the context is named by --context or after the host.",
    ],
    example: "granary login --url http://127.0.0.1:7421 --context local",
  }),
  verb({ name: "whoami", group: "Access", summary: "Show what the token is", example: "granary whoami" }),
  verb({
    name: "context ls",
    aliases: ["contexts", "contexts ls"],
    group: "Access",
    summary: "List the saved contexts",
    example: "granary context ls",
  }),
  verb({
    name: "context use",
    aliases: ["contexts use"],
    group: "Access",
    summary: "Choose the context that is used by default",
    args: [arg("NAME", "Name of the context.")],
    example: "granary context use local",
  }),
  verb({
    name: "token create",
    aliases: ["tokens create"],
    group: "Access",
    summary: "Make a token; it is shown once",
    flags: [
      text("org", "ORG", "Org; the token's when not given."),
      list(
        "scope",
        "SCOPE",
        "What it may do: read, publish, activate, rollback, hold, write, admin, ...; may be repeated.",
      ),
      text("project", "P", "Bind it to one project.", { short: "p" }),
      text("expires", "DURATION", "End its life after this time, such as 90d."),
    ],
    example: "granary token create --scope publish --project bot --expires 90d",
  }),
  verb({
    name: "token ls",
    aliases: ["tokens", "tokens ls"],
    group: "Access",
    summary: "List tokens; their secrets are kept nowhere",
    flags: [text("org", "ORG", "Org; the token's when not given."), LIMIT, CURSOR],
    example: "granary token ls",
  }),
  verb({
    name: "token rm",
    aliases: ["tokens rm"],
    group: "Access",
    summary: "Revoke a token at once",
    args: [arg("ID", "Token id, as `token ls` shows it.")],
    flags: [text("org", "ORG", "Org; the token's when not given.")],
    example: "granary token rm tok_example",
  }),
  verb({
    name: "trust add",
    aliases: ["trusts add"],
    group: "Access",
    summary: "Let jobs of a CI system publish without a stored secret (OpenID Connect)",
    details: [
      "A job's id token is exchanged for a token of 10 minutes when its issuer, audience and claims are those of the trust.",
      "GitHub: repository_id or repository_owner_id (`gh api repos/O/R --jq .id`), and ref, environment, ref_protected, ...",
      "GitLab: project_id or namespace_id, and ref, environment, ref_protected, ... A claim given twice accepts both values.",
    ],
    args: [arg("PROVIDER", "github, gitlab, or generic for any other issuer.")],
    flags: [
      list("claim", "K=V", "Claim that the id token must have; may be repeated."),
      list("scope", "SCOPE", "What the job may do: read, publish, preview, activate, rollback, hold, write."),
      text("org", "ORG", "Org; the token's when not given."),
      text("project", "P", "Bind its tokens to one project.", { short: "p" }),
      text("issuer", "URL", "Issuer; GitHub's or gitlab.com when not given."),
      text("audience", "TEXT", "Audience of the id tokens; the farm's URL when not given."),
    ],
    example:
      "granary trust add github --claim repository_id=123456 --claim ref=refs/heads/main --scope publish -p bot",
  }),
  verb({
    name: "trust ls",
    aliases: ["trusts", "trusts ls"],
    group: "Access",
    summary: "List whose CI jobs are trusted",
    flags: [text("org", "ORG", "Org; the token's when not given."), LIMIT, CURSOR],
    example: "granary trust ls",
  }),
  verb({
    name: "trust rm",
    aliases: ["trusts rm"],
    group: "Access",
    summary: "End a trust, and the tokens that were issued for it",
    args: [arg("ID", "Trust id, as `trust ls` shows it.")],
    flags: [text("org", "ORG", "Org; the token's when not given.")],
    example: "granary trust rm tru_example",
  }),
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
      WEBHOOK_ORG,
      text("project", "P", "Only this project's events.", { short: "p" }),
      list("type", "TYPE", "Only this event type, or a family such as release.*; may be repeated."),
    ],
    example: "granary webhook add https://ci.example.com/granary --type 'release.*'",
  }),
  verb({
    name: "webhook ls",
    aliases: ["webhooks", "webhooks ls"],
    group: "Access",
    summary: "List webhooks and whether they are enabled",
    flags: [WEBHOOK_ORG, LIMIT, CURSOR],
    example: "granary webhook ls",
  }),
  verb({
    name: "webhook set",
    aliases: ["webhooks set"],
    group: "Access",
    summary: "Change a webhook, enable it again, or give it a new secret",
    args: [WEBHOOK_ID],
    flags: [
      WEBHOOK_ORG,
      text("url", "URL", "Another URL."),
      list("type", "TYPE", "Other event types; `all` for all; may be repeated."),
      toggle("enable", "Deliver again, from where it stopped."),
      toggle("disable", "Stop delivering; the place is kept."),
      toggle("rotate-secret", "Make a new secret; it is shown once."),
    ],
    example: "granary webhook set whk_example --enable",
  }),
  verb({
    name: "webhook rm",
    aliases: ["webhooks rm"],
    group: "Access",
    summary: "Remove a webhook",
    args: [WEBHOOK_ID],
    flags: [WEBHOOK_ORG],
    example: "granary webhook rm whk_example",
  }),
  verb({
    name: "webhook deliveries",
    aliases: ["webhooks deliveries"],
    group: "Access",
    summary: "List the newest attempts of a webhook, newest first",
    args: [WEBHOOK_ID],
    flags: [WEBHOOK_ORG],
    example: "granary webhook deliveries whk_example",
  }),
  verb({
    name: "webhook replay",
    aliases: ["webhooks replay"],
    group: "Access",
    summary: "Send events again, with the ids that they had",
    args: [WEBHOOK_ID],
    flags: [
      WEBHOOK_ORG,
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
    flags: [WEBHOOK_ORG],
    example: "granary webhook test whk_example",
  }),
  verb({
    name: "up",
    group: "Operate",
    summary: "Run a whole farm in this process",
    details: ["Saves the context `local`. With --json one line is printed when everything answers."],
    flags: FARM_FLAGS,
    example: "granary up --data ./.granary",
  }),
  verb({
    name: "serve",
    group: "Operate",
    summary: "Run single roles of a farm, for several machines",
    args: [arg("ROLE", "api, node, pointer, registry or hooks.", { many: true })],
    flags: FARM_FLAGS,
    example: "granary serve pointer --nats nats://127.0.0.1:4222",
  }),
  verb({
    name: "node ls",
    aliases: ["nodes", "nodes ls"],
    group: "Operate",
    summary: "List the nodes of the farm",
    example: "granary node ls",
  }),
  verb({
    name: "scale",
    group: "Operate",
    summary: "Change how many worker threads nodes have, while they run",
    details: [
      "Threads that are to go finish their task first; nothing is lost or done twice. The setting is kept through restarts and wins over",
      "`up --threads`; `--threads default` takes it back.",
    ],
    args: NODES,
    flags: [text("threads", "N", "Worker threads, 1 to 256, or `default`."), ...NODE_CHOICE],
    example: "granary scale local --threads 4",
  }),
  verb({
    name: "cordon",
    group: "Operate",
    summary: "Let nodes take no new jobs; what runs goes on, and publishes wait",
    args: NODES,
    flags: NODE_CHOICE,
    example: "granary cordon local",
  }),
  verb({
    name: "uncordon",
    group: "Operate",
    summary: "Let nodes take jobs again",
    args: NODES,
    flags: NODE_CHOICE,
    example: "granary uncordon local",
  }),
  verb({
    name: "drain",
    group: "Operate",
    summary: "Cordon nodes and wait until nothing runs on them",
    args: NODES,
    flags: [...NODE_CHOICE, TIMEOUT],
    example: "granary drain local --timeout 5m",
  }),
  verb({
    name: "queue ls",
    aliases: ["queue", "queues", "queues ls"],
    group: "Operate",
    summary: "Show what waits and runs, by lane and org",
    example: "granary queue ls",
  }),
  verb({
    name: "store stat",
    aliases: ["stores stat"],
    group: "Operate",
    summary: "Show what the store holds",
    example: "granary store stat",
  }),
  verb({
    name: "store fsck",
    aliases: ["stores fsck"],
    group: "Operate",
    summary: "Verify the store's content on a running farm: every digest, every reference",
    flags: [text("subset", "N/T", "Only part N of T, so that T runs check everything.")],
    example: "granary store fsck --subset 1/7",
  }),
  verb({
    name: "store rebuild-index",
    group: "Operate",
    summary: "Make the store's index anew from its packs, on a farm that is stopped",
    flags: [text("data", "DIR", "Data folder of the farm; ./.granary when not given.")],
    example: "granary store rebuild-index --data ./.granary",
  }),
  verb({
    name: "pointer reseed",
    group: "Operate",
    summary: "Let a stopped farm go on from its state when its command log was lost (STATE_BEHIND)",
    details: [
      "Begins a new log behind the last command that the state has applied. Releases, pointers, tokens, audit and events stay as",
      "they are, cursors too; unfinished publishes are queued again. Commands of a log that this state never applied go to a file in",
      "the data folder and take no effect. Without --yes it only says what would happen.",
    ],
    flags: [
      text("data", "DIR", "Data folder of the farm; ./.granary when not given."),
      text("nats", "URL", "External NATS of the farm; its own server when not given."),
      toggle("yes", "Do it."),
    ],
    example: "granary pointer reseed --data ./.granary --yes",
  }),
  verb({
    name: "doctor",
    group: "Operate",
    summary: "Check this machine, the configuration and the farm",
    example: "granary doctor",
  }),
  verb({
    name: "config check",
    group: "Help",
    summary: "Check .granary.toml, karta.toml and the saved contexts",
    args: [arg("PATH", "Directory to look from.", OPTIONAL)],
    example: "granary config check",
  }),
  verb({
    name: "config print",
    group: "Help",
    summary: "Print the settings in force and where each comes from",
    example: "granary config print",
  }),
  verb({
    name: "explain",
    group: "Help",
    summary: "Explain an error code",
    args: [arg("CODE", "Error code, such as ARCHIVE_LINK_DANGLING.", OPTIONAL)],
    flags: [toggle("all", "All codes."), toggle("markdown", "As the page docs/errors.md.")],
    example: "granary explain GENERATION_STALE",
  }),
  verb({
    name: "completions",
    group: "Help",
    summary: "Print a completion script for a shell",
    args: [arg("SHELL", "bash, zsh or fish.")],
    example: "granary completions bash",
  }),
  verb({
    name: "version",
    group: "Help",
    summary: "Print the version",
    flags: [toggle("farm", "Ask the farm for its version, too.")],
    example: "granary version",
  }),
  verb({
    name: "help",
    group: "Help",
    summary: "Show all verbs, or one",
    args: [arg("VERB", "Verb, one or two words.", { optional: true, many: true })],
    flags: [toggle("markdown", "All verbs, as the page docs/cli.md.")],
    example: "granary help publish",
  }),
] as const;

export type Verb = (typeof VERBS)[number];
export type VerbName = Verb["name"];
/** Names of the flags of one verb, the global ones included. */
export type FlagName<N extends VerbName> =
  | NonNullable<Extract<Verb, { readonly name: N }>["flags"]>[number]["name"]
  | (typeof GLOBAL_FLAGS)[number]["name"];
