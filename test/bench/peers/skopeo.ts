import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { eventually } from "../../helpers/farm.ts";
import type { Contestant } from "../contestant.ts";
import { runTool } from "../run-tool.ts";

const START_LIMIT_MS = 20_000;

export const SKOPEO: Contestant = {
  name: "skopeo push of a ready image to docker-registry",
  note: "never opens the layer; not synced",
  needs: { programs: ["skopeo", "docker-registry"] },
  open: async ({ folder }) => {
    const registry = await startRegistry(folder);
    let layout = "";
    let round = 0;
    let next = 0;
    return {
      async begin(number) {
        round = number;
      },
      async prepare(archive) {
        layout = join(folder, `image-${next++}`);
        writeImage(layout, archive);
      },
      async publish() {
        const target = `docker://${registry.host}/round-${round}:v${next}`;
        const flags = ["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"];
        await runTool("skopeo", [...flags, `oci:${layout}:app`, target]);
      },
      close: () => registry.stop(),
    };
  },
};

async function startRegistry(folder: string): Promise<{ host: string; stop(): Promise<void> }> {
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(folder, "registry.yml");
  const storage = { filesystem: { rootdirectory: join(folder, "registry") } };
  // JSON is YAML, too.
  writeFileSync(
    config,
    JSON.stringify({ version: 0.1, log: { level: "error" }, storage, http: { addr: host } }),
  );
  const child = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
  const gone = once(child, "exit");
  const answers = () =>
    fetch(`http://${host}/v2/`).then(
      ({ status }) => (status === 200 ? true : undefined),
      () => undefined,
    );
  await eventually(answers, START_LIMIT_MS, "docker-registry answers");
  return {
    host,
    async stop() {
      child.kill();
      await gone;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** An OCI layout whose one layer is the archive as it is. */
function writeImage(folder: string, archive: string): void {
  const blobs = join(folder, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const layer = readFileSync(archive);
  copyFileSync(archive, join(blobs, sha256(layer)));
  const put = (mediaType: string, value: unknown) => {
    const bytes = Buffer.from(JSON.stringify(value));
    writeFileSync(join(blobs, sha256(bytes)), bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.byteLength };
  };
  const config = put("application/vnd.oci.image.config.v1+json", {
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [`sha256:${sha256(gunzipSync(layer))}`] },
  });
  const manifest = put("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: [
      {
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        digest: `sha256:${sha256(layer)}`,
        size: layer.byteLength,
      },
    ],
  });
  const named = { ...manifest, annotations: { "org.opencontainers.image.ref.name": "app" } };
  writeFileSync(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  writeFileSync(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
