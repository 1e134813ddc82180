import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Problem, ReleaseJson } from "../../proto/http.ts";
import { runCliProcess } from "../helpers/cli.ts";
import { removeDir, startTestFarm, tempDir } from "../helpers/farm.ts";

const folder = tempDir("tls");
after(() => removeDir(folder));

const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
const made = spawnSync("openssl", [
  ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=farm".split(" "),
  ...["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", cert],
]);
const skip = made.status === 0 ? false : "openssl is not installed";

function config(text: string): string {
  const file = join(folder, "farm.toml");
  writeFileSync(file, text);
  return file;
}

test("a farm with a certificate speaks TLS to its clients, and needs no --insecure", { skip }, async () => {
  const file = config(`listen = "0.0.0.0"\ntls_cert = "${cert}"\ntls_key = "${key}"\n`);
  const farm = await startTestFarm({ data: join(folder, "data"), args: ["--config", file] });
  assert.match(farm.url, /^https:/);
  const { port } = new URL(farm.url);
  const env = {
    GRANARY_URL: `https://127.0.0.1:${port}`,
    GRANARY_TOKEN: farm.token,
    NODE_EXTRA_CA_CERTS: cert,
  };
  const app = join(folder, "app");
  mkdirSync(app);
  writeFileSync(join(app, "app.py"), "1");
  const published = await runCliProcess(["publish", app, "--json"], { env });
  assert.equal(published.code, 0, published.stderr);
  assert.equal((JSON.parse(published.stdout) as ReleaseJson).version, "v1");
  const stranger = await runCliProcess(["whoami"], { env: { ...env, NODE_EXTRA_CA_CERTS: "" } });
  assert.equal(stranger.code, 10, "a certificate that nobody vouches for is no farm's");

  const plain = connect(Number(port), "127.0.0.1", () =>
    plain.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
  );
  plain.on("error", () => undefined).resume();
  await once(plain, "close");
  const [answer] = await once(get(`${env.GRANARY_URL}/livez`, { ca: readFileSync(cert) }), "response");
  assert.equal(answer.statusCode, 200);
  answer.resume();

  // One that never begins its handshake, and one that is kept alive, hold up no end.
  const silent = connect(Number(port), "127.0.0.1");
  silent.on("error", () => undefined);
  await once(silent, "connect");
  const began = performance.now();
  assert.equal(await farm.stop(), 0);
  assert.ok(performance.now() - began < 15_000, `${Math.round(performance.now() - began)} ms`);
  silent.destroy();
});

for (const [what, text, message] of [
  ["a certificate without its key", `tls_cert = "${cert}"\n`, /one needs the other/],
  ["a key that is not there", `tls_cert = "${cert}"\ntls_key = "${key}.gone"\n`, /tls_key: ENOENT/],
  ["a key that is none", `tls_cert = "${cert}"\ntls_key = "${cert}"\n`, /tls_cert and tls_key: /],
] as const) {
  test(`a farm does not start with ${what}`, { skip }, async () => {
    const args = ["up", "--data", join(folder, "none"), "--port", "0", "--json", "--config", config(text)];
    const { code, stdout } = await runCliProcess(args, { env: { NATS_SERVER_BIN: "" } });
    const problem = JSON.parse(stdout) as Problem;
    assert.deepEqual([code, problem.code], [4, "CONFIG_INVALID"], stdout);
    assert.match(problem.detail, message);
  });
}
