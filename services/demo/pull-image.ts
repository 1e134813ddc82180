import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { digestOf } from "../../proto/digest.ts";
import { MEDIA_TYPES } from "../../proto/image.ts";
import type { DemoFarm } from "./demo-farm.ts";

const run = promisify(execFile);

/** Pulls an image by its reference: with skopeo where it is installed, else by plain HTTP, checking every digest. */
export async function pullImage(options: {
  farm: DemoFarm;
  imageRef: string;
  folder: string;
}): Promise<{ client: string; outcome: string; ms: number }> {
  const startedMs = performance.now();
  const { farm, imageRef, folder } = options;
  const took = (): number => Math.round(performance.now() - startedMs);
  if (await isInstalled("skopeo")) {
    const args = [
      "copy",
      "--quiet",
      "--src-tls-verify=false",
      "--src-creds",
      `demo:${farm.token}`,
      `docker://${imageRef}`,
      `oci:${join(folder, "pulled")}:demo`,
    ];
    await run("skopeo", args);
    return { client: "skopeo", outcome: "copied to an OCI layout", ms: took() };
  }
  const [repository, digest] = imageRef.slice(imageRef.indexOf("/") + 1).split("@");
  const fetchChecked = async (kind: "manifests" | "blobs", wanted: string): Promise<Buffer> => {
    const response = await fetch(`${farm.url}/v2/${repository}/${kind}/${wanted}`, {
      headers: { authorization: `Bearer ${farm.token}`, accept: MEDIA_TYPES.manifest },
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    if (!response.ok || digestOf(bytes) !== wanted)
      throw new Error(`${wanted} came back as ${response.status} ${digestOf(bytes)}`);
    return bytes;
  };
  const manifest = JSON.parse((await fetchChecked("manifests", digest ?? "")).toString("utf8")) as {
    config: { digest: string };
    layers: readonly { digest: string; size: number }[];
  };
  await fetchChecked("blobs", manifest.config.digest);
  for (const layer of manifest.layers) await fetchChecked("blobs", layer.digest);
  const bytes = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  return {
    client: "plain HTTP (skopeo is not installed)",
    outcome: `${manifest.layers.length} layers, ${bytes} bytes, every digest checked`,
    ms: took(),
  };
}

async function isInstalled(program: string): Promise<boolean> {
  return run(program, ["--version"]).then(
    () => true,
    () => false,
  );
}
