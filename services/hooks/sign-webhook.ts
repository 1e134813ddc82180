import { createHmac } from "node:crypto";

/**
 * The headers of a message as Standard Webhooks signs it
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
 * @param secret `whsec_` and base64
 */
export function signWebhook(message: {
  id: string;
  timestampMs: number;
  body: string;
  secret: string;
}): Record<"webhook-id" | "webhook-timestamp" | "webhook-signature", string> {
  const { id, timestampMs, body, secret } = message;
  const timestamp = String(Math.floor(timestampMs / 1000));
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
}
