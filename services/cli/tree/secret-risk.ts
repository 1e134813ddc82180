const TEMPLATES = /\.(?:example|sample|template|dist|defaults)$/;
const SECRET_NAMES: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /^\.env(?:\..+)?$/, what: "looks like an environment file with secrets" },
  { pattern: /^id_(?:rsa|dsa|ecdsa|ed25519)$/, what: "looks like a private SSH key" },
  { pattern: /\.(?:p12|pfx|jks|keystore)$/, what: "looks like a key store" },
  {
    pattern: /^\.(?:netrc|pgpass|git-credentials|pypirc|htpasswd|dockercfg)$/,
    what: "looks like a file of credentials",
  },
  {
    pattern: /^(?:credentials|service-account[^/]*|client_secret[^/]*)\.json$/,
    what: "looks like a file of credentials",
  },
  { pattern: /\.tfstate$/, what: "looks like Terraform state, which holds secrets" },
];

/** Files whose folder tells what they are. */
const SECRET_PATHS =
  /(?:^|\/)(?:\.aws\/credentials|\.kube\/config|\.docker\/config\.json|\.config\/gh\/hosts\.yml)$/;

/** Why a file probably should not be published, or undefined. `head` reads its first kilobytes when the name alone cannot tell. */
export function secretRisk(path: string, head: () => string): string | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (TEMPLATES.test(name)) return undefined;
  if (SECRET_PATHS.test(path)) return "looks like a file of credentials";
  const known = SECRET_NAMES.find(({ pattern }) => pattern.test(name));
  if (known !== undefined) return known.what;
  if (/\.(?:pem|key)$/.test(name) && /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(head()))
    return "holds a private key";
  if (name === ".npmrc" && /_authToken|_password/.test(head())) return "holds a registry token";
  return undefined;
}
