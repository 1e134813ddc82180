import fs from "node:fs";
import path from "node:path";

/**
 * The Debian mirror this machine itself is configured to use, from sources.list and sources.list.d/*.{list,sources}.
 * @param {string} [aptFolder] `/etc/apt`
 * @returns {string | undefined} the URI of the first enabled `deb` source with component `main` that is not a security
 *   archive, local media or a third party's
 */
export function aptMirror(aptFolder = "/etc/apt") {
  const files = [path.join(aptFolder, "sources.list")];
  const parts = path.join(aptFolder, "sources.list.d");
  if (fs.existsSync(parts))
    files.push(
      ...fs
        .readdirSync(parts)
        .sort()
        .map((name) => path.join(parts, name)),
    );
  for (const file of files) {
    if (!fs.existsSync(file)) continue;
    const text = fs.readFileSync(file, "utf8");
    const sources = file.endsWith(".sources")
      ? deb822Sources(text)
      : file.endsWith(".list")
        ? oneLineSources(text)
        : [];
    const own = sources.find(isDebianArchive);
    if (own) return own.uri;
  }
  return undefined;
}

/** sources.list(5), one-line style: `deb [options] uri suite component...` */
function oneLineSources(text) {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]*)/.exec(line);
    return match ? [{ uri: match[1], suite: match[2], components: match[3].trim().split(/\s+/) }] : [];
  });
}

/** sources.list(5), deb822 style: stanzas of `Key: value`, continued by indented lines, parted by empty ones. */
function deb822Sources(text) {
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  return lines
    .join("\n")
    .split(/\n\s*\n/)
    .flatMap((stanza) => {
      const fields = new Map();
      for (const match of stanza.matchAll(/^([A-Za-z-]+):((?:.*)(?:\n[ \t]+.*)*)/gm)) {
        fields.set(match[1].toLowerCase(), match[2].trim().split(/\s+/));
      }
      const words = (key) => fields.get(key) ?? [];
      if (!words("types").includes("deb") || words("enabled")[0] === "no") return [];
      return words("uris").flatMap((uri) =>
        words("suites").map((suite) => ({ uri, suite, components: words("components") })),
      );
    });
}

function isDebianArchive({ uri, suite, components }) {
  const local = /^(cdrom|file|copy|mirror\+file):/.test(uri);
  const security = uri.includes("security") || suite.includes("security");
  return !local && !security && components.includes("main") && /\/debian\/?$/.test(uri);
}
