import { arg, text, toggle, verb } from "../verb-spec.ts";

/** What a farm keeps: store, backup, command log. */
export const DATA_VERBS = [
  verb({
    name: "store stat",
    aliases: ["stores stat"],
    group: "Operate",
    summary: "Show what the store holds",
    example: "granary store stat",
  }),
  verb({
    name: "store gc",
    aliases: ["stores gc"],
    group: "Operate",
    summary: "Delete content that no kept release, living preview or unfinished publish needs",
    details: [
      "The farm does it by itself, too: settings gc_interval, gc_grace and store_budget_bytes.",
      "What `granary retire` and `retention` let go of is freed here.",
    ],
    flags: [
      toggle("dry-run", "Only say what could be had back, in exact bytes."),
      text(
        "grace",
        "DURATION",
        "Leave what has been without a reference for less than this; nothing when not given.",
      ),
    ],
    example: "granary store gc --dry-run",
  }),
  verb({
    name: "store why",
    aliases: ["stores why"],
    group: "Operate",
    summary: "Name what keeps a blob: releases, previews, their files, and publishes and uploads under way",
    args: [arg("DIGEST", "sha256:... of a blob, layer, manifest, config or tree.")],
    example: "granary store why sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  }),
  verb({
    name: "store fsck",
    aliases: ["stores fsck"],
    group: "Operate",
    summary: "Verify the store's content on a running farm: every digest, every reference",
    details: [
      "--repair points rows to other, intact records of the same content, copies segments whose records are damaged, and moves damaged",
      "and stray files to the store's quarantine folder. What it cannot restore is named with the releases that need it; publishing those",
      "again heals it. Broken rows of the index need `granary store rebuild-index`.",
      "--from fetches what is lost from another farm that has it, such as one that was restored from a backup: this command reads it there and",
      "sends it here, so neither farm needs to know of the other. Both contexts need farm:admin. What is there already is not sent again.",
    ],
    flags: [
      text("subset", "N/T", "Only part N of T, so that T runs check everything."),
      toggle("repair", "Repair what is found, beside publishes and reads."),
      text(
        "from",
        "CONTEXT",
        "With --repair: fetch what is lost from the farm of this context (`granary context ls`).",
      ),
    ],
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
    name: "backup",
    group: "Operate",
    summary: "Write everything the farm is into a new folder on its machine, while it runs",
    details: [
      "State, content, uploads and keys; consistent as of one command. DIR is a path on the farm's machine, new or empty; the backup",
      "counts when backup.json is in it. It holds secrets. Needs farm:admin.",
    ],
    args: [arg("DIR", "New folder.")],
    example: "granary backup /backups/2026-11-21",
  }),
  verb({
    name: "restore",
    group: "Operate",
    summary: "Make a new data folder from a backup, verified before it gets its name",
    args: [arg("DIR", "Folder of the backup.")],
    flags: [text("data", "DIR", "Data folder to make; ./.granary when not given.")],
    example: "granary restore /backups/2026-11-21 --data ./.granary",
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
] as const;
