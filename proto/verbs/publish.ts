import { arg, text, toggle, verb } from "../verb-spec.ts";
import { ASK_AGAIN, OPTIONAL, REASON, REF, TIMEOUT } from "./arguments.ts";

const PUBLISH_ID = arg("ID", "Publish id, or a reference: O/P is the project's newest publish.");
const GITIGNORE = toggle("gitignore", "Leave out what .gitignore files name, too.");
const PROJECT_FLAG = text("project", "O/P", "Project, [ORG/]PROJECT.", {
  short: "p",
  env: "GRANARY_PROJECT",
});
const COMMIT = text("commit", "SHA", "Commit that the content belongs to.", { env: "GRANARY_COMMIT" });

/** Publishing, and what can be seen of one publish. */
export const PUBLISH_VERBS = [
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
      { ...TIMEOUT, help: "How long all of it may take; then exit 14, and what was accepted goes on." },
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
    name: "why",
    group: "Publish",
    summary: "Say what a publish waits for or how it ended, or why a release is live or not, and kept",
    args: [arg("ID", "Publish id, or a reference: O/P is the project's newest publish, O/P@v3 a release.")],
    example: "granary why acme/bot@v3",
  }),
  verb({
    name: "logs",
    group: "Publish",
    summary: "Show the log of a publish: what was read, warnings, build, what came of it",
    details: [
      "Logs are kept for 30 days after the end of their publish. Its last line says what came of it; the exit code is 0 when the log was read,",
      "also of a publish that failed: `granary wait ID` has the exit code of the publish.",
    ],
    args: [PUBLISH_ID],
    flags: [
      toggle("follow", "Go on until the publish has ended; reconnects by itself.", { short: "f" }),
      text("from", "CURSOR", "Begin behind this line, as --json shows it."),
    ],
    example: "granary logs acme/bot -f",
  }),
  verb({
    name: "cancel",
    group: "Publish",
    summary: "Stop a publish that has not ended",
    args: [PUBLISH_ID],
    flags: [REASON, ASK_AGAIN],
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
] as const;
